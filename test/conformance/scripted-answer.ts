/**
 * What the scripted upstream says to a chat: fixed texts, and one call of a tool where tools are offered. So a client's whole
 * round — call, tool, result, last answer — is exact, whatever tools it brings along.
 */

type Json = Record<string, unknown>

/** A call that the scripted model makes. */
export interface ScriptedCall {
  readonly name: string
  readonly arguments: string
}

/** What is answered, and what it used. Counts are the model's; nothing is counted twice. */
export interface ScriptedAnswer {
  readonly reasoning: string
  readonly text: string
  readonly call: ScriptedCall | null
  readonly usage: {
    readonly input: number
    readonly cached: number
    readonly reasoning: number
    readonly output: number
  }
}

/** Said before every answer. */
export const REASONING = 'The question is short, so the answer may be short too.'
/** The answer where there is nothing to call. */
export const TEXT = 'Good morning from the scripted model.'
/** What a tool's result is put behind in the last answer, so that a client's tool is known to have run. */
export const RESULT_PREFIX = 'The tool said: '

const RESULT_CHARS_MAX = 400
/** Shells come first: programs bring many tools, and each program has one of these. */
const SHELLS = /^(bash|shell|shell_command|exec_command|exec|run_shell_command|local_shell)$/i
const DEPTH_MAX = 8

/** The answer to a chat in OpenAI's wire form. `callsTools` is false for a model that only talks. */
export function scriptedAnswer(body: Json, callsTools: boolean): ScriptedAnswer {
  const messages = listOf(body.messages)
  const result = lastResult(messages)
  const tool = callsTools && result === null && body.tool_choice !== 'none' ? chosenTool(body) : undefined
  const call =
    tool === undefined ? null : { name: String(tool.name), arguments: JSON.stringify(sampleOf(tool.parameters)) }
  const text = call !== null ? '' : result !== null ? RESULT_PREFIX + result : textFor(body)
  return { reasoning: REASONING, text, call, usage: usageFor(messages, text, call) }
}

/** What the newest tool answered, when the conversation ends with it; null otherwise. */
function lastResult(messages: readonly Json[]): string | null {
  const last = messages.findLast(message => message.role === 'assistant' || message.role === 'tool')
  if (last?.role !== 'tool') return null
  return textOf(last.content).slice(-RESULT_CHARS_MAX)
}

function chosenTool(body: Json): Json | undefined {
  const functions = listOf(body.tools)
    .map(tool => tool.function)
    .filter(isJson)
  const named =
    isJson(body.tool_choice) && isJson(body.tool_choice.function) ? body.tool_choice.function.name : undefined
  if (named !== undefined) return functions.find(each => each.name === named)
  return functions.find(each => SHELLS.test(String(each.name))) ?? functions[0]
}

function textFor(body: Json): string {
  const format = isJson(body.response_format) ? body.response_format : {}
  if (format.type === 'json_object') return '{"greeting":"hello"}'
  if (format.type !== 'json_schema' || !isJson(format.json_schema)) return TEXT
  return JSON.stringify(sampleOf(format.json_schema.schema))
}

/** Whole tokens from what was sent, a quarter of them cached: any number does, as long as every count differs from the others. */
function usageFor(messages: readonly Json[], text: string, call: ScriptedCall | null): ScriptedAnswer['usage'] {
  const input = 8 + Math.ceil(JSON.stringify(messages).length / 4)
  const said = wordsIn(text) + (call === null ? 0 : wordsIn(call.name) + wordsIn(call.arguments))
  const reasoning = wordsIn(REASONING)
  return { input, cached: Math.floor(input / 4), reasoning, output: reasoning + said }
}

function wordsIn(text: string): number {
  return text.split(/\s+/).filter(Boolean).length
}

/** The smallest harmless value that a JSON schema allows: commands say hello, all else is the first that fits. */
export function sampleOf(schema: unknown, name = '', depth = 0): unknown {
  if (!isJson(schema) || depth > DEPTH_MAX) return {}
  const [first] = [schema.anyOf, schema.oneOf, schema.allOf].map(listOf).find(list => list.length > 0) ?? []
  if (first !== undefined) return sampleOf(first, name, depth + 1)
  if (Array.isArray(schema.enum)) return schema.enum[0]
  if ('const' in schema) return schema.const
  switch (Array.isArray(schema.type) ? schema.type[0] : schema.type) {
    case 'string':
      return /^(cmd|command|script)$/.test(name) ? 'echo hello' : 'hello'
    case 'array':
      if (name === 'command') return ['bash', '-lc', 'echo hello']
      return Array.from({ length: numberOr(schema.minItems, 0) }, () => sampleOf(schema.items, name, depth + 1))
    case 'integer':
    case 'number':
      return numberOr(schema.minimum, 1)
    case 'boolean':
      return false
    case 'null':
      return null
    default:
      return sampleObject(schema, depth)
  }
}

function sampleObject(schema: Json, depth: number): Json {
  const properties = isJson(schema.properties) ? schema.properties : {}
  const required = Array.isArray(schema.required) ? schema.required.map(String) : []
  return Object.fromEntries(required.map(each => [each, sampleOf(properties[each], each, depth + 1)]))
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  return listOf(content)
    .map(part => (typeof part.text === 'string' ? part.text : ''))
    .join('')
}

function listOf(value: unknown): Json[] {
  return Array.isArray(value) ? value.filter(isJson) : []
}

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function numberOr(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise
}
