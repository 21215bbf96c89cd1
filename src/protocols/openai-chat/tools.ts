import { ApiError } from '../../errors.ts'
import type { JsonObject, ToolChoice, ToolDeclaration } from '../../inference/request.ts'
import { isObject } from '../../wire/json-object.ts'
import { invalid, missing, optionalArray, optionalObject, requiredString, unsupported } from '../fields.ts'

/** What the model may call, and whether it must. */
export interface ToolUse {
  readonly tools: readonly ToolDeclaration[]
  readonly toolChoice: ToolChoice
}

const NO_TOOLS: readonly ToolDeclaration[] = Object.freeze([])

/**
 * Reads `tools` and `tool_choice` of a checked body, of function tools alone. `allowed_tools` narrows the tools to those named; unsaid
 * means `auto` when there are tools, else `none`.
 */
export function decodeToolUse(body: JsonObject): ToolUse {
  const tools = (body.tools ?? NO_TOOLS) as readonly ToolDeclaration[]
  const choice = body.tool_choice
  if (choice === undefined || choice === null) return { tools, toolChoice: tools.length > 0 ? 'auto' : 'none' }
  if (isObject(choice) && choice.type === 'allowed_tools') return allowedTools(choice, tools)
  return { tools, toolChoice: checkToolChoice(choice, tools, 'tool_choice') }
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

function findTool(name: string, tools: readonly ToolDeclaration[], path: string): ToolDeclaration {
  const found = tools.find(tool => tool.function.name === name)
  if (found === undefined)
    throw new ApiError('invalid_value', `'${path}' names a function that is not among the tools.`, { param: path })
  return found
}
