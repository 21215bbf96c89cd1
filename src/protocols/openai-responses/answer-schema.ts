import { z } from '@hono/zod-openapi'

const Part = z.looseObject({ type: z.string() })
const Summary = z.looseObject({ type: z.literal('summary_text'), text: z.string() })
const Status = z.enum(['in_progress', 'completed', 'incomplete'])

const Item = z
  .discriminatedUnion('type', [
    z.looseObject({
      type: z.literal('message'),
      id: z.string(),
      status: Status,
      role: z.literal('assistant'),
      content: z.array(Part).openapi({ description: 'Parts of type output_text and refusal.' }),
    }),
    z.looseObject({
      type: z.literal('reasoning'),
      id: z.string(),
      status: Status,
      summary: z.array(Summary),
      content: z
        .array(Part)
        .optional()
        .openapi({ description: 'Parts of type reasoning_text: what the model thought.' }),
      encrypted_content: z
        .string()
        .optional()
        .openapi({ description: 'The same, sealed, where "include" asks for it.' }),
    }),
    z.looseObject({
      type: z.literal('function_call'),
      id: z.string(),
      status: Status,
      call_id: z.string(),
      name: z.string(),
      namespace: z.string().optional(),
      arguments: z.string().openapi({ description: 'JSON text.' }),
    }),
    z.looseObject({
      type: z.literal('custom_tool_call'),
      id: z.string(),
      status: Status,
      call_id: z.string(),
      name: z.string(),
      namespace: z.string().optional(),
      input: z.string(),
    }),
  ])
  .openapi('ResponseOutputItem')

const Usage = z
  .looseObject({
    input_tokens: z.int().min(0).openapi({ description: 'Input, cached tokens included.' }),
    input_tokens_details: z.looseObject({ cached_tokens: z.int().min(0) }),
    output_tokens: z.int().min(0).openapi({ description: 'Output, reasoning included.' }),
    output_tokens_details: z.looseObject({ reasoning_tokens: z.int().min(0) }),
    total_tokens: z.int().min(0),
    estimated_cost: z
      .number()
      .openapi({ description: 'What is charged, in US dollars; exact in GET /v1/usage/{request}.' }),
  })
  .openapi('ResponseUsage')

/** A response, at whatever stage. */
export const ResponseAnswer = z
  .looseObject({
    id: z.string().openapi({ description: 'resp_ and the characters that follow req_ in the id of its request.' }),
    object: z.literal('response'),
    created_at: z.int().openapi({ description: 'Unix seconds.' }),
    completed_at: z.int().nullable(),
    status: z.enum(['queued', 'in_progress', 'completed', 'incomplete', 'failed', 'cancelled']),
    model: z.string(),
    output: z.array(Item),
    error: z.looseObject({ code: z.string(), message: z.string() }).nullable(),
    incomplete_details: z.looseObject({ reason: z.enum(['max_output_tokens', 'content_filter']) }).nullable(),
    usage: z.union([Usage, z.null()]),
    previous_response_id: z.string().nullable(),
    background: z.boolean(),
    store: z.boolean().openapi({ description: 'Whether it is kept.' }),
  })
  .openapi('Response')

/** A conversation made shorter. */
export const CompactionAnswer = z
  .looseObject({
    id: z.string(),
    object: z.literal('response.compaction'),
    created_at: z.int().openapi({ description: 'Unix seconds.' }),
    output: z.array(z.looseObject({ type: z.string(), id: z.string() })).openapi({
      description:
        'What the user said, and an item of type compaction: to be sent as input in place of the conversation.',
    }),
    usage: Usage,
  })
  .openapi('ResponseCompaction')

/** The data of one event of a streamed response. */
export const ResponseEvent = z
  .looseObject({ type: z.string(), sequence_number: z.int().min(0) })
  .openapi('ResponseEvent', {
    description: 'The last one is response.completed, response.incomplete or response.failed.',
  })
