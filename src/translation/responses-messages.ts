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
    ...rest
  } = message
  const items = Array.isArray(details)
    ? detailItems(details.filter(isObject), `${path}.reasoning_details`, dropped)
    : reasoningItems(reasoningContent ?? reasoning)
  const called = Array.isArray(calls) ? calls.filter(isObject) : []
  const refused = typeof refusal === 'string'
  const silent = content === null || content === undefined || (content === '' && (called.length > 0 || refused))
  if (!silent || refused) {
    const said = silent ? [] : contentToResponses(content, 'assistant')
    const parts = refused ? [...partsOf(said), { type: 'refusal', refusal }] : said
    items.push({ type: 'message', role, content: parts, ...rest })
  } else for (const name of Object.keys(rest)) dropped.push(`${path}.${name}`)
  for (const call of called) items.push(callItem(call, customCalls))
  return items
}

function partsOf(content: unknown): unknown[] {
  return Array.isArray(content) ? content : [{ type: 'output_text', annotations: [], text: content }]
}

function reasoningItems(text: unknown): JsonObject[] {
  if (typeof text !== 'string' || text === '') return []
  return [{ type: 'reasoning', summary: [], content: [{ type: 'reasoning_text', text }] }]
}

// Details of one id that follow one another were one item.
function detailItems(details: readonly JsonObject[], path: string, dropped: string[]): JsonObject[] {
  const items: { id: unknown; summary: JsonObject[]; content: JsonObject[]; encrypted: unknown }[] = []
  details.forEach(({ type, id, text, summary, data, format: _, index: __, ...rest }, i) => {
    let item = items.at(-1)
    if (item === undefined || id === undefined || id === null || item.id !== id || item.encrypted !== undefined) {
      item = { id, summary: [], content: [], encrypted: undefined }
      items.push(item)
    }
    if (type === 'reasoning.text' && typeof text === 'string') item.content.push({ type: 'reasoning_text', text })
    else if (type === 'reasoning.summary') item.summary.push({ type: 'summary_text', text: summary })
    else if (type === 'reasoning.encrypted') item.encrypted = data
    else dropped.push(`${path}[${i}] (${String(type)})`)
    for (const name of Object.keys(rest)) dropped.push(`${path}[${i}].${name}`)
  })
  return items.map(({ id, summary, content, encrypted }) => ({
    type: 'reasoning',
    ...defined({ id }),
    summary,
    ...(content.length > 0 && { content }),
    ...defined({ encrypted_content: encrypted }),
  }))
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
