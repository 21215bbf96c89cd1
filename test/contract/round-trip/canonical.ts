import type { JsonObject } from '../../../src/inference/request.ts'
import { isObject } from '../../../src/wire/json-object.ts'

/*
 * What two requests of one API are compared by: each with only one way left to say a thing. This is all that a translation may change
 * without naming it:
 *
 * - null is the same as absent; so are the APIs' defaults when they are written out (`strict: false`, `is_error: false`, parallel calls
 *   allowed, `detail: auto`, no citations, nothing stored in chat, everything stored in Responses, the choice of a tool left to the
 *   model, any object for a function without parameters, `response` for the name of a schema), and whether calls may be parallel where there may be none.
 * - A text is the same as a list of one text, and a refusal is what was said. Messages of one role that follow each other are one; what the developer says is the
 *   system's; `instructions` are the system's first words; a marker on a message marks the last part of it.
 * - Ids, states and annotations of Responses items, and what a reasoning item says in short when it also says it whole. The text of a
 *   thought under whichever name; the index, id and form of a detail; details that say no more than the text; a signature of our own.
 * - Namespaces are flat names and custom tools are functions of one text: the codec keeps how they were declared for the way back.
 * - Fields that are for the server and not for a model: how the answer travels and what is in it (`include`, `stream_options`,
 *   `client_metadata`, `reasoning.summary`). The line that Claude Code begins with is removed on purpose.
 * - Names that mean the same: `max_completion_tokens`, `safety_identifier` and `user`, `reasoning.effort`. Arguments are what they say
 *   as JSON.
 */

export type Form = 'chat' | 'responses' | 'messages'

/** A request with one way to say each thing: the conversation as one flat list, and the options. */
export function canonical(form: Form, body: JsonObject): JsonObject {
  const request = without(clean(body), 'stream_options', 'include', 'client_metadata')
  if (form === 'chat') return canonicalChat(request)
  return form === 'responses' ? canonicalResponses(request) : canonicalMessages(request)
}

function canonicalChat(body: JsonObject): JsonObject {
  const { messages, max_completion_tokens: completion, safety_identifier: safety, ...rest } = body
  const options: JsonObject = { ...rest }
  if (completion !== undefined) options.max_tokens = completion
  if (safety !== undefined) options.user = safety
  if (options.store === false) delete options.store
  if (options.tool_choice === 'auto') delete options.tool_choice
  if (options.parallel_tool_calls === true || options.tool_choice === 'none') delete options.parallel_tool_calls
  if (Array.isArray(options.tools)) options.tools = options.tools.map(canonicalTool)
  if (isObject(options.response_format) && isObject(options.response_format.json_schema))
    options.response_format = {
      ...options.response_format,
      json_schema: unnamed(options.response_format.json_schema),
    }
  return { ...options, said: list(messages).flatMap(saidInChat) }
}

function saidInChat(message: JsonObject): JsonObject[] {
  const { content, cache_control: marker, ...fields } = message
  const role = fields.role === 'developer' ? 'system' : fields.role
  const parts = contentParts(content).map(part => ({ role, ...part }))
  if (role === 'tool') return [{ ...usual(fields), content: contentParts(content), ...mark(marker) }]
  if (role !== 'assistant') return marked([...withFields(parts, without(fields, 'role'))], marker)
  const { refusal, tool_calls: calls, reasoning_content: text, reasoning, reasoning_details: details, ...more } = fields
  const { block_order: order, role: _, ...rest } = more
  const kinds = {
    thinking: thoughts(details, text ?? reasoning),
    text: [...parts, ...(refusal === undefined ? [] : [{ role, type: 'text', text: refusal }])],
    tool_use: list(calls).map(({ index: __, ...call }) => ({ role, ...readArguments(call) })),
  }
  const all = [...kinds.thinking, ...kinds.text, ...kinds.tool_use]
  const inOrder =
    Array.isArray(order) && order.length === all.length
      ? order.flatMap(kind => kinds[kind as keyof typeof kinds].splice(0, 1))
      : all
  return marked(withFields(inOrder, rest), marker)
}

/** Thoughts as what they say, by whom they are signed, and what only others can read. */
function thoughts(details: unknown, text: unknown): JsonObject[] {
  const said = list(details).map(({ text: whole, summary, data, signature, ...rest }) => ({
    role: 'assistant',
    ...clean({ thought: whole ?? summary, data, signature: signature === '' ? undefined : signature }),
    ...without(rest, 'type', 'id', 'index', 'format'),
  }))
  const told = said.some(({ thought }: JsonObject) => thought !== undefined)
  return told || typeof text !== 'string' || text === '' ? said : [{ role: 'assistant', thought: text }, ...said]
}

function canonicalMessages(body: JsonObject): JsonObject {
  const { system, messages, ...options } = body
  const opening = contentParts(system)
  const first = String(opening[0]?.text).startsWith('x-anthropic-billing-header:') ? opening.slice(1) : opening
  return {
    ...options,
    said: [
      ...first.map(block => ({ role: 'system', ...block })),
      ...list(messages).flatMap(({ role, content }) =>
        contentParts(content).map(block => ({ role, ...blockOf(block) })),
      ),
    ],
  }
}

function blockOf(block: JsonObject): JsonObject {
  const { signature, ...rest } = usual(block)
  if (rest.type === 'tool_result') return { ...rest, content: contentParts(rest.content) }
  return typeof signature === 'string' && signature !== '' && !signature.startsWith('hr1.')
    ? { ...rest, signature }
    : rest
}

function canonicalResponses(body: JsonObject): JsonObject {
  const { input, instructions, tools, reasoning, store, safety_identifier: safety, ...rest } = body
  const asked = isObject(reasoning) ? without(reasoning, 'summary') : {}
  const options: JsonObject = { ...rest, store: store ?? true }
  if (safety !== undefined) options.user = safety
  if (Object.keys(asked).length > 0) options.reasoning = asked
  if (options.tool_choice === 'auto') delete options.tool_choice
  if (options.parallel_tool_calls === true || options.tool_choice === 'none') delete options.parallel_tool_calls
  if (Array.isArray(tools)) options.tools = tools.flatMap(each => flatTools(each))
  if (isObject(options.text) && isObject(options.text.format))
    options.text = { ...options.text, format: unnamed(options.text.format) }
  const opening = typeof instructions === 'string' ? [{ role: 'system', type: 'text', text: instructions }] : []
  return { ...options, said: [...opening, ...list(input).flatMap(saidInItem)] }
}

function saidInItem(item: JsonObject): JsonObject[] {
  const { type = 'message', id: _, status: __, ...fields } = item
  switch (type) {
    case 'message': {
      const { role, content, ...rest } = fields
      return withFields(
        contentParts(content).map(part => ({ role: role === 'developer' ? 'system' : role, ...part })),
        rest,
      )
    }
    case 'reasoning': {
      const { content, summary, encrypted_content: data, reasoning_details: details } = fields
      const [read] = [content, summary].map(textOf).filter(text => text !== '')
      const signatures = list(details).flatMap(({ signature }) => (signature === undefined ? [] : [signature]))
      return [
        { role: 'assistant', thought: read ?? '', ...clean({ data }), ...(signatures.length > 0 && { signatures }) },
      ]
    }
    case 'custom_tool_call':
      return [{ type: 'function_call', ...without(fields, 'input'), arguments: { input: fields.input } }]
    case 'function_call': {
      const { namespace, name, arguments: text, ...rest } = fields
      return [{ type, ...rest, name: flat(name, namespace), arguments: parsed(text) }]
    }
    case 'function_call_output':
    case 'custom_tool_call_output':
      return [{ type: 'function_call_output', ...fields, output: contentParts(fields.output) }]
    default:
      return [{ type, ...fields }]
  }
}

function flatTools(tool: unknown, namespace?: unknown): JsonObject[] {
  if (!isObject(tool)) return []
  if (tool.type === 'namespace') return list(tool.tools).flatMap(inner => flatTools(inner, tool.name))
  if (tool.type === 'custom') return [{ type: 'function', name: tool.name }]
  const { strict, name, ...rest } = tool
  const isCustom = isObject(tool.parameters) && textOfInput(tool.parameters)
  if (isCustom) return [{ type: 'function', name }]
  const parameters = { type: 'object', ...(isObject(tool.parameters) && tool.parameters) }
  return [{ ...rest, parameters, name: flat(name, namespace), ...(strict === true && { strict }) }]
}

/** Whether a schema is that of a custom tool's function. */
function textOfInput(schema: JsonObject): boolean {
  const properties = isObject(schema.properties) ? schema.properties : {}
  const [input] = Object.values(properties)
  return Object.keys(properties).join() === 'input' && isObject(input) && /free text/.test(String(input.description))
}

function canonicalTool(tool: unknown): unknown {
  if (!isObject(tool) || !isObject(tool.function)) return tool
  const { strict, ...declared } = tool.function
  const parameters = { type: 'object', ...(isObject(declared.parameters) && declared.parameters) }
  return { ...tool, function: { ...declared, parameters, ...(strict === true && { strict }) } }
}

function flat(name: unknown, namespace: unknown): unknown {
  if (typeof namespace !== 'string') return name
  return `${namespace}${namespace.endsWith('__') ? '' : '__'}${name}`
}

function contentParts(content: unknown): JsonObject[] {
  if (content === undefined || content === '') return []
  if (typeof content === 'string') return [{ type: 'text', text: content }]
  return list(content).map(part => {
    if (part.type === 'refusal') return { type: 'text', text: part.refusal }
    const { annotations: _, logprobs: __, ...rest } = usual(part)
    if (isObject(rest.image_url)) rest.image_url = usual(rest.image_url)
    if (rest.type === 'input_text' || rest.type === 'output_text') rest.type = 'text'
    return rest
  })
}

function unnamed(schema: JsonObject): JsonObject {
  return schema.name === 'response' ? without(schema, 'name') : schema
}

const USUAL: JsonObject = { is_error: false, detail: 'auto' }

/** Without what the APIs take for said. */
function usual(fields: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(fields).filter(([name, value]) => !(name in USUAL && USUAL[name] === value)))
}

function readArguments(call: JsonObject): JsonObject {
  if (!isObject(call.function)) return call
  return { ...call, function: { ...call.function, arguments: parsed(call.function.arguments) } }
}

function parsed(text: unknown): unknown {
  try {
    return JSON.parse(String(text))
  } catch {
    return text
  }
}

function withFields(entries: JsonObject[], fields: JsonObject): JsonObject[] {
  return Object.keys(fields).length === 0 ? entries : [...entries, { fields }]
}

function marked(entries: JsonObject[], marker: unknown): JsonObject[] {
  const at = entries.findLastIndex(({ thought, data }) => thought === undefined && data === undefined)
  return marker === undefined
    ? entries
    : entries.map((entry, i) => (i === at ? { cache_control: marker, ...entry } : entry))
}

function mark(marker: unknown): JsonObject {
  return marker === undefined ? {} : { cache_control: marker }
}

function textOf(parts: unknown): string {
  return list(parts)
    .map(({ text }) => text)
    .join('\n\n')
}

function list(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : []
}

function without(object: JsonObject, ...names: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)))
}

/** Without fields that are null or undefined, at any depth. */
function clean(value: JsonObject): JsonObject
function clean(value: unknown): unknown
function clean(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(clean)
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, each]) => (each === null || each === undefined ? [] : [[name, clean(each)]])),
  )
}
