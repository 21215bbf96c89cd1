import { z } from '@hono/zod-openapi'

/** Most tools of a request: programs with several tool servers bring hundreds. */
const TOOLS_MAX = 1024
/** As many as on our other wires. */
const STOP_SEQUENCES_MAX = 16

const cacheControl = z
  .looseObject({ type: z.string(), ttl: z.string().nullish() })
  .nullish()
  .openapi({ description: 'Marks the end of a prefix that is worth caching.' })

const textBlock = z.looseObject({ text: z.string() })
const base64Source = z.looseObject({ media_type: z.string().min(1), data: z.string().min(1) })
const urlSource = z.looseObject({ url: z.string().min(1) })
const textBlocks = z.array(z.looseObject({ type: z.literal('text'), text: z.string() }))

/** What a source has to hold, by its type. */
const SOURCES: Readonly<Record<string, z.ZodType>> = {
  base64: base64Source,
  url: urlSource,
  text: z.looseObject({ data: z.string() }),
}

/** What a block has to hold, by its type. Blocks of other types pass: they are left out, and the answer names them. */
const BLOCKS: Readonly<Record<string, z.ZodType>> = {
  text: textBlock,
  image: z.looseObject({ source: sourceOf('base64', 'url', 'file') }),
  document: z.looseObject({
    source: sourceOf('base64', 'url', 'file', 'text', 'content'),
    title: z.string().nullish(),
    context: z.string().nullish(),
  }),
  search_result: z.looseObject({ source: z.string(), title: z.string(), content: textBlocks }),
  thinking: z.looseObject({ thinking: z.string(), signature: z.string().nullish() }),
  redacted_thinking: z.looseObject({ data: z.string() }),
  tool_use: z.looseObject({ id: z.string().min(1), name: z.string().min(1), input: z.looseObject({}).nullish() }),
  tool_result: z.looseObject({
    tool_use_id: z.string().min(1),
    content: z.lazy(() => content.nullish()),
    is_error: z.boolean().nullish(),
  }),
  tool_reference: z.looseObject({ tool_name: z.string().min(1) }),
}

const block = z.looseObject({ type: z.string(), cache_control: cacheControl }).superRefine(checkBy(BLOCKS, 'type'))
const content = z.union([z.string(), z.array(block)])

/** A source is told by its type; `content` holds blocks of its own. */
function sourceOf(...types: readonly [string, ...string[]]) {
  return z.looseObject({ type: z.enum(types) }).superRefine((source, context) => {
    if (source.type === 'content') report(content.safeParse(source.content), ['content'], context)
    else checkBy(SOURCES, 'type')(source, context)
  })
}

function checkBy(schemas: Readonly<Record<string, z.ZodType>>, key: string) {
  return (value: { readonly [key: string]: unknown }, context: z.RefinementCtx) => {
    const type = value[key]
    if (typeof type === 'string' && Object.hasOwn(schemas, type))
      report((schemas[type] as z.ZodType).safeParse(value), [], context)
  }
}

function report(checked: z.ZodSafeParseResult<unknown>, path: readonly PropertyKey[], context: z.RefinementCtx): void {
  if (checked.success) return
  for (const issue of checked.error.issues)
    context.issues.push({ ...issue, path: [...path, ...issue.path], input: undefined } as never)
}

const message = z.looseObject({
  role: z.enum(['user', 'assistant', 'system']),
  content: content.openapi({ description: 'A text, or content blocks.' }),
})

const tool = z
  .looseObject({
    type: z
      .string()
      .nullish()
      .openapi({ description: '`custom`, or the versioned type of a tool that its maker runs.' }),
    name: z.string().nullish(),
    description: z.string().nullish(),
    input_schema: z.looseObject({}).nullish().openapi({ description: 'JSON schema of the input.' }),
    strict: z.boolean().nullish(),
    defer_loading: z.boolean().nullish(),
    cache_control: cacheControl,
  })
  .superRefine((declared, context) => {
    // Others have their schema from their version.
    if (declared.type !== undefined && declared.type !== null && declared.type !== 'custom') return
    if (typeof declared.name !== 'string' || !/^[\w.:-]{1,128}$/.test(declared.name))
      context.addIssue({ code: 'custom', path: ['name'], message: 'at most 128 letters, digits, _, -, . or :' })
    if (declared.input_schema === undefined || declared.input_schema === null)
      context.addIssue({ code: 'custom', path: ['input_schema'], message: 'an object' })
  })

const toolChoice = z
  .looseObject({
    type: z.enum(['auto', 'any', 'tool', 'none']),
    name: z.string().min(1).nullish(),
    disable_parallel_tool_use: z.boolean().nullish(),
  })
  .superRefine((choice, context) => {
    if (choice.type === 'tool' && (choice.name === undefined || choice.name === null))
      context.addIssue({ code: 'custom', path: ['name'], message: 'the name of a tool' })
  })

const thinking = z.looseObject({
  type: z.string().nullish().openapi({ description: 'enabled, adaptive or disabled.' }),
  budget_tokens: z.int().min(1).nullish(),
  enabled: z.boolean().nullish(),
  display: z.string().nullish(),
})

const outputConfig = z.looseObject({
  effort: z
    .string()
    .nullish()
    .openapi({ description: 'low to max; a level that the model does not have means the nearest.' }),
  format: z.looseObject({ type: z.literal('json_schema'), schema: z.looseObject({}) }).nullish(),
})

const fields = {
  model: z.string().min(1).max(256),
  messages: z.array(message).min(1),
  system: z.union([z.string(), z.array(block)]).nullish(),
  tools: z.array(tool).max(TOOLS_MAX).nullish(),
  tool_choice: toolChoice.nullish(),
  thinking: thinking.nullish(),
  output_config: outputConfig.nullish(),
  output_format: outputConfig.shape.format,
  cache_control: cacheControl,
}

/** Body of `POST /v1/messages` where `max_tokens` may be left out, as DeepInfra takes it: the model's own limit then holds. */
export const LenientMessagesRequest = z
  .looseObject({
    ...fields,
    max_tokens: z.int().min(1).nullish(),
    stream: z.boolean().nullish(),
    stop_sequences: z.array(z.string()).max(STOP_SEQUENCES_MAX).nullish(),
    temperature: z.number().min(0).max(2).nullish(),
    top_p: z.number().min(0).max(1).nullish(),
    top_k: z.int().min(-1).nullish(),
    metadata: z.looseObject({ user_id: z.string().nullish() }).nullish(),
    service_tier: z.string().nullish(),
  })
  .openapi('LenientMessagesRequest', {
    description: "A request of Anthropic's Messages API. Fields that are not listed are ignored.",
  })

/** Body of `POST /v1/messages`. */
export const MessagesRequest = LenientMessagesRequest.extend({
  max_tokens: z.int().min(1).openapi({ description: 'Most tokens of the answer, thinking included.' }),
}).openapi('MessagesRequest')

/** Body of `POST /v1/messages/count_tokens`. */
export const CountTokensRequest = z.looseObject(fields).openapi('CountTokensRequest', {
  description: "A request of Anthropic's Messages API whose input is to be counted.",
})
