import type { JsonObject } from '../inference/request.ts'
import { isObject } from '../wire/json-object.ts'
import { customFunction } from './custom-function.ts'
import { defined } from './responses-parts.ts'

/** What a client calls a tool whose function has another name, or another kind, in chat. */
export interface CalledTool {
  readonly name: string
  readonly namespace?: string
  /** It takes free text and not JSON. */
  readonly custom: boolean
}

/** The tools of a Responses request as chat has them. */
export interface ChatTools {
  readonly tools: readonly JsonObject[]
  /** By the function's name; those that go back as they are named are not in it. */
  readonly called: ReadonlyMap<string, CalledTool>
}

/**
 * The name of a tool within a namespace, as a function of its own. Namespaces of tool servers end in two underscores already
 * (`mcp__files__`), and are not given more.
 */
export function flatName(name: string, namespace: unknown): string {
  if (typeof namespace !== 'string' || namespace === '') return name
  return namespace.endsWith('__') ? namespace + name : `${namespace}__${name}`
}

/** Functions nest in chat; namespaces are flattened; what a host would have to run is named in `dropped`. */
export function toolsToChat(tools: readonly unknown[], dropped: string[]): ChatTools {
  const called = new Map<string, CalledTool>()
  const flat: JsonObject[] = []
  const add = (tool: unknown, path: string, namespace?: string) => {
    if (!isObject(tool)) return
    if (tool.type === 'namespace' && Array.isArray(tool.tools)) {
      tool.tools.forEach((inner, i) => {
        add(inner, `${path}.tools[${i}]`, String(tool.name))
      })
      return
    }
    if (tool.type !== 'function' && tool.type !== 'custom') {
      dropped.push(`${path} (${String(tool.type)})`)
      return
    }
    const name = flatName(String(tool.name), namespace)
    const custom = tool.type === 'custom'
    if (custom || namespace !== undefined)
      called.set(name, { name: String(tool.name), ...(namespace !== undefined && { namespace }), custom })
    flat.push(custom ? customToChat(tool, name) : functionToChat(tool, name))
  }
  tools.forEach((tool, i) => {
    add(tool, `tools[${i}]`)
  })
  return { tools: flat, called }
}

function functionToChat(tool: JsonObject, name: string): JsonObject {
  const { type: _, name: __, description, parameters, strict, ...rest } = tool
  // In chat a schema is not strict unless it says so.
  return {
    type: 'function',
    function: { name, ...defined({ description, parameters, strict: strict || undefined }) },
    ...rest,
  }
}

function customToChat(tool: JsonObject, name: string): JsonObject {
  const { type: _, name: __, description, format, ...rest } = tool
  const grammar = isObject(format) && format.type === 'grammar' ? format : null
  const { syntax, definition } = grammar ?? {}
  return {
    type: 'function',
    function: customFunction({ name, description, grammar: grammar === null ? null : { syntax, definition } }),
    ...rest,
  }
}

/** `tool_choice`, whose names nest in chat. One that asks for a tool which was dropped leaves the choice to the model. */
export function toolChoiceToChat(choice: unknown, tools: readonly JsonObject[], dropped: string[]): unknown {
  if (choice === undefined || choice === null) return undefined
  if (!isObject(choice)) {
    if (choice !== 'required' || tools.length > 0) return choice
    dropped.push('tool_choice')
    return 'auto'
  }
  if (choice.type === 'allowed_tools') {
    const named = Array.isArray(choice.tools) ? choice.tools.filter(isCallable) : []
    if (named.length > 0)
      return { type: 'allowed_tools', allowed_tools: { mode: choice.mode, tools: named.map(nestName) } }
  }
  if (isCallable(choice)) return nestName(choice)
  dropped.push('tool_choice')
  return tools.length > 0 ? 'auto' : undefined
}

function isCallable(choice: unknown): choice is JsonObject {
  return isObject(choice) && (choice.type === 'function' || choice.type === 'custom')
}

function nestName(choice: JsonObject): JsonObject {
  return { type: 'function', function: { name: flatName(String(choice.name), choice.namespace) } }
}

/** The tools of a chat as Responses has them: flat. */
export function toolsToResponses(tools: readonly unknown[]): readonly unknown[] {
  return tools.map(tool => {
    if (!isObject(tool)) return tool
    const { type, function: declared, custom, ...rest } = tool
    // Responses takes a schema for strict unless it says otherwise.
    if (type === 'function' && isObject(declared)) return { type, strict: false, ...defined(declared), ...rest }
    if (type !== 'custom' || !isObject(custom)) return tool
    const { format, ...named } = custom
    const grammar = isObject(format) && isObject(format.grammar) ? { type: 'grammar', ...format.grammar } : format
    return { type, ...named, ...defined({ format: grammar }), ...rest }
  })
}

/** `tool_choice`, whose names are flat in Responses. */
export function toolChoiceToResponses(choice: unknown): unknown {
  if (!isObject(choice)) return choice
  if (choice.type === 'allowed_tools' && isObject(choice.allowed_tools)) {
    const { mode, tools } = choice.allowed_tools
    return { type: 'allowed_tools', mode, tools: Array.isArray(tools) ? tools.map(flattenName) : [] }
  }
  return flattenName(choice)
}

function flattenName(choice: unknown): unknown {
  if (!isObject(choice)) return choice
  const named = choice[String(choice.type)]
  return isObject(named) ? { type: choice.type, name: named.name } : choice
}
