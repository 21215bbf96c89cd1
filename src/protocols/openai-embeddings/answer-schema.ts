import { z } from '@hono/zod-openapi'

/** The `usage` object of work that has input alone; see `inputUsageJson`. */
export const InputUsageAnswer = z
  .looseObject({
    prompt_tokens: z.int().min(0),
    total_tokens: z.int().min(0),
    search_units: z
      .int()
      .min(0)
      .optional()
      .openapi({ description: 'Of a rerank: one for each query with up to 100 documents.' }),
    estimated_cost: z
      .number()
      .openapi({ description: 'What is charged, in US dollars; exact in GET /v1/usage/{request}.' }),
  })
  .openapi('InputUsage')

/** The answer of embeddings. */
export const EmbeddingsAnswer = z
  .looseObject({
    object: z.literal('list'),
    data: z.array(
      z.looseObject({
        object: z.literal('embedding'),
        index: z.int().min(0),
        embedding: z
          .union([z.array(z.number()), z.string()])
          .openapi({ description: 'Numbers, or little-endian float32 in base64.' }),
      }),
    ),
    model: z.string(),
    usage: InputUsageAnswer,
    service_tier: z.string().optional(),
  })
  .openapi('Embeddings')
