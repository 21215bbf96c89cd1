import { z } from '@hono/zod-openapi'
import { COMMON_FIELDS, optional } from '../generation-fields.ts'

/* The body of `POST /v1/chat/completions`, as it is checked and as it is described to people. Fields that it does not know pass. */

/** OpenAI's bound on `tools`. */
const TOOLS_MAX = 128

const CacheControl = optional(z.looseObject({}), 'Marks the end of a prefix worth caching, as in Anthropic’s Messages.')

const Part = z
  .looseObject({
    type: z.string().openapi({
      description: 'text; image_url where the model sees; refusal in an assistant message.',
      example: 'text',
    }),
    cache_control: CacheControl,
  })
  .openapi('ChatContentPart')

const Content = z.union([z.string(), z.array(Part)])

const Called = z.looseObject({
  name: z.string().min(1),
  arguments: z.string().openapi({ description: 'JSON text.' }),
})

const ToolCall = z
  .looseObject({
    id: z.string().min(1),
    type: optional(z.string(), 'function or custom'),
    function: Called.nullish(),
    custom: z.looseObject({ name: z.string().min(1), input: z.string() }).nullish(),
  })
  .openapi('ChatToolCall')

const Message = z
  .discriminatedUnion('role', [
    z.looseObject({ role: z.literal('developer'), content: Content }),
    z.looseObject({ role: z.literal('system'), content: Content }),
    z.looseObject({ role: z.literal('user'), content: Content }),
    z.looseObject({
      role: z.literal('assistant'),
      content: Content.nullish(),
      tool_calls: z.array(ToolCall).nullish(),
      function_call: Called.nullish(),
      reasoning_content: optional(z.string(), 'What the model thought before; also as reasoning.'),
      reasoning_details: optional(z.array(z.looseObject({})), 'Thinking with its signatures, in OpenRouter’s form.'),
      prefix: optional(z.boolean(), 'The answer goes on where this last message ends.'),
    }),
    z.looseObject({ role: z.literal('tool'), content: Content, tool_call_id: z.string().min(1) }),
    z.looseObject({ role: z.literal('function'), content: Content, name: z.string().min(1) }),
  ])
  .openapi('ChatMessage')

const FunctionTool = z.looseObject({
  name: z.string().regex(/^[\w.:-]{1,128}$/, 'at most 128 letters, digits, _, -, . or :'),
  description: z.string().nullish(),
  parameters: optional(z.looseObject({}), 'JSON Schema.'),
  strict: z.boolean().nullish(),
})

const Tool = z
  .discriminatedUnion('type', [
    z.looseObject({ type: z.literal('function'), function: FunctionTool }),
    z.looseObject({
      type: z.literal('custom'),
      custom: z.looseObject({
        name: FunctionTool.shape.name,
        description: z.string().nullish(),
        format: optional(
          z.looseObject({ type: z.string() }),
          'text, or a grammar, which is told to the model and not enforced.',
        ),
      }),
    }),
  ])
  .openapi('ChatTool')

const ResponseFormat = z
  .discriminatedUnion('type', [
    z.looseObject({ type: z.literal('text') }),
    z.looseObject({ type: z.literal('json_object') }),
    z.looseObject({
      type: z.literal('json_schema'),
      json_schema: z.looseObject({
        name: z.string().nullish(),
        // Optional in OpenAI's types; without one any object will do.
        schema: z.looseObject({}).nullish(),
        strict: z.boolean().nullish(),
      }),
    }),
  ])
  .openapi('ResponseFormat')

/** The body of a chat completion. */
export const ChatBody = z
  .looseObject({
    ...COMMON_FIELDS,
    messages: z.array(Message).min(1),
    max_completion_tokens: optional(z.int().min(1), 'Most output tokens of a choice, reasoning included.'),
    max_tokens: optional(z.int().min(1), 'Older name of max_completion_tokens.'),
    logprobs: optional(z.boolean(), 'Reports the log probability of each output token.'),
    top_logprobs: optional(z.int().min(0).max(20), 'So many alternatives to each token; needs logprobs.'),
    tools: optional(z.array(Tool).max(TOOLS_MAX), 'What the model may call.'),
    tool_choice: optional(
      z.union([z.string(), z.looseObject({ type: z.string() })]),
      'none, auto, required, a function or custom tool by name, or allowed_tools.',
    ),
    parallel_tool_calls: optional(z.boolean(), 'Whether the model may call more than one tool at once.'),
    functions: optional(z.array(FunctionTool).max(TOOLS_MAX), 'Deprecated form of tools.'),
    function_call: optional(
      z.union([z.string(), z.looseObject({ name: z.string() })]),
      'Deprecated form of tool_choice.',
    ),
    response_format: optional(ResponseFormat, 'Binds the answer to JSON, or to a schema.'),
    reasoning_effort: optional(
      z.string(),
      'none, minimal, low, medium, high, xhigh or max; the nearest that the model knows.',
    ),
    reasoning: optional(
      z.looseObject({
        effort: z.string().nullish(),
        enabled: z.boolean().nullish(),
        max_tokens: z.int().nullish(),
        exclude: optional(z.boolean(), 'Leaves reasoning out of the answer; it is charged all the same.'),
      }),
      'OpenRouter’s and DeepInfra’s form of reasoning_effort.',
    ),
    include_reasoning: optional(z.boolean(), 'False is the older form of reasoning.exclude.'),
    thinking: optional(
      z.looseObject({ type: z.enum(['enabled', 'disabled', 'adaptive']).nullish() }),
      'DeepSeek’s switch for reasoning.',
    ),
    chat_template_kwargs: optional(z.looseObject({}), 'Handed to the chat template.'),
    modalities: optional(z.array(z.string()), 'Only text.'),
    store: optional(z.boolean(), 'Keeps the completion, so that it can be read again.'),
  })
  .openapi('ChatCompletionRequest')
