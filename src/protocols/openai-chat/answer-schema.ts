import { z } from '@hono/zod-openapi'
import { ANSWER_HEAD, ChatLogprobs, UsageAnswer } from '../usage-schema.ts'

const FinishReason = z.enum(['stop', 'length', 'tool_calls', 'content_filter', 'function_call'])
const Called = z.looseObject({ name: z.string(), arguments: z.string() })
const CustomCalled = z.looseObject({ name: z.string(), input: z.string() })

const MessageAnswer = z
  .looseObject({
    role: z.literal('assistant'),
    content: z.string().nullable(),
    refusal: z.string().nullable(),
    reasoning_content: z.string().optional().openapi({ description: 'What the model thought; also as reasoning.' }),
    reasoning: z.string().optional(),
    tool_calls: z
      .array(
        z.discriminatedUnion('type', [
          z.looseObject({ id: z.string().min(1), type: z.literal('function'), function: Called }),
          z.looseObject({ id: z.string().min(1), type: z.literal('custom'), custom: CustomCalled }),
        ]),
      )
      .optional(),
    function_call: Called.optional(),
  })
  .openapi('ChatMessageAnswer')

/** The answer of a chat completion in one body. */
export const ChatAnswer = z
  .looseObject({
    ...ANSWER_HEAD,
    object: z.literal('chat.completion'),
    choices: z.array(
      z.looseObject({
        index: z.int().min(0),
        message: MessageAnswer,
        logprobs: ChatLogprobs.nullable(),
        finish_reason: FinishReason,
      }),
    ),
    usage: UsageAnswer,
  })
  .openapi('ChatCompletion')

const Delta = z
  .looseObject({
    role: z.literal('assistant').optional(),
    content: z.string().nullish(),
    refusal: z.string().nullish(),
    reasoning_content: z.string().nullish(),
    reasoning: z.string().nullish(),
    tool_calls: z
      .array(
        z.looseObject({
          index: z.int().min(0),
          id: z.string().optional(),
          type: z.enum(['function', 'custom']).optional(),
          function: Called.partial().optional(),
          custom: CustomCalled.partial().optional(),
        }),
      )
      .optional(),
    function_call: Called.partial().optional(),
  })
  .openapi('ChatDelta')

/** One event of a streamed chat completion. The last one has no choices and carries the usage; `data: [DONE]` follows. */
export const ChatChunk = z
  .looseObject({
    ...ANSWER_HEAD,
    object: z.literal('chat.completion.chunk'),
    choices: z.array(
      z.looseObject({
        index: z.int().min(0),
        delta: Delta,
        logprobs: ChatLogprobs.nullish(),
        finish_reason: FinishReason.nullable(),
      }),
    ),
    usage: UsageAnswer.nullish(),
  })
  .openapi('ChatCompletionChunk')
