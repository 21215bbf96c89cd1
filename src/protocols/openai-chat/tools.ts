import { ApiError } from '../../errors.ts'
import type { JsonObject, ToolChoice, ToolDeclaration } from '../../inference/request.ts'
import { isObject } from '../../wire/json-object.ts'
import { invalid, missing, optionalArray, optionalObject, requiredString, unsupported } from '../fields.ts'

/** OpenAI's bound on `tools`. */
const TOOLS_MAX = 128

/** What the model may call, and whether it must. */
export interface ToolUse {
  readonly tools: readonly ToolDeclaration[]
  readonly toolChoice: ToolChoice
}

const NO_TOOLS: readonly ToolDeclaration[] = Object.freeze([])

/**
 * Reads `tools` and `tool_choice`, or the deprecated `functions` and `function_call` they replaced. `allowed_tools`
 * narrows the tools to those named; unsaid means `auto` when there are tools, else `none`.
 */
export function decodeToolUse(body: JsonObject): ToolUse {
  if (asksForFunctions(body)) return decodeFunctions(body)
  const declared = optionalArray(body, 'tools')
  const tools = declared === undefined || declared.length === 0 ? NO_TOOLS : checkTools(declared)
  const choice = body.tool_choice
  if (choice === undefined || choice === null) return { tools, toolChoice: tools.length > 0 ? 'auto' : 'none' }
  if (isObject(choice) && choice.type === 'allowed_tools') return allowedTools(choice, tools)
  return { tools, toolChoice: checkToolChoice(choice, tools, 'tool_choice') }
}

/** True when a client speaks the deprecated form, and so expects `function_call` in its answer. */
export function asksForFunctions(body: JsonObject): boolean {
  return Array.isArray(body.functions) && (body.tools === undefined || body.tools === null)
}

function checkTools(declared: readonly unknown[]): readonly ToolDeclaration[] {
  if (declared.length > TOOLS_MAX) throw invalid('tools', `an array of at most ${TOOLS_MAX} tools`, declared)
  for (let i = 0; i < declared.length; i++) {
    const tool = declared[i]
    if (!isObject(tool)) throw invalid(`tools[${i}]`, 'an object', tool)
    if (tool.type === undefined) throw missing(`tools[${i}].type`)
    if (tool.type !== 'function')
      throw unsupported(`tools[${i}].type`, 'has to be "function"; other tools are not supported.')
    if (!isObject(tool.function)) throw missing(`tools[${i}].function`)
    checkFunction(tool.function, `tools[${i}].function`)
  }
  return declared as readonly ToolDeclaration[]
}

function checkFunction(declared: JsonObject, path: string): void {
  const name = requiredString(declared, 'name', `${path}.name`)
  // OpenAI's characters and length, plus the dot and colon that tool servers put between their name and the tool's.
  if (!/^[\w.:-]{1,128}$/.test(name)) throw invalid(`${path}.name`, 'at most 128 letters, digits, _, -, . or :', name)
  if (declared.description !== undefined && declared.description !== null && typeof declared.description !== 'string') {
    throw invalid(`${path}.description`, 'a string', declared.description)
  }
  optionalObject(declared, 'parameters', `${path}.parameters`)
}

function checkToolChoice(choice: unknown, tools: readonly ToolDeclaration[], path: string): ToolChoice {
  if (choice === 'none' || choice === 'auto') return choice
  if (choice === 'required') {
    if (tools.length === 0)
      throw new ApiError('invalid_value', `'${path}' is "required", but there are no tools.`, { param: path })
    return choice
  }
  if (!isObject(choice)) throw invalid(path, 'none, auto, required or an object that names a function', choice)
  if (choice.type !== 'function') throw unsupported(`${path}.type`, 'has to be "function" or "allowed_tools".')
  if (!isObject(choice.function)) throw missing(`${path}.function`)
  const name = requiredString(choice.function, 'name', `${path}.function.name`)
  findTool(name, tools, `${path}.function.name`)
  return { type: 'function', function: { name } }
}

function allowedTools(choice: JsonObject, tools: readonly ToolDeclaration[]): ToolUse {
  const path = 'tool_choice.allowed_tools'
  const allowed = optionalObject(choice, 'allowed_tools', path)
  if (allowed === undefined) throw missing(path)
  if (allowed.mode !== 'auto' && allowed.mode !== 'required')
    throw invalid(`${path}.mode`, 'auto or required', allowed.mode)
  const named = optionalArray(allowed, 'tools', `${path}.tools`)
  if (named === undefined || named.length === 0) throw missing(`${path}.tools`)
  const kept = new Set<ToolDeclaration>()
  for (let i = 0; i < named.length; i++) {
    const one = named[i]
    if (!isObject(one) || one.type !== 'function' || !isObject(one.function)) {
      throw invalid(`${path}.tools[${i}]`, 'an object that names a function', one)
    }
    const name = requiredString(one.function, 'name', `${path}.tools[${i}].function.name`)
    kept.add(findTool(name, tools, `${path}.tools[${i}].function.name`))
  }
  return { tools: tools.filter(tool => kept.has(tool)), toolChoice: allowed.mode }
}

function decodeFunctions(body: JsonObject): ToolUse {
  const functions = optionalArray(body, 'functions') ?? []
  if (functions.length > TOOLS_MAX) throw invalid('functions', `an array of at most ${TOOLS_MAX} functions`, functions)
  const tools = functions.map((declared, i): ToolDeclaration => {
    if (!isObject(declared)) throw invalid(`functions[${i}]`, 'an object', declared)
    checkFunction(declared, `functions[${i}]`)
    return { type: 'function', function: declared as ToolDeclaration['function'] }
  })
  const called = body.function_call
  if (called === undefined || called === null) return { tools, toolChoice: tools.length > 0 ? 'auto' : 'none' }
  if (called === 'none' || called === 'auto') return { tools, toolChoice: called }
  if (!isObject(called)) throw invalid('function_call', 'none, auto or an object that names a function', called)
  const name = requiredString(called, 'name', 'function_call.name')
  findTool(name, tools, 'function_call.name')
  return { tools, toolChoice: { type: 'function', function: { name } } }
}

function findTool(name: string, tools: readonly ToolDeclaration[], path: string): ToolDeclaration {
  const found = tools.find(tool => tool.function.name === name)
  if (found === undefined)
    throw new ApiError('invalid_value', `'${path}' names a function that is not among the tools.`, { param: path })
  return found
}
