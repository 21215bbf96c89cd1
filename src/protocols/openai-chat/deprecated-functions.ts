import type { JsonObject } from '../../inference/request.ts'
import { isObject } from '../../wire/json-object.ts'
import { invalid } from '../fields.ts'

/** True when a client speaks the form that tools replaced, and so expects `function_call` in its answer. */
export function asksForFunctions(body: JsonObject): boolean {
  return Array.isArray(body.functions) && (body.tools === undefined || body.tools === null)
}

/**
 * The body with `tools` in place of the deprecated `functions`, `function_call`, the role `function` and earlier calls, none of which
 * today's engines know; the same body where it has none of them.
 *
 * @throws ApiError when `function_call` names no function.
 */
export function withTools(body: JsonObject): JsonObject {
  const messages = Array.isArray(body.messages) ? body.messages : []
  const deprecated = messages.some(
    message => isObject(message) && (message.role === 'function' || isObject(message.function_call)),
  )
  const asks = asksForFunctions(body)
  if (!asks && !deprecated) return body
  const translated = deprecated ? { ...body, messages: withoutFunctionCalls(messages) } : body
  if (!asks) return translated
  const { functions, function_call: called, ...rest } = translated
  const choice = choiceOf(called, functions as readonly JsonObject[])
  return {
    ...rest,
    tools: (functions as readonly JsonObject[]).map(declared => ({ type: 'function', function: declared })),
    ...(choice !== undefined && { tool_choice: choice }),
  }
}

function choiceOf(called: unknown, functions: readonly JsonObject[]): unknown {
  if (called === undefined || called === null || called === 'none' || called === 'auto') return called ?? undefined
  if (!isObject(called)) throw invalid('function_call', 'none, auto or an object that names a function', called)
  if (!functions.some(({ name }) => name === called.name))
    throw invalid('function_call.name', 'the name of one of the functions', called.name)
  return { type: 'function', function: { name: called.name } }
}

/** Calls and results were matched by order before ids existed; the ids made here keep that order. */
function withoutFunctionCalls(messages: readonly JsonObject[]): readonly JsonObject[] {
  let calls = 0
  return messages.map(message => {
    if (message.role === 'function') {
      const { name: _, ...rest } = message
      return { ...rest, role: 'tool', tool_call_id: `call_${calls}` }
    }
    const { function_call: called, ...rest } = message
    if (message.role !== 'assistant' || !isObject(called)) return message
    return { ...rest, tool_calls: [{ id: `call_${++calls}`, type: 'function', function: called }] }
  })
}
