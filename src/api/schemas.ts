import { z } from '@hono/zod-openapi'

/** An error as OpenAI's clients read it; other surfaces have shapes of their own. */
export const ErrorBody = z
  .object({
    error: z.object({
      message: z.string(),
      type: z.string(),
      param: z.string().nullable(),
      code: z.string().openapi({ description: 'A row of the table of errors.' }),
    }),
  })
  .openapi('Error')

/** What a route answers when something goes wrong. */
export const ERROR_ANSWER = {
  default: { description: 'What went wrong, and what to do.', content: { 'application/json': { schema: ErrorBody } } },
}

/** A model on offer; see `modelObject`. */
export const ModelAnswer = z
  .looseObject({
    id: z.string(),
    object: z.literal('model'),
    created: z.int().openapi({ description: 'Unix seconds.' }),
    owned_by: z.string(),
    name: z.string(),
    aliases: z.array(z.string()),
    context_length: z.int(),
    max_output_tokens: z.int(),
    pricing: z.looseObject({}).openapi({ description: 'US dollars per token, decimal strings, in OpenRouter’s form.' }),
    price: z
      .looseObject({})
      .openapi({ description: 'US dollars per million tokens, decimal strings, with windows, steps and tiers.' }),
    metadata: z.looseObject({}).nullable().openapi({ description: 'In DeepInfra’s form.' }),
    capabilities: z.record(z.string(), z.boolean()),
    supported_parameters: z.array(z.string()),
  })
  .openapi('Model')

/** All models on offer. */
export const ModelListAnswer = z
  .looseObject({ object: z.literal('list'), data: z.array(ModelAnswer) })
  .openapi('ModelList')
