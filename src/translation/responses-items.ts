import type { JsonObject } from '../inference/request.ts'
import { isObject } from '../wire/json-object.ts'
import { type BlockKind, isUsualOrder } from './block-order.ts'
import { customArguments } from './custom-function.ts'
import { unpackReasoning } from './reasoning-details.ts'
import { contentToChat, defined } from './responses-parts.ts'
import { flatName } from './responses-tools.ts'

/** Opens what this server sealed: null for what somebody else did, undefined where it was ours and is not any more. */
export type OpenSealed = (sealed: string) => string | null | undefined

/** What a summary begins with that stands for a conversation. */
const SUMMARY = 'This is a summary of our conversation up to here:'

/**
 * The items of a Responses conversation as chat messages. Reasoning, text and calls that follow one another are one assistant's message,
 * since its results have to follow a call in chat. Item ids are not carried over; items of unknown types are named in `dropped`.
 */
export function itemsToMessages(items: readonly unknown[], open: OpenSealed, dropped: string[]): readonly JsonObject[] {
  const messages: JsonObject[] = []
  let turn: AssistantTurn | null = null
  const flush = () => {
    if (turn !== null) messages.push(turn.message())
    turn = null
  }
  const current = () => {
    turn ??= new AssistantTurn()
    return turn
  }
  items.forEach((item, i) => {
    if (!isObject(item)) return
    const type = item.type ?? 'message'
    switch (type) {
      case 'message':
        if (item.role !== 'assistant') {
          flush()
          messages.push(plainMessage(item))
        } else {
          if (current().said && !current().calls) flush()
          current().say(item)
          if (item.phase !== undefined && item.phase !== null) dropped.push(`input[${i}].phase`)
        }
        return
      case 'reasoning':
        if (current().said && !current().calls) flush()
        if (!current().think(item, open)) dropped.push(`input[${i}] (reasoning)`)
        return
      case 'compaction': {
        const summary = typeof item.encrypted_content === 'string' ? open(item.encrypted_content) : null
        if (typeof summary !== 'string') dropped.push(`input[${i}] (compaction)`)
        else {
          flush()
          messages.push({ role: 'user', content: `${SUMMARY}\n\n${summary}` })
        }
        return
      }
      case 'function_call':
      case 'custom_tool_call':
        current().call(item)
        return
      case 'function_call_output':
      case 'custom_tool_call_output':
        flush()
        messages.push(toolMessage(item))
        return
      default:
        dropped.push(`input[${i}] (${String(type)})`)
    }
  })
  flush()
  return messages
}

function plainMessage(item: JsonObject): JsonObject {
  const { type: _, id: __, status: ___, role, content, ...rest } = item
  return { role, content: contentToChat(content), ...rest }
}

function toolMessage(item: JsonObject): JsonObject {
  const { type: _, id: __, status: ___, call_id: callId, output, ...rest } = item
  return { role: 'tool', tool_call_id: callId, content: contentToChat(output), ...rest }
}

/** One assistant's message while its items are gathered. */
class AssistantTurn {
  readonly #reasoning: string[] = []
  readonly #details: JsonObject[] = []
  /** Something is signed or sealed by somebody else: only the details hold it. */
  #foreign = false
  readonly #order: BlockKind[] = []
  #thoughts = 0
  #content: unknown
  #refusal: string | undefined
  readonly #calls: JsonObject[] = []
  #rest: JsonObject = {}

  /** It has text. */
  get said(): boolean {
    return this.#content !== undefined || this.#refusal !== undefined
  }

  /** It calls a tool. */
  get calls(): boolean {
    return this.#calls.length > 0
  }

  say(item: JsonObject): void {
    const { type: _, id: __, status: ___, phase: ____, role: _____, content, ...rest } = item
    const parts = Array.isArray(content) ? content : [{ type: 'output_text', text: content }]
    const refusals = parts.filter(part => isObject(part) && part.type === 'refusal')
    if (refusals.length > 0) this.#refusal = (this.#refusal ?? '') + refusals.map(part => part.refusal).join('')
    const texts = contentToChat(parts.filter(part => !refusals.includes(part)))
    if (this.#content === undefined) this.#content = refusals.length === parts.length ? undefined : texts
    else this.#content = [...asParts(this.#content), ...asParts(texts)]
    this.#order.push(...parts.map(() => 'text' as const))
    this.#rest = { ...this.#rest, ...rest }
  }

  /** False where nothing of it can be read. */
  think(item: JsonObject, open: OpenSealed): boolean {
    const { encrypted_content: sealed, id } = item
    const isSealed = typeof sealed === 'string' && sealed !== ''
    const opened = isSealed ? open(sealed) : undefined
    const packed = typeof opened === 'string' ? unpackReasoning(opened) : undefined
    const content = packed?.text || textsOf(item.content)
    const details = packed?.details ?? (Array.isArray(item.reasoning_details) ? item.reasoning_details : [])
    const summary = textsOf(item.summary)
    const read = content ?? summary
    const named = defined({ id })
    const before = this.#details.length
    if (details.length > 0) {
      this.#foreign = true
      this.#details.push(...details)
    } else if (content !== undefined) this.#details.push({ type: 'reasoning.text', text: content, ...named })
    else if (summary !== undefined) this.#details.push({ type: 'reasoning.summary', summary, ...named })
    if (read !== undefined) this.#reasoning.push(read)
    if (opened === null) {
      this.#foreign = true
      if (!details.some(detail => detail.data === sealed))
        this.#details.push({ type: 'reasoning.encrypted', data: sealed, ...named })
    }
    const made = this.#details.slice(before)
    if (made.length > 0) this.#thoughts++
    this.#order.push(...made.map(() => 'thinking' as const))
    return read !== undefined || !isSealed || opened !== undefined
  }

  call(item: JsonObject): void {
    const { type, id: _, status: __, call_id: callId, name, namespace, arguments: text, input, ...rest } = item
    this.#calls.push({
      id: callId,
      type: 'function',
      function: {
        name: flatName(String(name), namespace),
        arguments: type === 'custom_tool_call' ? customArguments(String(input)) : text,
      },
      ...rest,
    })
    this.#order.push('tool_use')
  }

  message(): JsonObject {
    // Null beside calls, and where there is nothing but a refusal.
    const message: JsonObject = { role: 'assistant', content: this.#content ?? (this.calls || this.said ? null : '') }
    if (this.#refusal !== undefined) message.refusal = this.#refusal
    if (this.#reasoning.length > 0) message.reasoning_content = this.#reasoning.join('\n\n')
    // Also where one thought ends and the next begins.
    if (this.#foreign || this.#thoughts > 1) message.reasoning_details = this.#details
    if (this.calls) message.tool_calls = this.#calls
    if (!isUsualOrder(this.#order)) message.block_order = this.#order
    return { ...message, ...this.#rest }
  }
}

function asParts(content: unknown): unknown[] {
  return Array.isArray(content) ? content : [{ type: 'text', text: content }]
}

/** The texts of a reasoning item's list, joined; undefined where it has none. */
function textsOf(list: unknown): string | undefined {
  if (!Array.isArray(list)) return undefined
  const texts = list.filter(isObject).flatMap(({ text }) => (typeof text === 'string' ? [text] : []))
  return texts.length === 0 ? undefined : texts.join('\n\n')
}
