import type { JsonObject } from '../inference/request.ts'
import { isObject } from '../wire/json-object.ts'
import { itemsToMessages, type OpenSealed } from './responses-items.ts'
import { messagesToItems } from './responses-messages.ts'
import { defined } from './responses-parts.ts'
import {
  type CalledTool,
  toolChoiceToChat,
  toolChoiceToResponses,
  toolsToChat,
  toolsToResponses,
} from './responses-tools.ts'

/*
 * Between the bodies of OpenAI's two wires, `POST /chat/completions` and `POST /responses`. Both directions are pure, and name what they
 * cannot carry over. Fields that are not known here are the same on both sides.
 */

/** A Responses request as chat. */
export interface AsChat {
  readonly body: JsonObject
  /** Paths of what could not be carried over, for people. */
  readonly dropped: readonly string[]
  /** How calls go back whose tools are named otherwise in chat, by the function's name. */
  readonly called: ReadonlyMap<string, CalledTool>
}

/** A chat request as Responses. */
export interface AsResponses {
  readonly body: JsonObject
  readonly dropped: readonly string[]
}

/** Of the protocol itself: where the conversation is kept and how the answer travels. They ask nothing of a model. */
const RESPONSES_ONLY = [
  ...['previous_response_id', 'conversation', 'background', 'include', 'stream_options', 'client_metadata'],
  ...['max_tool_calls', 'max_output_tokens', 'input', 'instructions', 'text', 'reasoning', 'store', 'truncation'],
] as const

/**
 * Chat's own options, for which Responses has no name.
 * https://platform.openai.com/docs/api-reference/responses/create
 */
const CHAT_ONLY = [
  ...['n', 'stop', 'seed', 'frequency_penalty', 'presence_penalty', 'logit_bias', 'modalities', 'audio', 'prediction'],
  ...['functions', 'function_call', 'web_search_options'],
] as const

const LOGPROBS = 'message.output_text.logprobs'

/**
 * The body of a Responses request as that of a chat. `instructions` become the first message, of the system. Earlier items have to be
 * in `input` already: `previous_response_id` and references are not looked up here. `open` reads reasoning that was sealed.
 */
export function responsesToChat(body: JsonObject, open: OpenSealed = () => null): AsChat {
  const dropped: string[] = []
  const rest: JsonObject = { ...body }
  for (const name of RESPONSES_ONLY) delete rest[name]
  const { tools: declared, tool_choice: choice, top_logprobs: topLogprobs, ...passed } = rest
  const { tools, called } = toolsToChat(Array.isArray(declared) ? declared : [], dropped)
  const text = isObject(body.text) ? body.text : {}
  const include = Array.isArray(body.include) ? body.include : []
  const logprobs = include.includes(LOGPROBS) || (typeof topLogprobs === 'number' && topLogprobs > 0)
  if (body.truncation === 'auto') dropped.push('truncation')
  if (body.max_tool_calls !== undefined && body.max_tool_calls !== null) dropped.push('max_tool_calls')
  dropped.push(...unread(body.reasoning, 'reasoning', ['effort', 'summary', 'generate_summary']))
  dropped.push(...unread(body.text, 'text', ['format', 'verbosity']))
  const chat: JsonObject = {
    ...passed,
    messages: [...instructionMessages(body.instructions), ...itemsToMessages(inputItems(body.input), open, dropped)],
    ...(tools.length > 0 && { tools }),
    ...defined({
      tool_choice: toolChoiceToChat(choice, tools, dropped),
      max_tokens: body.max_output_tokens,
      reasoning_effort: isObject(body.reasoning) ? body.reasoning.effort : undefined,
      response_format: formatToChat(text.format),
      verbosity: text.verbosity,
      // Kept unless the client says no; in chat it is the other way round.
      store: body.store === false ? undefined : true,
    }),
    ...(logprobs && { logprobs: true, ...defined({ top_logprobs: topLogprobs }) }),
  }
  return { body: chat, dropped, called }
}

/** The paths of what an object says beside the fields that are read. */
function unread(said: unknown, path: string, read: readonly string[]): string[] {
  if (!isObject(said)) return []
  return Object.entries(said).flatMap(([name, value]) =>
    read.includes(name) || value === null || value === undefined ? [] : [`${path}.${name}`],
  )
}

/** The input as a list of items: a string is one message of the user. */
export function inputItems(input: unknown): readonly unknown[] {
  if (typeof input === 'string') return [{ type: 'message', role: 'user', content: input }]
  return Array.isArray(input) ? input : []
}

function instructionMessages(instructions: unknown): JsonObject[] {
  return typeof instructions === 'string' && instructions !== '' ? [{ role: 'system', content: instructions }] : []
}

function formatToChat(format: unknown): unknown {
  if (!isObject(format) || format.type !== 'json_schema') return format
  const { type, ...declared } = format
  return { type, json_schema: declared }
}

/** The body of a chat as that of a Responses request, which keeps nothing unless the chat asked for that. */
export function chatToResponses(body: JsonObject): AsResponses {
  const dropped: string[] = []
  // biome-ignore format: names of one wire and the other, a line each.
  const {
    messages, tools, verbosity, reasoning, store, logprobs,
    tool_choice: choice,
    response_format: format,
    reasoning_effort: effort,
    stream_options: _,
    max_tokens: maxTokens,
    max_completion_tokens: maxCompletionTokens,
    ...rest
  } = body
  for (const name of CHAT_ONLY) {
    if (rest[name] === undefined) continue
    if (rest[name] !== null && !(name === 'n' && rest[name] === 1)) dropped.push(name)
    delete rest[name]
  }
  const text = defined({ format: formatToResponses(format), verbosity })
  const asked = reasoningToResponses(effort, reasoning, dropped)
  const responses: JsonObject = {
    ...rest,
    input: messagesToItems(Array.isArray(messages) ? messages : [], dropped),
    ...(Array.isArray(tools) && { tools: toolsToResponses(tools) }),
    ...defined({ tool_choice: toolChoiceToResponses(choice), max_output_tokens: maxCompletionTokens ?? maxTokens }),
    ...(Object.keys(text).length > 0 && { text }),
    ...(asked !== undefined && { reasoning: asked }),
    ...(logprobs === true && { include: [LOGPROBS] }),
    store: store === true,
  }
  return { body: responses, dropped }
}

function formatToResponses(format: unknown): unknown {
  if (!isObject(format) || format.type !== 'json_schema') return format
  const declared = isObject(format.json_schema) ? format.json_schema : {}
  // The name is optional in chat's practice, and not here.
  return { type: 'json_schema', name: 'response', ...declared }
}

function reasoningToResponses(effort: unknown, reasoning: unknown, dropped: string[]): JsonObject | undefined {
  const { effort: other, summary, ...rest } = isObject(reasoning) ? reasoning : ({} as JsonObject)
  for (const name of Object.keys(rest)) dropped.push(`reasoning.${name}`)
  const asked = defined({ effort: effort ?? other, summary })
  return Object.keys(asked).length === 0 ? undefined : asked
}
