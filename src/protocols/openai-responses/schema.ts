import { z } from '@hono/zod-openapi'
import { Metadata, ModelField } from '../generation-fields.ts'

/**
 * The body of `POST /v1/responses`, as far as it is checked. Fields that are not here pass: of options of a model's own all go on to it.
 * https://platform.openai.com/docs/api-reference/responses/create
 */

// Of a union's branches zod tells of the one alone whose fault does not abort, and this is never the one that was meant.
const ABORT = { abort: true } as const
const CHECKED_PARTS = new Set(['input_text', 'output_text', 'text', 'refusal', 'input_image'])

const text = z.looseObject({ type: z.enum(['input_text', 'output_text', 'text']), text: z.string() })
const refusal = z.looseObject({ type: z.literal('refusal'), refusal: z.string() })
const image = z.looseObject({
  type: z.literal('input_image'),
  image_url: z.string().nullish().openapi({ description: 'An address, or a data URL.' }),
  detail: z.string().nullish(),
})
const otherPart = z.looseObject({
  type: z.string().refine(type => !CHECKED_PARTS.has(type), ABORT),
})
const content = z.union([
  z.string(),
  z.array(z.union([z.discriminatedUnion('type', [text, refusal, image]), otherPart])),
])

const role = z.enum(['user', 'assistant', 'system', 'developer'])
const message = z.looseObject({ type: z.literal('message').nullish(), role, content })
const functionCall = z.looseObject({
  type: z.literal('function_call'),
  call_id: z.string().min(1),
  name: z.string().min(1),
  namespace: z.string().nullish(),
  arguments: z.string().openapi({ description: 'JSON text.' }),
})
const functionCallOutput = z.looseObject({
  type: z.enum(['function_call_output', 'custom_tool_call_output']),
  call_id: z.string().min(1),
  output: content,
})
const customToolCall = z.looseObject({
  type: z.literal('custom_tool_call'),
  call_id: z.string().min(1),
  name: z.string().min(1),
  input: z.string(),
})
const textPart = z.looseObject({ text: z.string() })
const reasoning = z.looseObject({
  type: z.literal('reasoning'),
  summary: z.array(textPart).nullish(),
  content: z.array(textPart).nullish(),
  encrypted_content: z
    .string()
    .nullish()
    .openapi({ description: 'As it came; it holds the reasoning of a response that was not kept.' }),
})
const compaction = z.looseObject({
  type: z.literal('compaction'),
  encrypted_content: z.string().openapi({ description: 'As POST /v1/responses/compact answered it.' }),
})
const itemReference = z.looseObject({
  type: z.literal('item_reference'),
  id: z.string().min(1).openapi({ description: 'The id of an item of an earlier response that was kept.' }),
})
const known = [message, functionCall, functionCallOutput, customToolCall, reasoning, compaction, itemReference] as const
const KNOWN_TYPES = new Set([
  ...['message', 'function_call', 'function_call_output', 'custom_tool_call', 'custom_tool_call_output'],
  ...['reasoning', 'compaction', 'item_reference'],
])
const otherItem = z
  .looseObject({ type: z.string().refine(type => !KNOWN_TYPES.has(type), ABORT) })
  .openapi({ description: 'An item of another type is left out, and named in the header x-headrace-dropped.' })

const item = z.union([z.discriminatedUnion('type', [...known]), otherItem])

const tool = z
  .looseObject({
    type: z.string(),
    name: z.string().min(1).optional(),
    description: z.string().nullish(),
    parameters: z.looseObject({}).nullish(),
    tools: z.array(z.looseObject({ type: z.string(), name: z.string().min(1).optional() })).optional(),
  })
  .refine(each => !['function', 'custom', 'namespace'].includes(each.type) || each.name !== undefined, {
    path: ['name'],
    message: 'is required',
  })
  .openapi({
    description: 'A function, a custom tool or a namespace of them. Tools that a host would run are left out.',
  })

/** What can be asked of `POST /v1/responses`. */
export const RESPONSES_BODY = z
  .looseObject({
    model: ModelField,
    input: z.union([z.string(), z.array(item)]).nullish(),
    instructions: z
      .string()
      .nullish()
      .openapi({ description: 'Comes before the input; not carried over by previous_response_id.' }),
    previous_response_id: z.string().min(1).nullish().openapi({
      description: 'A response that was kept: its input and output come before the input. All of it is charged.',
    }),
    store: z
      .boolean()
      .nullish()
      .openapi({ description: 'Keep the response, to be read and continued by its id. Default true.' }),
    background: z.boolean().nullish().openapi({ description: 'Answer at once and work on it until it ends.' }),
    stream: z.boolean().nullish(),
    max_output_tokens: z.int().min(1).nullish(),
    temperature: z.number().min(0).max(2).nullish(),
    top_p: z.number().min(0).max(1).nullish(),
    top_logprobs: z.int().min(0).max(20).nullish(),
    tools: z.array(tool).nullish(),
    tool_choice: z.union([z.string(), z.looseObject({ type: z.string() })]).nullish(),
    parallel_tool_calls: z.boolean().nullish(),
    reasoning: z
      .looseObject({
        effort: z.string().nullish(),
        summary: z
          .string()
          .nullish()
          .openapi({ description: '"none" leaves the summary out; otherwise it is the reasoning itself.' }),
      })
      .nullish(),
    text: z
      .looseObject({
        format: z.looseObject({ type: z.enum(['text', 'json_object', 'json_schema']) }).nullish(),
        verbosity: z.string().nullish(),
      })
      .nullish(),
    include: z.array(z.string()).nullish(),
    truncation: z.enum(['auto', 'disabled']).nullish(),
    metadata: Metadata.nullish(),
    service_tier: z.string().nullish(),
    prompt_cache_key: z.string().nullish(),
    safety_identifier: z.string().nullish(),
    user: z.string().nullish(),
  })
  .openapi('ResponseRequest')
