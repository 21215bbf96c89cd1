import type { JsonObject } from '../../inference/request.ts'
import { isObject } from '../../wire/json-object.ts'
import { put, restOf } from './translated.ts'

const TOOL_KNOWN = new Set([
  ...['type', 'name', 'description', 'input_schema', 'strict', 'defer_loading', 'eager_input_streaming'],
])

/**
 * `tools` and `tool_choice` → OpenAI's. Tools that Anthropic would run, or whose schema it knows by their version, are left out: nothing
 * here can do their work. So are deferred ones, which the model is not meant to see (Claude Code sends a place-holder of that kind) until
 * a `tool_reference` in the conversation brings them in.
 */
export function toolsToChat(request: JsonObject, body: JsonObject, dropped: string[]): void {
  const declared = (request.tools ?? []) as readonly JsonObject[]
  const referenced = declared.some(tool => tool.defer_loading === true) ? referencedTools(request.messages) : NONE
  const tools: JsonObject[] = []
  for (const [i, tool] of declared.entries()) {
    if (!isObject(tool.input_schema)) dropped.push(`tools[${i}] (${String(tool.type ?? tool.name)})`)
    else if (tool.defer_loading === true && !referenced.has(tool.name)) dropped.push(`tools[${i}] (${tool.name})`)
    else tools.push(toolToChat(tool, tool.input_schema))
  }
  if (tools.length > 0) body.tools = tools
  const choice = request.tool_choice
  if (!isObject(choice)) return
  if (choice.disable_parallel_tool_use === true) body.parallel_tool_calls = false
  if (tools.length === 0) {
    if (choice.type !== 'none' && choice.type !== 'auto') dropped.push('tool_choice')
    return
  }
  if (choice.type === 'tool') {
    const there = tools.some(tool => (tool.function as JsonObject).name === choice.name)
    if (there) body.tool_choice = { type: 'function', function: { name: choice.name } }
    else dropped.push('tool_choice')
    return
  }
  body.tool_choice = choice.type === 'any' ? 'required' : choice.type
}

const NONE: ReadonlySet<unknown> = new Set()

function toolToChat(tool: JsonObject, schema: JsonObject): JsonObject {
  const declared: JsonObject = { name: tool.name }
  put(declared, 'description', tool.description)
  declared.parameters = schema
  put(declared, 'strict', tool.strict)
  return { type: 'function', function: declared, ...restOf(tool, TOOL_KNOWN) }
}

function referencedTools(messages: unknown): ReadonlySet<unknown> {
  const names = new Set<unknown>()
  for (const { content } of messages as readonly JsonObject[]) {
    if (!Array.isArray(content)) continue
    for (const block of content)
      if (block.type === 'tool_result' && Array.isArray(block.content))
        for (const inner of block.content) if (inner.type === 'tool_reference') names.add(inner.tool_name)
  }
  return names
}
