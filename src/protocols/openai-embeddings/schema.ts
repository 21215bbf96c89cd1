import { z } from '@hono/zod-openapi'
import { ModelField, optional } from '../generation-fields.ts'
import { TokenIds } from '../openai-completions/schema.ts'

/* The body of `POST /v1/embeddings`, as it is checked and as it is described to people. Fields that it does not know pass. */

/** OpenAI's bound on `input`. */
const INPUTS_MAX = 2048
/** DeepInfra's bound. */
export const DIMENSIONS_MAX = 8192

/** The body of a request for embeddings. */
export const EmbeddingsBody = z
  .looseObject({
    model: ModelField,
    input: z
      .union([
        z.string(),
        TokenIds,
        z
          .array(z.union([z.string(), TokenIds]))
          .min(1)
          .max(INPUTS_MAX),
      ])
      .openapi({ description: `A text, texts, token ids or lists of token ids; at most ${INPUTS_MAX} inputs.` }),
    dimensions: optional(
      z.int().min(1).max(DIMENSIONS_MAX),
      'Length of the vectors. Longer than the model makes them: zeros are appended.',
    ),
    encoding_format: optional(z.enum(['float', 'base64']), 'float: numbers; base64: little-endian float32.'),
    user: optional(z.string(), 'Your own name for whom the request is made.'),
    safety_identifier: optional(z.string(), 'As user, which it replaces.'),
    service_tier: optional(z.string(), 'auto, default, flex or priority.'),
  })
  .openapi('EmbeddingsRequest')
