import type { ChatMessage, JsonObject } from '../../inference/request.ts'
import { isObject } from '../../wire/json-object.ts'
import { isTextPart } from '../common-request.ts'
import { invalid, missing, optionalArray, requiredString, unsupported } from '../fields.ts'
import { checkImagePart } from './images.ts'

const ROLES = new Set<unknown>(['developer', 'system', 'user', 'assistant', 'tool', 'function'])

/**
 * Validates `messages` (api shape of OpenAI's chat wire). Several system messages anywhere, `content: null` beside tool
 * calls, and unknown fields such as `reasoning_content`, `prefix` or `cache_control` are all in use, and pass.
 */
export function decodeMessages(body: JsonObject): readonly ChatMessage[] {
  const messages = optionalArray(body, 'messages')
  if (messages === undefined) throw missing('messages')
  if (messages.length === 0) throw invalid('messages', 'an array of at least one message', messages)
  for (let i = 0; i < messages.length; i++) {
    const message = messages[i]
    if (!isObject(message)) throw invalid(`messages[${i}]`, 'an object', message)
    checkMessage(message, i)
  }
  return messages as readonly ChatMessage[]
}

function checkMessage(message: JsonObject, i: number): void {
  const role = message.role
  if (!ROLES.has(role)) {
    if (role === undefined) throw missing(`messages[${i}].role`)
    throw invalid(`messages[${i}].role`, 'developer, system, user, assistant, tool or function', role)
  }
  checkContent(message, i)
  if (role === 'tool') requiredString(message, 'tool_call_id', `messages[${i}].tool_call_id`)
  else if (role === 'assistant') {
    checkToolCalls(message, i)
  }
}

function checkContent(message: JsonObject, i: number): void {
  const content = message.content
  if (typeof content === 'string') return
  const path = `messages[${i}].content`
  if (content === undefined || content === null) {
    if (message.role === 'assistant') return
    throw missing(path)
  }
  if (!Array.isArray(content)) throw invalid(path, 'a string or an array of parts', content)
  for (let j = 0; j < content.length; j++) {
    const part: unknown = content[j]
    if (isTextPart(part)) continue
    const partPath = `${path}[${j}]`
    if (!isObject(part)) throw invalid(partPath, 'an object with a type', part)
    if (part.type === 'text') throw invalid(`${partPath}.text`, 'a string', part.text)
    if (part.type === 'refusal' && message.role === 'assistant' && typeof part.refusal === 'string') continue
    if (typeof part.type !== 'string') throw missing(`${partPath}.type`)
    if (part.type !== 'image_url') {
      throw unsupported(
        partPath,
        `is a part of the type ${JSON.stringify(part.type.slice(0, 64))}; text and image_url are supported.`,
      )
    }
    checkImagePart(part, partPath)
  }
}

function checkToolCalls(message: JsonObject, i: number): void {
  const path = `messages[${i}].tool_calls`
  const calls = optionalArray(message, 'tool_calls', path)
  if (calls === undefined) return
  for (let j = 0; j < calls.length; j++) {
    const call = calls[j]
    if (!isObject(call)) throw invalid(`${path}[${j}]`, 'an object', call)
    if (call.type !== undefined && call.type !== 'function') {
      throw unsupported(`${path}[${j}].type`, 'has to be "function"; custom tools are not supported.')
    }
    requiredString(call, 'id', `${path}[${j}].id`)
    if (!isObject(call.function)) throw missing(`${path}[${j}].function`)
    checkFunction(call.function, `${path}[${j}].function`)
  }
}

function checkFunction(called: JsonObject, path: string): void {
  requiredString(called, 'name', `${path}.name`)
  if (typeof called.arguments !== 'string')
    throw invalid(`${path}.arguments`, 'JSON text in a string', called.arguments)
}
