import type { JsonObject, ToolDeclaration } from '../inference/request.ts'
import { isObject } from '../wire/json-object.ts'

/**
 * A grammar writes out every repetition that a schema bounds, and one of many thousands is refused (`grammar-check.ts`). Programs bound the
 * texts that their tools take by what fits a file (Claude Code: 524,288 characters), which no answer reaches.
 */
const REPETITIONS_MAX = 256
const BOUNDS = new Set(['maxLength', 'minLength', 'maxItems', 'minItems'])

/**
 * Tools whose schemas make a grammar: bounds of length beyond a few hundred are left out. What a tool takes is checked by the program
 * that runs it, so that a call with too long a text is better than no call; the schema of an answer is never loosened so.
 */
export function boundableTools(tools: readonly ToolDeclaration[]): readonly ToolDeclaration[] {
  return tools.map(tool => {
    const { parameters } = tool.function
    const bounded = parameters === undefined ? undefined : loosened(parameters)
    return bounded === parameters
      ? tool
      : { ...tool, function: { ...tool.function, parameters: bounded as JsonObject } }
  })
}

/** The same value where there is nothing to leave out. */
function loosened(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.map(loosened)
    return items.every((item, i) => item === value[i]) ? value : items
  }
  if (!isObject(value)) return value
  let changed = false
  const copy: JsonObject = {}
  for (const [key, inner] of Object.entries(value)) {
    // A property may be called so; its schema is an object.
    if (BOUNDS.has(key) && typeof inner === 'number' && inner > REPETITIONS_MAX) {
      changed = true
      continue
    }
    copy[key] = loosened(inner)
    changed ||= copy[key] !== inner
  }
  return changed ? copy : value
}
