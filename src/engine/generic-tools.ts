import type { JsonObject, ToolDeclaration } from '../inference/request.ts'

/** A finished tool call. */
export interface GenericCall {
  readonly name: string
  /** JSON text. */
  readonly arguments: string
}

/**
 * Tools without the model's own form for calls: the answer is bound by a JSON schema, so that it is always either calls
 * that fit their parameters or a reply. For models whose template knows no tools, which are then described in a system
 * message; and for all models when a call is demanded, since llama.cpp's grammars let any text come before a call.
 */
export interface GenericTools {
  readonly schema: JsonObject
  /** The messages with the tools told in the system message, and earlier calls and results written as text. */
  introduce(messages: readonly JsonObject[]): JsonObject[]
  /** Reads a whole answer; undefined when it was cut off before it became JSON. */
  read(text: string): { readonly content?: string; readonly calls: readonly GenericCall[] } | undefined
}

/** `forced`: the answer must call; `parallel`: it may call more than once. */
export function genericTools(
  tools: readonly ToolDeclaration[],
  options: { readonly forced: boolean; readonly parallel: boolean },
): GenericTools {
  const call = (tool: ToolDeclaration, index: number): JsonObject => ({
    type: 'object',
    properties: { name: { const: tool.function.name }, arguments: { $ref: `#/$defs/tool${index}` } },
    required: ['name', 'arguments'],
  })
  const anyCall = tools.length === 1 ? call(tools[0] as ToolDeclaration, 0) : { anyOf: tools.map(call) }
  const $defs = Object.fromEntries(
    tools.map((tool, index) => [
      `tool${index}`,
      rebase(tool.function.parameters ?? { type: 'object' }, `#/$defs/tool${index}`),
    ]),
  )
  const calls: JsonObject = {
    type: 'object',
    properties: {
      tool_calls: { type: 'array', items: anyCall, minItems: 1, ...(options.parallel ? {} : { maxItems: 1 }) },
    },
    required: ['tool_calls'],
  }
  const reply: JsonObject = { type: 'object', properties: { response: { type: 'string' } }, required: ['response'] }
  return {
    schema: { ...(options.forced ? calls : { anyOf: [calls, reply] }), $defs },
    introduce(messages) {
      const told = messages.map(asText)
      const instructions = describe(tools, options.forced)
      const first = told[0]
      if (first?.role === 'system') {
        return [{ ...first, content: `${String(first.content)}\n\n${instructions}` }, ...told.slice(1)]
      }
      return [{ role: 'system', content: instructions }, ...told]
    },
    read(text) {
      let value: unknown
      try {
        value = JSON.parse(text)
      } catch {
        return undefined
      }
      const { tool_calls: made, response } = value as {
        tool_calls?: { name: string; arguments: unknown }[]
        response?: string
      }
      if (Array.isArray(made)) {
        return { calls: made.map(one => ({ name: one.name, arguments: JSON.stringify(one.arguments) })) }
      }
      return { content: response ?? '', calls: [] }
    },
  }
}

/** Points the references within a schema to where it now is: they count from the root of the whole document. */
function rebase(schema: unknown, root: string): unknown {
  if (Array.isArray(schema)) return schema.map(item => rebase(item, root))
  if (typeof schema !== 'object' || schema === null) return schema
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]) =>
      key === '$ref' && typeof value === 'string' && value.startsWith('#')
        ? [key, root + value.slice(1)]
        : [key, rebase(value, root)],
    ),
  )
}

function describe(tools: readonly ToolDeclaration[], forced: boolean): string {
  const list = tools.map(tool => JSON.stringify(tool.function)).join('\n')
  const answer = forced
    ? 'Answer with JSON: {"tool_calls": [{"name": ..., "arguments": {...}}]}.'
    : 'Answer with JSON: {"tool_calls": [{"name": ..., "arguments": {...}}]} to call tools, or {"response": "..."} to reply.'
  return `You can call these tools:\n${list}\n${answer}`
}

/** A template without tools knows neither calls nor their results; both are told as text. */
function asText(message: JsonObject): JsonObject {
  if (message.role === 'tool')
    return { role: 'user', content: `Result of the tool call: ${String(message.content ?? '')}` }
  if (message.role === 'assistant' && Array.isArray(message.tool_calls)) {
    const made = message.tool_calls as { function?: { name?: string; arguments?: string } }[]
    const calls = made.map(
      one => `{"name": ${JSON.stringify(one.function?.name)}, "arguments": ${one.function?.arguments ?? '{}'}}`,
    )
    return { role: 'assistant', content: `{"tool_calls": [${calls.join(', ')}]}` }
  }
  return message
}
