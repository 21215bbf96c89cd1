import type { JsonObject } from '../../inference/request.ts'
import { isObject } from '../../wire/json-object.ts'
import type { BlockKind } from '../block-order.ts'
import { blocksOfContent } from './parts-to-blocks.ts'
import { put } from './translated.ts'
import { MESSAGES_REASONING_FORMAT } from './turns-to-chat.ts'

/** What stands at the start and what follows. */
export interface Turns {
  /** A string where nothing but one plain text stands there; undefined where nothing does. */
  readonly system: string | readonly JsonObject[] | undefined
  readonly turns: readonly JsonObject[]
}

const MESSAGE_KNOWN = new Set([
  ...['role', 'content', 'tool_call_id', 'tool_calls', 'is_error', 'cache_control', 'reasoning_content', 'reasoning'],
  ...['reasoning_details', 'refusal', 'block_order', 'toolset_name'],
])
const CALL_EXTRAS = ['cache_control', 'caller', 'toolset_name'] as const

/**
 * Chat messages as turns of the Messages API: what the system says first becomes `system`, results of tools become blocks of the user's
 * turn that follows. Empty texts, which that API refuses, and messages without anything else are left out.
 */
export function chatToTurns(messages: readonly JsonObject[], dropped: string[]): Turns {
  const start = messages.findIndex(({ role }) => role !== 'system' && role !== 'developer')
  const opening = messages.slice(0, start === -1 ? messages.length : start)
  const system = opening.flatMap((message, i) => {
    dropUnknown(message, `messages[${i}]`, dropped)
    return contentBlocks(message, `messages[${i}]`, dropped)
  })
  const turns: { role: string; content: string | JsonObject[] }[] = []
  /** Results that wait for the user's turn they are part of. */
  let results: JsonObject[] = []
  const flush = () => {
    if (results.length > 0) turns.push({ role: 'user', content: results })
    results = []
  }
  for (let i = opening.length; i < messages.length; i++) {
    const message = messages[i] as JsonObject
    const path = `messages[${i}]`
    dropUnknown(message, path, dropped)
    if (message.role === 'tool') {
      results.push(toolResult(message, path, dropped))
      continue
    }
    if (message.role === 'user' && results.length > 0) {
      turns.push({ role: 'user', content: [...results, ...contentBlocks(message, path, dropped)] })
      results = []
      continue
    }
    flush()
    const blocks =
      message.role === 'assistant' ? assistantBlocks(message, path, dropped) : contentBlocks(message, path, dropped)
    const role = message.role === 'developer' ? 'system' : (message.role as string)
    if (blocks.length > 0) turns.push({ role, content: plain(blocks) })
  }
  flush()
  return { system: system.length === 0 ? undefined : plain(system), turns }
}

/** A string where one plain text is all, as people write it and every server takes it. */
function plain(blocks: JsonObject[]): string | JsonObject[] {
  const [only] = blocks
  return blocks.length === 1 && only?.type === 'text' && Object.keys(only).length === 2 ? (only.text as string) : blocks
}

function dropUnknown(message: JsonObject, path: string, dropped: string[]): void {
  for (const [key, value] of Object.entries(message))
    if (!MESSAGE_KNOWN.has(key) && value !== null && value !== undefined) dropped.push(`${path}.${key}`)
}

/** A marker on the message marks its last block. */
function contentBlocks(message: JsonObject, path: string, dropped: string[]): JsonObject[] {
  const blocks = blocksOfContent(message.content, `${path}.content`, dropped)
  const last = blocks.at(-1)
  if (last !== undefined && message.cache_control !== undefined && last.cache_control === undefined)
    put(last, 'cache_control', message.cache_control)
  return blocks
}

function toolResult(message: JsonObject, path: string, dropped: string[]): JsonObject {
  const blocks = blocksOfContent(message.content, `${path}.content`, dropped)
  const result: JsonObject = { type: 'tool_result', tool_use_id: callId(message.tool_call_id) }
  if (blocks.length > 0) result.content = plain(blocks)
  if (message.is_error === true) result.is_error = true
  put(result, 'cache_control', message.cache_control)
  put(result, 'toolset_name', message.toolset_name)
  return result
}

function assistantBlocks(message: JsonObject, path: string, dropped: string[]): JsonObject[] {
  const texts = blocksOfContent(message.content, `${path}.content`, dropped)
  if (typeof message.refusal === 'string' && message.refusal !== '') texts.push({ type: 'text', text: message.refusal })
  const calls = ((message.tool_calls ?? []) as readonly JsonObject[]).map((call, i) =>
    toolUse(call, `${path}.tool_calls[${i}]`, dropped),
  )
  const blocks = inOrder(message.block_order, {
    thinking: thinkingBlocks(message, path, dropped),
    text: texts,
    tool_use: calls,
  })
  const marked = blocks.findLast(block => block.type !== 'thinking' && block.type !== 'redacted_thinking')
  if (marked !== undefined && message.cache_control !== undefined) put(marked, 'cache_control', message.cache_control)
  return blocks
}

/** Undefined stands for what a thought had and this API has no block for. */
type Queues = Readonly<Record<BlockKind, readonly (JsonObject | undefined)[]>>

/** In the order that was kept, where it still fits; else thoughts, texts, calls. */
function inOrder(order: unknown, queues: Queues): JsonObject[] {
  const usual = [...queues.thinking, ...queues.text, ...queues.tool_use]
  return (keptOrder(order, queues, usual.length) ?? usual).filter(block => block !== undefined)
}

function keptOrder(order: unknown, queues: Queues, length: number): (JsonObject | undefined)[] | undefined {
  if (!Array.isArray(order) || order.length !== length) return undefined
  const taken: Record<BlockKind, number> = { thinking: 0, text: 0, tool_use: 0 }
  const blocks: (JsonObject | undefined)[] = []
  for (const kind of order as BlockKind[]) {
    if (!Object.hasOwn(taken, kind) || taken[kind] >= queues[kind].length) return undefined
    blocks.push(queues[kind][taken[kind]++])
  }
  return blocks
}

// Details where there are some that the Messages API understands, for their signatures; else the text. A place for each detail.
function thinkingBlocks(message: JsonObject, path: string, dropped: string[]): (JsonObject | undefined)[] {
  const details = Array.isArray(message.reasoning_details) ? message.reasoning_details.filter(isObject) : []
  const blocks = details.map((detail, i) => {
    const block = isSaidInFull(detail, details) ? undefined : thinkingOfDetail(detail)
    if (block === undefined) dropped.push(`${path}.reasoning_details[${i}] (${String(detail.type)})`)
    else if (typeof detail.signature === 'string' && detail.signature !== '' && block.signature === '')
      dropped.push(`${path}.reasoning_details[${i}].signature`)
    return block
  })
  if (blocks.some(block => block !== undefined)) return blocks
  const text = message.reasoning_content ?? message.reasoning
  return typeof text === 'string' && text !== ''
    ? [{ type: 'thinking', thinking: text, signature: '' }, ...blocks.slice(1)]
    : blocks
}

/** Whether a detail says in short what another of its id says in full. */
function isSaidInFull({ type, id }: JsonObject, details: readonly JsonObject[]): boolean {
  return type === 'reasoning.summary' && details.some(other => other.type === 'reasoning.text' && other.id === id)
}

function thinkingOfDetail({ type, text, summary, data, signature, format }: JsonObject): JsonObject | undefined {
  if (type === 'reasoning.text' && (typeof text === 'string' || typeof signature === 'string'))
    return { type: 'thinking', thinking: text ?? '', signature: isForeign(format) ? '' : (signature ?? '') }
  if (type === 'reasoning.summary' && typeof summary === 'string' && summary !== '')
    return { type: 'thinking', thinking: summary, signature: '' }
  // What another wire encrypted, nobody behind this one can read.
  if (type === 'reasoning.encrypted' && format === MESSAGES_REASONING_FORMAT) return { type: 'redacted_thinking', data }
  return undefined
}

/** What is signed in another form would be refused by who checks it; without a form it may be theirs. */
function isForeign(format: unknown): boolean {
  return typeof format === 'string' && format !== MESSAGES_REASONING_FORMAT && format !== 'unknown'
}

function toolUse(call: JsonObject, path: string, dropped: string[]): JsonObject {
  const called = call.function as JsonObject
  const block: JsonObject = {
    type: 'tool_use',
    id: callId(call.id),
    name: called.name,
    input: inputOf(called.arguments, `${path}.function.arguments`, dropped),
  }
  for (const key of CALL_EXTRAS) put(block, key, call[key])
  return block
}

/** Arguments have to be an object there. Others are shown to the model as text, so that it sees what it did. */
function inputOf(text: unknown, path: string, dropped: string[]): JsonObject {
  if (text === '') return {}
  try {
    const input: unknown = JSON.parse(text as string)
    if (isObject(input)) return input
  } catch {
    // Named below.
  }
  dropped.push(`${path} (no JSON object)`)
  return { arguments: text }
}

/** The Messages API takes letters, digits, `_` and `-` in ids; the same is put in place of others in calls and results. */
function callId(id: unknown): string {
  return String(id).replace(/[^\w-]/g, '_')
}
