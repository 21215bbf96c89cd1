import { z } from '@hono/zod-openapi'

const Count = z.int().min(0)

const UsageAnswer = z
  .looseObject({
    input_tokens: Count.openapi({ description: 'Input that was neither read from nor written to a cache.' }),
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
    output_tokens: Count,
    output_tokens_details: z.looseObject({ thinking_tokens: Count }).optional(),
    estimated_cost: z.number().optional().openapi({ description: 'The charge in dollars, exact.' }),
    notice: z.string().optional().openapi({ description: 'Why an answer was cut short for want of credit.' }),
  })
  .openapi('MessageUsage')

const ContentBlock = z
  .discriminatedUnion('type', [
    z.looseObject({ type: z.literal('text'), text: z.string() }),
    z.looseObject({ type: z.literal('thinking'), thinking: z.string(), signature: z.string() }),
    z.looseObject({ type: z.literal('redacted_thinking'), data: z.string() }),
    z.looseObject({ type: z.literal('tool_use'), id: z.string().min(1), name: z.string(), input: z.looseObject({}) }),
  ])
  .openapi('ContentBlock')

const STOP = {
  stop_reason: z.enum(['end_turn', 'max_tokens', 'stop_sequence', 'tool_use', 'refusal']).nullable(),
  stop_sequence: z.string().nullable(),
  stop_details: z.null(),
  container: z.null(),
}

/** The answer of `POST /v1/messages` in one body. */
export const MessageAnswer = z
  .looseObject({
    id: z.string().startsWith('msg_'),
    type: z.literal('message'),
    role: z.literal('assistant'),
    model: z.string(),
    content: z.array(ContentBlock),
    ...STOP,
    diagnostics: z.null(),
    usage: UsageAnswer,
  })
  .openapi('Message')

const Delta = z.discriminatedUnion('type', [
  z.looseObject({ type: z.literal('text_delta'), text: z.string() }),
  z.looseObject({ type: z.literal('thinking_delta'), thinking: z.string() }),
  z.looseObject({ type: z.literal('signature_delta'), signature: z.string() }),
  z.looseObject({ type: z.literal('input_json_delta'), partial_json: z.string() }),
])

/** The data of one event of a streamed message; its name is its `type`. */
export const MessageEvent = z
  .discriminatedUnion('type', [
    z.looseObject({ type: z.literal('message_start'), message: MessageAnswer }),
    z.looseObject({ type: z.literal('content_block_start'), index: Count, content_block: ContentBlock }),
    z.looseObject({ type: z.literal('content_block_delta'), index: Count, delta: Delta }),
    z.looseObject({ type: z.literal('content_block_stop'), index: Count }),
    z.looseObject({ type: z.literal('message_delta'), delta: z.looseObject(STOP), usage: UsageAnswer }),
    z.looseObject({ type: z.literal('message_stop') }),
    z.looseObject({ type: z.literal('error'), error: z.looseObject({ type: z.string(), message: z.string() }) }),
  ])
  .openapi('MessageEvent')
