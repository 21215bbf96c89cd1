import type { ChatMessage, GenerationInput, JsonObject, ToolDeclaration } from '../inference/request.ts'
import type { Binding, FormattedChat, NativeOptions } from './binding.ts'
import { type BegunAnswer, begunBy, continued, endsInside } from './continuation.ts'
import { RequestFault } from './fault.ts'
import type { FimMarks } from './fim.ts'
import { type GenericTools, genericTools } from './generic-tools.ts'
import { grammarFault } from './grammar-check.ts'
import { textOfTokens } from './token-text.ts'
import { boundableTools } from './tool-schema.ts'

/** One prompt as the model will read it. */
export interface PreparedPrompt {
  readonly text: string
  readonly tokens: Int32Array
  /** Tokens at its beginning that the client did not write: the mark that every prompt begins with. */
  readonly added: number
  /** Images, one for each mark in the text. */
  readonly images: readonly string[]
  /** What `echo` sends before the answer. */
  readonly echo?: string
}

/** How the raw text of an answer becomes content, reasoning and tool calls. */
export type AnswerShape =
  | { readonly kind: 'text' }
  | { readonly kind: 'reasoning'; readonly startTag: string; readonly endTag: string; readonly open: boolean }
  /** The binding's parser, for templates with tools of their own. It parses the whole answer again for every token. */
  | { readonly kind: 'parsed' }
  | { readonly kind: 'generic-tools'; readonly tools: GenericTools }

/** A request made ready for slots: what all its choices share. */
export interface Prepared {
  readonly prompts: readonly PreparedPrompt[]
  readonly shape: AnswerShape
  /** Options that come from the prompt rather than from sampling: grammar, template, tools. */
  readonly options: NativeOptions
  /** Whether those options bind the answer to a grammar. */
  readonly guided: boolean
  /** Sequences at which the template ends an answer, beside the client's own. */
  readonly stops: readonly string[]
}

/** What is known of the model's tokenizer and template. */
export interface PromptModel {
  readonly chatTemplate: boolean
  readonly toolTemplate: boolean
  /** The text of the token that every prompt must begin with; '' when the model wants none. */
  readonly bos: string
  /** Whether it reads images. */
  readonly vision: boolean
  /** The marks of a fill-in-the-middle prompt; undefined when the model has none. */
  readonly fim: FimMarks | undefined
}

/** Applies the template and tokenizes. Throws `RequestFault` for what cannot be run. */
export async function prepare(binding: Binding, model: PromptModel, input: GenerationInput): Promise<Prepared> {
  if (input.kind === 'chat') return prepareChat(binding, model, input)
  if (input.kind === 'text') return prepareText(binding, model, input)
  throw new RequestFault('bad_request', 'This model generates text; it makes no embeddings and ranks no documents.')
}

async function prepareText(
  binding: Binding,
  model: PromptModel,
  input: Extract<GenerationInput, { kind: 'text' }>,
): Promise<Prepared> {
  const fill = input.suffix === undefined ? undefined : filler(model, input.suffix)
  const prompts: PreparedPrompt[] = []
  for (const prompt of input.prompts) {
    if (typeof prompt === 'string') {
      const written = fill === undefined ? prompt : fill(prompt)
      const text = written.startsWith(model.bos) ? written : model.bos + written
      if (text.length === 0) {
        throw new RequestFault(
          'bad_request',
          'The prompt is empty and the model has no token to begin with; send text.',
        )
      }
      const added = text.length > written.length ? 1 : 0
      prompts.push({ text, tokens: await binding.tokenize(text), added, images: [], echo: prompt })
    } else if (fill !== undefined) {
      throw new RequestFault('bad_request', 'suffix needs a prompt of text; token ids have no place around them.')
    } else {
      prompts.push(await fromTokenIds(binding, prompt))
    }
  }
  const shared = { shape: { kind: 'text' } as const, options: {}, guided: false, stops: [] }
  return { prompts: input.echo ? prompts : prompts.map(({ echo: _, ...prompt }) => prompt), ...shared }
}

/** Writes a prompt in front of a suffix as the model was trained to fill in between. */
function filler(model: PromptModel, suffix: string): (prompt: string) => string {
  const { fim } = model
  if (fim === undefined) {
    throw new RequestFault(
      'bad_request',
      'suffix is not supported by this model: it has no tokens for filling in the middle. Leave it out.',
    )
  }
  return prompt => fim.prefix + prompt + fim.suffix + suffix + fim.middle
}

/** The binding takes text only, so token ids must survive the trip through text unchanged. */
async function fromTokenIds(binding: Binding, ids: readonly number[]): Promise<PreparedPrompt> {
  if (ids.length === 0) throw new RequestFault('bad_request', 'A prompt of token ids is empty; send at least one.')
  const text = await textOfTokens(binding, ids).catch(() => {
    // What the tokenizer says of an id beyond its table is an error of C++, which would count as the engine's failure.
    throw new RequestFault('bad_request', "One of these token ids is not in the model's vocabulary.")
  })
  if (text === undefined) {
    throw new RequestFault(
      'bad_request',
      "These token ids are not what the model's tokenizer makes of their text, and the embedded engine runs text; send the prompt as text.",
    )
  }
  return { text, tokens: Int32Array.from(ids), added: 0, images: [], echo: text }
}

async function prepareChat(
  binding: Binding,
  model: PromptModel,
  input: Extract<GenerationInput, { kind: 'chat' }>,
): Promise<Prepared> {
  if (!model.chatTemplate) {
    throw new RequestFault('bad_request', 'This model has no chat template; use /v1/completions.')
  }
  const schema = schemaOf(input.responseFormat)
  const tools = boundableTools(chosenTools(input.tools, input.toolChoice))
  const calls = tools.length > 0 && input.toolChoice !== 'none'
  if (calls && schema !== undefined) {
    throw new RequestFault('bad_request', 'response_format cannot be combined with tools; leave one of them out.')
  }
  const forced = calls && input.toolChoice !== 'auto'
  const parallel = input.parallelToolCalls ?? true
  const images: string[] = []
  let messages = input.messages.map(message => nativeMessage(message, model, images))
  let begun: BegunAnswer | undefined
  if (input.continuesLast === true) {
    if (calls || schema !== undefined) {
      throw new RequestFault(
        'bad_request',
        'An answer that was begun cannot go on with tools or response_format; leave them out, or end with a user message.',
      )
    }
    begun = begunBy(input.messages.at(-1) as ChatMessage, messages.pop()?.content)
  }
  const effort = begun?.reasoning === '' ? 'none' : input.reasoningEffort
  const params: NativeOptions = {
    ...thinkingParams(effort, input.chatTemplateKwargs),
    reasoning_format: 'auto',
  }

  if (tools.length > 0 && (forced || !model.toolTemplate)) {
    const generic = genericTools(tools, { forced, parallel })
    if (model.toolTemplate) {
      params.tools = tools
      params.tool_choice = 'none'
    } else {
      messages = generic.introduce(messages)
    }
    if (!calls) return finish(binding, format(binding, messages, params), images, undefined, begun)
    const responseFormat = { type: 'json_schema', json_schema: { schema: generic.schema } }
    // A schema that makes no grammar must fail here: in the queue it would end the process.
    format(binding, messages, { response_format: responseFormat })
    // An answer that must be calls has no place for thinking.
    const formatted = format(binding, messages, { ...params, enable_thinking: false })
    return {
      prompts: [await toPrompt(binding, formatted.prompt, images)],
      shape: { kind: 'generic-tools', tools: generic },
      options: { response_format: responseFormat },
      guided: true,
      stops: formatted.additional_stops ?? [],
    }
  }

  if (tools.length > 0) {
    params.tools = tools
    params.tool_choice = calls ? 'auto' : 'none'
    params.parallel_tool_calls = parallel
  }
  if (schema !== undefined) params.response_format = { type: 'json_schema', json_schema: { schema } }
  const formatted = format(binding, messages, params)
  // With tools, or a schema after thinking, the grammar depends on the template: the binding applies both together.
  if (calls || (schema !== undefined && formatted.thinking_start_tag !== undefined)) {
    return {
      prompts: [await toPrompt(binding, formatted.prompt, images)],
      shape: { kind: 'parsed' },
      options: { ...params, messages, jinja: true },
      guided: true,
      stops: formatted.additional_stops ?? [],
    }
  }
  return finish(binding, formatted, images, schema, begun)
}

/** A chat whose answer is text, perhaps after thinking, perhaps bound to a schema. */
async function finish(
  binding: Binding,
  fresh: FormattedChat,
  images: readonly string[],
  schema: JsonObject | undefined,
  begun: BegunAnswer | undefined,
): Promise<Prepared> {
  const formatted = begun === undefined ? fresh : continued(fresh, begun)
  const { thinking_start_tag: startTag, thinking_end_tag: endTag } = formatted
  const shape: AnswerShape =
    startTag !== undefined && endTag !== undefined && schema === undefined
      ? { kind: 'reasoning', startTag, endTag, open: endsInside(formatted.prompt, startTag, endTag) }
      : { kind: 'text' }
  return {
    prompts: [await toPrompt(binding, formatted.prompt, images)],
    shape,
    options: schema === undefined ? {} : { response_format: { type: 'json_schema', json_schema: { schema } } },
    guided: schema !== undefined,
    stops: formatted.additional_stops ?? [],
  }
}

async function toPrompt(binding: Binding, text: string, images: readonly string[]): Promise<PreparedPrompt> {
  if (images.length === 0) return { text, tokens: await binding.tokenize(text), added: 0, images }
  const tokens = await binding.tokenize(text, images).catch(() => {
    throw new RequestFault(
      'bad_request',
      'An image could not be read; send PNG, JPEG, BMP or GIF as base64 in a data: URL.',
    )
  })
  return { text, tokens, added: 0, images }
}

function format(binding: Binding, messages: readonly object[], params: NativeOptions): FormattedChat {
  let formatted: FormattedChat
  try {
    formatted = binding.format(messages, params)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const schemaFault = /JSON schema conversion failed:\s*([\s\S]*)$/.exec(message)?.[1]
    throw new RequestFault(
      'bad_request',
      schemaFault === undefined
        ? // Templates refuse chats that they cannot express: roles that do not alternate, say.
          `The model's chat template refused the messages: ${message}`
        : `The JSON schema cannot be used: ${schemaFault.trim()}`,
    )
  }
  const fault =
    formatted.grammar === undefined || formatted.grammar === '' ? undefined : grammarFault(formatted.grammar)
  if (fault !== undefined) throw new RequestFault('bad_request', `The JSON schema cannot be used: ${fault}.`)
  return formatted
}

function schemaOf(format: Extract<GenerationInput, { kind: 'chat' }>['responseFormat']): JsonObject | undefined {
  if (format.type === 'json_schema') return format.json_schema.schema
  return format.type === 'json_object' ? { type: 'object' } : undefined
}

function chosenTools(
  tools: readonly ToolDeclaration[],
  choice: Extract<GenerationInput, { kind: 'chat' }>['toolChoice'],
): readonly ToolDeclaration[] {
  if (typeof choice === 'string') return tools
  const named = tools.filter(tool => tool.function.name === choice.function.name)
  if (named.length === 0) {
    throw new RequestFault('bad_request', `tool_choice names "${choice.function.name}", which is not among the tools.`)
  }
  return named
}

/** Where an image stands in a prompt (mtmd.h, `mtmd_default_marker`). */
const IMAGE_MARK = '<__media__>'

/** Templates know neither `developer` nor typed parts; the rest of a message goes on as it is. Its images are put to the list. */
function nativeMessage(message: ChatMessage, model: PromptModel, images: string[]): JsonObject {
  const role = message.role === 'developer' ? 'system' : message.role === 'function' ? 'tool' : message.role
  const content = message.content
  if (content === undefined || content === null) {
    // A template may choke on a missing content, and takes null beside tool calls.
    return { ...message, role, content: Array.isArray(message.tool_calls) ? null : '' }
  }
  // What a client writes is no mark.
  const plain = (text: string): string => (model.vision ? text.replaceAll(IMAGE_MARK, '<media>') : text)
  if (typeof content === 'string') return { ...message, role, content: plain(content) }
  const texts = content.map(part => {
    if (part.type === 'text' && typeof part.text === 'string') return plain(part.text)
    if (part.type === 'refusal' && typeof part.refusal === 'string') return plain(part.refusal)
    if (part.type === 'image_url' && model.vision) {
      images.push(imageUrl(part.image_url))
      return IMAGE_MARK
    }
    throw new RequestFault(
      'bad_request',
      `The model reads text only; a message has a part of type "${String(part.type)}".`,
    )
  })
  return { ...message, role, content: texts.join('\n') }
}

function imageUrl(image: unknown): string {
  const url = typeof image === 'string' ? image : (image as { url?: unknown } | null | undefined)?.url
  if (typeof url === 'string' && /^data:image\/[\w.+-]+;base64,/.test(url)) return url
  throw new RequestFault('bad_request', 'An image has to be a data: URL of an image in base64.')
}

/** Effort and template arguments: `none` switches thinking off wherever a template can. */
function thinkingParams(
  effort: string | undefined,
  kwargs: Readonly<Record<string, unknown>> | undefined,
): Pick<NativeOptions, 'enable_thinking' | 'chat_template_kwargs'> {
  const all: Record<string, unknown> = { ...kwargs }
  let enabled = true
  if (effort !== undefined) {
    enabled = effort !== 'none'
    all.thinking ??= enabled
    if (enabled) all.reasoning_effort ??= effort
  }
  if (typeof all.enable_thinking === 'boolean') enabled = all.enable_thinking
  if (typeof all.thinking === 'boolean' && kwargs?.enable_thinking === undefined) enabled = all.thinking
  delete all.enable_thinking
  // The binding hands each value to the template as JSON text.
  const native = Object.fromEntries(Object.entries(all).map(([key, value]) => [key, JSON.stringify(value)]))
  return { enable_thinking: enabled, ...(Object.keys(native).length > 0 ? { chat_template_kwargs: native } : {}) }
}
