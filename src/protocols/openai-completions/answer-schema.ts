import { z } from '@hono/zod-openapi'
import { ANSWER_HEAD, UsageAnswer } from '../usage-schema.ts'

const Logprobs = z
  .looseObject({
    tokens: z.array(z.string()),
    token_logprobs: z
      .array(z.number().nullable())
      .openapi({ description: 'Null for the first token of an echoed prompt.' }),
    top_logprobs: z.array(z.record(z.string(), z.number()).nullable()).nullable(),
    text_offset: z.array(z.int().min(0)),
  })
  .openapi('CompletionLogprobs')

function choices<Finish extends z.ZodType>(finish: Finish) {
  return z.array(
    z.looseObject({
      index: z.int().min(0),
      text: z.string(),
      logprobs: Logprobs.nullable(),
      finish_reason: finish,
    }),
  )
}

const FinishReason = z.enum(['stop', 'length', 'content_filter'])

/** The answer of a text completion in one body. */
export const CompletionAnswer = z
  .looseObject({
    ...ANSWER_HEAD,
    object: z.literal('text_completion'),
    choices: choices(FinishReason),
    usage: UsageAnswer,
  })
  .openapi('Completion')

/** One event of a streamed text completion. The last one has no choices and carries the usage; `data: [DONE]` follows. */
export const CompletionChunk = z
  .looseObject({
    ...ANSWER_HEAD,
    object: z.literal('text_completion'),
    choices: choices(FinishReason.nullable()),
    usage: UsageAnswer.nullish(),
  })
  .openapi('CompletionChunk')
