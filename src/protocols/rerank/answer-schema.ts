import { z } from '@hono/zod-openapi'
import { InputUsageAnswer } from '../openai-embeddings/answer-schema.ts'

/** The answer of a rerank. */
export const RerankAnswer = z
  .looseObject({
    id: z.string(),
    object: z.literal('rerank'),
    model: z.string(),
    results: z
      .array(
        z.looseObject({
          index: z.int().min(0).openapi({ description: 'Position of the document in the request.' }),
          relevance_score: z
            .number()
            .openapi({ description: 'Larger is more relevant; the scale is the model’s own.' }),
          document: z.looseObject({ text: z.string() }).optional(),
        }),
      )
      .openapi({ description: 'The most relevant first.' }),
    usage: InputUsageAnswer,
    meta: z.looseObject({ billed_units: z.looseObject({ search_units: z.int().min(0) }) }),
  })
  .openapi('Rerank')
