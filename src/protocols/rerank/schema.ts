import { z } from '@hono/zod-openapi'
import { ModelField, optional } from '../generation-fields.ts'

/* The body of `POST /v1/rerank` in the form of Cohere and Jina, as it is checked and as it is described to people. */

/** Most documents of one request; Cohere's bound is 10,000 pieces, Jina's 2,048 documents. */
const DOCUMENTS_MAX = 2048

const Document = z.union([z.string(), z.looseObject({ text: z.string() })])

/** The body of a rerank. */
export const RerankBody = z
  .looseObject({
    model: ModelField,
    query: z.string().min(1).openapi({ description: 'What the documents are to be relevant to.' }),
    documents: z
      .array(Document)
      .min(1)
      .max(DOCUMENTS_MAX)
      .openapi({ description: `Texts, or objects with a text; at most ${DOCUMENTS_MAX}.` }),
    top_n: optional(z.int().min(1), 'Answers with the so many most relevant; all when unsaid.'),
    return_documents: optional(z.boolean(), 'Repeats the text of each document beside its score.'),
    user: optional(z.string(), 'Your own name for whom the request is made.'),
    service_tier: optional(z.string(), 'auto, default, flex or priority.'),
  })
  .openapi('RerankRequest')
