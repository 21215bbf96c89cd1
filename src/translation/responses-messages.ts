import type { JsonObject } from '../inference/request.ts'
import { isObject } from '../wire/json-object.ts'
import { contentToResponses, defined } from './responses-parts.ts'

/**
 * Chat messages as items of a Responses conversation: an assistant's message becomes its reasoning, its text and its calls, in this order.
 * Messages of the deprecated role `function`, and what has no place in an item, are named in `dropped`.
 */
export function messagesToItems(messages: readonly unknown[], dropped: string[]): readonly JsonObject[] {
  const customCalls = new Set<unknown>()
  return messages.flatMap((message, i): JsonObject[] => {
    if (!isObject(message)) return []
    const path = `messages[${i}]`
    switch (message.role) {
      case 'assistant':
        return assistantItems(message, path, customCalls, dropped)
      case 'tool': {
        const { role: _, tool_call_id: callId, content, ...rest } = message
        const type = customCalls.has(callId) ? 'custom_tool_call_output' : 'function_call_output'
        return [{ type, call_id: callId, output: contentToResponses(content, 'tool'), ...rest }]
      }
      case 'function':
        dropped.push(`${path} (role function)`)
        return []
      default: {
        const { role, content, ...rest } = message
        return [{ type: 'message', role, content: contentToResponses(content, String(role)), ...rest }]
      }
    }
  })
}

function assistantItems(
  message: JsonObject,
  path: string,
  customCalls: Set<unknown>,
  dropped: string[],
): readonly JsonObject[] & JsonObject[] {
  const {
    role,
    content,
    refusal,
    tool_calls: calls,
    reasoning_content: reasoningContent,
    reasoning,
    reasoning_details: details,
    block_order: order,
    ...rest
  } = message
  const text = reasoningContent ?? reasoning
  const thoughts = Array.isArray(details) ? detailItems(details.filter(isObject), text) : reasoningItems(text)
  const called = (Array.isArray(calls) ? calls.filter(isObject) : []).map(call => callItem(call, customCalls))
  const refused = typeof refusal === 'string'
  const silent = content === null || content === undefined || (content === '' && (called.length > 0 || refused))
  if (silent && !refused) {
    for (const name of Object.keys(rest)) dropped.push(`${path}.${name}`)
    return inOrder(order, thoughts, [], called, parts => ({ type: 'message', role, content: parts }))
  }
  const said = silent ? [] : contentToResponses(content, 'assistant')
  const parts = refused ? [...partsOf(said), { type: 'refusal', refusal }] : said
  const messageOf = (some: unknown) => ({ type: 'message', role, content: some, ...rest })
  return inOrder(order, thoughts, parts, called, messageOf)
}

/**
 * Thoughts, text and calls in the order that was kept (`block_order`, a kind for each detail of a thought, part and call), where it
 * still fits; else thoughts come first and calls last. Parts that follow one another are one message.
 */
function inOrder(
  order: unknown,
  thoughts: readonly Thought[],
  content: unknown,
  calls: readonly JsonObject[],
  messageOf: (content: unknown) => JsonObject,
): JsonObject[] {
  const parts = partsOf(content)
  const details = thoughts.reduce((sum, thought) => sum + thought.details, 0)
  if (!Array.isArray(order) || order.length !== details + parts.length + calls.length)
    return [
      ...thoughts.map(({ item }) => item),
      ...(parts.length > 0 || !Array.isArray(content) ? [messageOf(content)] : []),
      ...calls,
    ]
  const left = { thoughts: [...thoughts], parts: [...parts], calls: [...calls] }
  const items: JsonObject[] = []
  let run: unknown[] = []
  const endRun = () => {
    if (run.length > 0) items.push(messageOf(run))
    run = []
  }
  for (let i = 0; i < order.length; ) {
    if (order[i] === 'text') run.push(...left.parts.splice(0, 1))
    else endRun()
    const thought = order[i] === 'thinking' ? left.thoughts.shift() : undefined
    if (thought !== undefined) items.push(thought.item)
    if (order[i] === 'tool_use') items.push(...left.calls.splice(0, 1))
    i += thought?.details ?? 1
  }
  endRun()
  return items
}

function partsOf(content: unknown): unknown[] {
  return Array.isArray(content) ? content : [{ type: 'output_text', annotations: [], text: content }]
}

/** A reasoning item, and of how many details it was made. */
interface Thought {
  readonly item: JsonObject
  readonly details: number
}

function reasoningItems(text: unknown): Thought[] {
  if (typeof text !== 'string' || text === '') return []
  return [{ item: { type: 'reasoning', summary: [], content: [{ type: 'reasoning_text', text }] }, details: 1 }]
}

/** Of a detail, what an item has a place for by itself. */
const DETAIL_KNOWN = new Set(['type', 'id', 'text', 'summary', 'data'])
const DETAIL_TYPES = new Set<unknown>(['reasoning.text', 'reasoning.summary', 'reasoning.encrypted'])

// Details of one id that follow one another were one item. Where they say more than an item can (signatures, whose form they are of), the
// item has them beside, as items of answers here do.
function detailItems(details: readonly JsonObject[], text: unknown): Thought[] {
  const groups: JsonObject[][] = []
  for (const detail of details) {
    const group = groups.at(-1)
    const last = group?.at(-1)
    const { id } = detail
    if (
      group === undefined ||
      id === undefined ||
      id === null ||
      last?.id !== id ||
      last.type === 'reasoning.encrypted'
    )
      groups.push([detail])
    else group.push(detail)
  }
  const hasText = details.some(detail => typeof detail.text === 'string' || typeof detail.summary === 'string')
  const thoughts = groups.map((group): Thought => {
    const ofType = (type: string) => group.filter(detail => detail.type === type)
    const content = ofType('reasoning.text').filter(detail => typeof detail.text === 'string')
    const more = group.some(
      detail => !DETAIL_TYPES.has(detail.type) || Object.keys(detail).some(name => !DETAIL_KNOWN.has(name)),
    )
    const item: JsonObject = {
      type: 'reasoning',
      ...defined({ id: group[0]?.id }),
      summary: ofType('reasoning.summary').map(({ summary }) => ({ type: 'summary_text', text: summary })),
      ...(content.length > 0 && { content: content.map(detail => ({ type: 'reasoning_text', text: detail.text })) }),
      ...defined({ encrypted_content: ofType('reasoning.encrypted')[0]?.data }),
      ...(more && { reasoning_details: group }),
    }
    return { item, details: group.length }
  })
  const [first] = thoughts
  // A text that no detail repeats.
  if (hasText || typeof text !== 'string' || text === '') return thoughts
  if (first === undefined) return reasoningItems(text)
  const content = [{ type: 'reasoning_text', text }]
  return [{ ...first, item: { ...first.item, content, reasoning_details: groups[0] } }, ...thoughts.slice(1)]
}

function callItem(call: JsonObject, customCalls: Set<unknown>): JsonObject {
  const { id, type, function: called, custom, index: _, ...rest } = call
  if (type === 'custom' && isObject(custom)) {
    customCalls.add(id)
    return { type: 'custom_tool_call', call_id: id, name: custom.name, input: custom.input, ...rest }
  }
  const { name, arguments: text } = isObject(called) ? called : {}
  return { type: 'function_call', call_id: id, name, arguments: text, ...rest }
}
