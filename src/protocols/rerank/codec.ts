import type { InferenceRequest, JsonObject } from '../../inference/request.ts'
import { parseJsonBody } from '../../wire/json.ts'
import { checkBody } from '../check-body.ts'
import { endUserOf } from '../common-request.ts'
import type { DecodeContext, ProtocolCodec } from '../protocol.ts'
import { RerankAnswer } from './answer-schema.ts'
import { RerankEncoder } from './encoder.ts'
import { RerankBody } from './schema.ts'

/** Template and marks around one pair of query and document: an instruction of a sentence or two in the longest (Qwen3-Reranker). */
const PAIR_OVERHEAD_TOKENS = 256

/** Reranking as Cohere, Jina, vLLM and OpenRouter have it. */
export const RERANK: ProtocolCodec = {
  protocol: 'rerank',
  passesFrames: false,
  description: {
    summary: 'Rank documents',
    tag: 'Rerank',
    text: 'How relevant each document is to a query, the most relevant first, in the form of Cohere and Jina.',
    body: RerankBody,
    answer: RerankAnswer,
  },
  decode: decodeRerank,
  encoder: (request, publicModel) => new RerankEncoder(request, publicModel),
}

/** Reads the body of `POST /v1/rerank`. Throws `ApiError` with `param`. */
export function decodeRerank(bytes: Uint8Array, { requestId, surface }: DecodeContext): InferenceRequest {
  const sent = parseJsonBody(bytes)
  const checked = checkBody(RerankBody, sent)
  const documents = checked.documents.map(document => (typeof document === 'string' ? document : document.text))
  return {
    id: requestId,
    protocol: 'rerank',
    surface,
    model: checked.model,
    stream: false,
    includeUsage: true,
    input: { kind: 'rerank', query: checked.query, documents },
    sampling: { stop: [] },
    n: 1,
    outputTokensMax: 0,
    serviceTier: checked.service_tier ?? undefined,
    endUserId: endUserOf(checked.user),
    sent,
    body: rerankBody(sent, documents),
    inputTokensBound: pairsTokensBound(checked.query, documents),
  }
}

/** What an upstream gets: all scores are wanted of it, without the texts, whatever part of them the client is told. */
export function rerankBody(sent: JsonObject, documents: readonly string[]): JsonObject {
  const { top_n: _, ...rest } = sent
  return { ...rest, documents, return_documents: false }
}

/** Upper bound of the input tokens: the query, and an instruction where there is one, are read again with every document. */
export function pairsTokensBound(query: string, documents: readonly string[], instruction = ''): number {
  const each = PAIR_OVERHEAD_TOKENS + Buffer.byteLength(query) + Buffer.byteLength(instruction)
  return documents.reduce((sum, document) => sum + Buffer.byteLength(document), documents.length * each)
}
