import type { JsonObject } from '../../inference/request.ts'
import { isObject } from '../../wire/json-object.ts'
import { put } from './translated.ts'

const TOOL_KNOWN = new Set(['type', 'function', 'cache_control', 'input_examples', 'allowed_callers'])

/** OpenAI's `tools`, `tool_choice` and `parallel_tool_calls` → those of the Messages API. */
export function chatToTools(body: JsonObject, request: JsonObject, dropped: string[]): void {
  const tools = (body.tools ?? []) as readonly JsonObject[]
  if (tools.length === 0) return
  request.tools = tools.map((tool, i) => toolOf(tool, i, dropped))
  const choice = choiceOf(body.tool_choice)
  // Parallel calls are the rule on both wires, so only their absence is said.
  if (body.parallel_tool_calls === false && choice?.type !== 'none')
    request.tool_choice = { ...(choice ?? { type: 'auto' }), disable_parallel_tool_use: true }
  else put(request, 'tool_choice', choice)
}

function toolOf(tool: JsonObject, i: number, dropped: string[]): JsonObject {
  const declared = tool.function as JsonObject
  const out: JsonObject = { name: declared.name }
  put(out, 'description', declared.description)
  const parameters = isObject(declared.parameters) ? declared.parameters : {}
  // The Messages API demands the type, which on OpenAI's wire goes without saying.
  out.input_schema = parameters.type === undefined ? { type: 'object', ...parameters } : parameters
  put(out, 'strict', declared.strict)
  for (const key of ['cache_control', 'input_examples', 'allowed_callers']) put(out, key, tool[key])
  for (const key of Object.keys(tool)) if (!TOOL_KNOWN.has(key)) dropped.push(`tools[${i}].${key}`)
  return out
}

function choiceOf(choice: unknown): JsonObject | undefined {
  if (choice === 'required') return { type: 'any' }
  if (choice === 'auto' || choice === 'none') return { type: choice }
  if (isObject(choice) && isObject(choice.function)) return { type: 'tool', name: choice.function.name }
  return undefined
}
