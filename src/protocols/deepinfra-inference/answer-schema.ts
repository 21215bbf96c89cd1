import { z } from '@hono/zod-openapi'

const STATUS = {
  request_id: z.string(),
  inference_status: z
    .looseObject({
      status: z.enum(['queued', 'succeeded', 'failed']),
      runtime_ms: z.int().min(0),
      cost: z.number().openapi({ description: 'What is charged, in US dollars.' }),
      tokens_generated: z.int().min(0),
      tokens_input: z.int().min(0),
    })
    .openapi('InferenceStatus'),
}

/** The answer of native inference, one form for each kind of work; the last one where the result is sent to a webhook. */
export const InferenceAnswer = z.union([
  z
    .looseObject({
      ...STATUS,
      results: z.array(z.looseObject({ generated_text: z.string() })),
      num_tokens: z.int().min(0),
      num_input_tokens: z.int().min(0),
    })
    .openapi('InferenceText'),
  z
    .looseObject({ ...STATUS, embeddings: z.array(z.array(z.number())), input_tokens: z.int().min(0) })
    .openapi('InferenceEmbeddings'),
  z.looseObject({ ...STATUS, scores: z.array(z.number()), input_tokens: z.int().min(0) }).openapi('InferenceScores'),
  z.looseObject(STATUS).openapi('InferenceQueued'),
])

/** One event of streamed text. The last one has the whole text and its details. */
export const InferenceEventAnswer = z
  .looseObject({
    token: z.looseObject({
      id: z.int().nullable(),
      text: z.string(),
      logprob: z.number().nullable(),
      special: z.boolean(),
    }),
    generated_text: z.string().nullable(),
    details: z
      .looseObject({
        finish_reason: z.string(),
        generated_tokens: z.int().min(0),
        input_tokens: z.int().min(0),
        seed: z.int().nullable(),
      })
      .nullable(),
  })
  .openapi('InferenceEvent')
