import type { ToolCallDelta } from '../../inference/event.ts'
import type { JsonObject } from '../../inference/request.ts'
import { customArguments, customFunction, customInput } from '../../translation/custom-function.ts'
import { isObject } from '../../wire/json-object.ts'

/** A call of a custom tool, whole. */
export interface CustomCall {
  readonly index: number
  readonly id: string | undefined
  readonly name: string
  readonly input: string
}

/** The names of a request's custom tools; empty for nearly all requests. */
export function customToolNames(body: JsonObject): ReadonlySet<string> {
  if (!Array.isArray(body.tools)) return NONE
  const names = body.tools.flatMap(tool => (isCustom(tool) ? [String(tool.custom.name)] : []))
  return names.length === 0 ? NONE : new Set(names)
}

const NONE: ReadonlySet<string> = new Set()

/** The body with functions in place of custom tools, of their choice and of earlier calls; the same body where there are none. */
export function withFunctions(body: JsonObject): JsonObject {
  const tools = Array.isArray(body.tools) ? body.tools : []
  const messages = Array.isArray(body.messages) ? body.messages : []
  const called = messages.some(
    message => isObject(message) && Array.isArray(message.tool_calls) && message.tool_calls.some(isCustom),
  )
  if (!called && !tools.some(isCustom)) return body
  return {
    ...body,
    ...(tools.length > 0 && { tools: tools.map(functionOfTool) }),
    ...(isObject(body.tool_choice) && { tool_choice: functionOfChoice(body.tool_choice) }),
    messages: messages.map(functionOfMessage),
  }
}

/** How a client wants to be told of calls. */
export interface CallStyle {
  /** The deprecated `function_call` in place of `tool_calls`. */
  readonly asFunctionCall: boolean
  /** Names of its custom tools. */
  readonly customTools: ReadonlySet<string>
}

/** Gathers the calls of custom tools out of the pieces of an answer: their text can be read only once its JSON is whole. */
export class CustomCalls {
  readonly #names: ReadonlySet<string>
  readonly #calls = new Map<string, { id: string | undefined; name: string; text: string }>()

  constructor(names: ReadonlySet<string>) {
    this.#names = names
  }

  /** Takes the pieces that belong to custom tools; answers the others. */
  take(choice: number, pieces: readonly ToolCallDelta[]): readonly ToolCallDelta[] {
    if (this.#names.size === 0) return pieces
    return pieces.filter(piece => {
      const key = `${choice}:${piece.index}`
      const known = this.#calls.get(key)
      if (known !== undefined) {
        known.text += piece.arguments
        return false
      }
      if (piece.name === undefined || !this.#names.has(piece.name)) return true
      this.#calls.set(key, { id: piece.id, name: piece.name, text: piece.arguments })
      return false
    })
  }

  /** The calls of a choice that has ended, in their order. */
  calls(choice: number): CustomCall[] {
    const calls: CustomCall[] = []
    for (const [key, { id, name, text }] of this.#calls) {
      const [of, index] = key.split(':').map(Number)
      if (of === choice) calls.push({ index: index as number, id, name, input: customInput(text) })
    }
    return calls
  }
}

function isCustom(value: unknown): value is JsonObject & { custom: JsonObject } {
  return isObject(value) && value.type === 'custom' && isObject(value.custom)
}

function functionOfTool(tool: unknown): unknown {
  if (!isCustom(tool)) return tool
  const { name, description, format } = tool.custom
  const grammar = isObject(format) && format.type === 'grammar' && isObject(format.grammar) ? format.grammar : null
  const { syntax, definition } = grammar ?? {}
  return {
    type: 'function',
    function: customFunction({
      name: String(name),
      description,
      grammar: grammar === null ? null : { syntax, definition },
    }),
  }
}

function functionOfChoice(choice: JsonObject): JsonObject {
  if (isCustom(choice)) return { type: 'function', function: { name: choice.custom.name } }
  const allowed = choice.allowed_tools
  if (choice.type !== 'allowed_tools' || !isObject(allowed) || !Array.isArray(allowed.tools)) return choice
  const tools = allowed.tools.map(tool => (isObject(tool) ? functionOfChoice(tool) : tool))
  return { ...choice, allowed_tools: { ...allowed, tools } }
}

function functionOfMessage(message: unknown): unknown {
  if (!isObject(message) || !Array.isArray(message.tool_calls)) return message
  const calls = message.tool_calls.map(call => {
    if (!isCustom(call)) return call
    const { custom, ...rest } = call
    return {
      ...rest,
      type: 'function',
      function: { name: custom.name, arguments: customArguments(String(custom.input ?? '')) },
    }
  })
  return { ...message, tool_calls: calls }
}
