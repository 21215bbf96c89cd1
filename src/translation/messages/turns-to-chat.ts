import type { ChatMessage, JsonObject } from '../../inference/request.ts'
import { type BlockKind, isUsualOrder } from '../block-order.ts'
import { contentOfParts, partsOfBlock, partsOfBlocks } from './blocks-to-parts.ts'
import { isOwnSignature } from './signature.ts'
import { put, restOf } from './translated.ts'

/** The `format` of reasoning details whose signatures and encrypted data are those of the Messages API (OpenRouter's name). */
export const MESSAGES_REASONING_FORMAT = 'anthropic-claude-v1'

/**
 * How the first system block of Claude Code begins. Its digits change with the user's first words, so that it would keep every session's
 * prompt from the cache of all others, being the first thing in it; it says nothing to a model.
 */
const BILLING_HEADER = 'x-anthropic-billing-header:'

const TOOL_RESULT_KNOWN = new Set(['type', 'tool_use_id', 'content', 'is_error'])
const TOOL_USE_KNOWN = new Set(['type', 'id', 'name', 'input'])

/** `system` and `messages` of the Messages API as chat messages. */
export function turnsToChat(request: JsonObject, dropped: string[]): ChatMessage[] {
  const messages: ChatMessage[] = []
  const system = systemParts(request.system, dropped)
  if (system.length > 0) messages.push({ role: 'system', content: contentOfParts(system) })
  for (const [i, turn] of (request.messages as readonly JsonObject[]).entries()) {
    const path = `messages[${i}].content`
    const blocks = blocksOf(turn.content)
    if (turn.role === 'assistant') messages.push(...assistantMessages(blocks, path, dropped))
    else messages.push(...otherMessages(turn.role as 'user' | 'system', blocks, path, dropped))
  }
  return messages
}

function systemParts(system: unknown, dropped: string[]): JsonObject[] {
  if (system === undefined || system === null) return []
  const blocks = blocksOf(system)
  const first = blocks[0]?.text
  const told = typeof first === 'string' && first.startsWith(BILLING_HEADER) ? blocks.slice(1) : blocks
  return partsOfBlocks(told, 'system', dropped)
}

function blocksOf(content: unknown): readonly JsonObject[] {
  return typeof content === 'string' ? [{ type: 'text', text: content }] : (content as readonly JsonObject[])
}

// Results come before the rest of the turn: a chat answers each call right after the message that made it.
function otherMessages(
  role: 'user' | 'system',
  blocks: readonly JsonObject[],
  path: string,
  dropped: string[],
): ChatMessage[] {
  const messages: ChatMessage[] = []
  const parts: JsonObject[] = []
  for (const [i, block] of blocks.entries()) {
    if (block.type === 'tool_result') messages.push(toolMessage(block, `${path}[${i}]`, dropped))
    else parts.push(...partsOfBlock(block, `${path}[${i}]`, dropped))
  }
  if (parts.length > 0) messages.push({ role, content: contentOfParts(parts) })
  return messages
}

function toolMessage(block: JsonObject, path: string, dropped: string[]): ChatMessage {
  const parts = partsOfBlocks(blocksOf(block.content ?? ''), `${path}.content`, dropped)
  return {
    role: 'tool',
    tool_call_id: block.tool_use_id,
    content: contentOfParts(parts),
    ...(block.is_error === true && { is_error: true }),
    ...restOf(block, TOOL_RESULT_KNOWN),
  }
}

function assistantMessages(blocks: readonly JsonObject[], path: string, dropped: string[]): ChatMessage[] {
  const details: JsonObject[] = []
  const parts: JsonObject[] = []
  const calls: JsonObject[] = []
  const order: BlockKind[] = []
  for (const [i, block] of blocks.entries()) {
    if (block.type === 'thinking' || block.type === 'redacted_thinking') {
      details.push(reasoningDetail(block, details.length))
      order.push('thinking')
    } else if (block.type === 'tool_use') {
      calls.push(toolCall(block))
      order.push('tool_use')
    } else {
      const made = partsOfBlock(block, `${path}[${i}]`, dropped)
      parts.push(...made)
      order.push(...made.map(() => 'text' as const))
    }
  }
  if (order.length === 0) return []
  const message: { role: 'assistant'; [key: string]: unknown } = {
    role: 'assistant',
    content: parts.length === 0 && calls.length > 0 ? null : contentOfParts(parts),
  }
  putReasoning(message, details)
  if (calls.length > 0) message.tool_calls = calls
  if (!isUsualOrder(order)) message.block_order = order
  return [message]
}

// The text under the name that templates and most servers read. The details only where they say more than the text does: a signature of
// somebody who will check it, thoughts that nobody can read, or where one thought ends and the next begins.
function putReasoning(message: JsonObject, details: readonly JsonObject[]): void {
  const texts = details.flatMap(({ text }) => (typeof text === 'string' && text !== '' ? [text] : []))
  if (texts.length > 0) message.reasoning_content = texts.join('\n\n')
  const [only] = details
  if (details.length > 1 || (only !== undefined && (only.signature !== undefined || only.data !== undefined)))
    message.reasoning_details = details
}

function reasoningDetail(block: JsonObject, index: number): JsonObject {
  const format = MESSAGES_REASONING_FORMAT
  if (block.type === 'redacted_thinking') return { type: 'reasoning.encrypted', data: block.data, format, index }
  const detail: JsonObject = { type: 'reasoning.text', text: block.thinking, format, index }
  const { signature } = block
  if (typeof signature === 'string' && signature !== '' && !isOwnSignature(signature)) detail.signature = signature
  return detail
}

function toolCall(block: JsonObject): JsonObject {
  const call: JsonObject = {
    id: block.id,
    type: 'function',
    function: { name: block.name, arguments: JSON.stringify(block.input ?? {}) },
  }
  for (const [key, value] of Object.entries(restOf(block, TOOL_USE_KNOWN))) put(call, key, value)
  return call
}
