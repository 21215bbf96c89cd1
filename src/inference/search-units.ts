import type { GenerationInput } from './request.ts'

/** Documents of one query that one search unit pays for, as Cohere counts them. */
const DOCUMENTS_PER_UNIT = 100
/** A longer document counts as several: Cohere cuts documents, the query included, into pieces of 500 tokens, which are about so many bytes. */
const DOCUMENT_BYTES = 2_000

/**
 * Search units of a request: one for a query with up to 100 documents; 0 for what is no rerank. A document counts once for each begun
 * 2,000 bytes (UTF-8) of it and the query. Bytes and not tokens, so that the number is known before anything runs and can be checked by
 * whoever pays.
 */
export function searchUnitsOf(input: GenerationInput): number {
  if (input.kind !== 'rerank') return 0
  const queryBytes = Buffer.byteLength(input.query)
  let documents = 0
  for (const document of input.documents)
    documents += Math.max(1, Math.ceil((queryBytes + Buffer.byteLength(document)) / DOCUMENT_BYTES))
  return Math.ceil(documents / DOCUMENTS_PER_UNIT)
}
