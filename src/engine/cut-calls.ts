import type { GenericCall } from './generic-tools.ts'

const NAME = /"name"\s*:\s*("(?:[^"\\]|\\.)*")/
const ARGUMENTS = /"arguments"\s*:\s*/

/**
 * The calls in `{"tool_calls": [...]}` that was cut off: the whole ones, and the last with as much of its arguments as there is, if its
 * name is complete. A client sees the same of any provider: a call cut by `length` has arguments that end early.
 */
export function cutCalls(text: string): GenericCall[] {
  const calls: GenericCall[] = []
  const array = text.indexOf('[')
  if (array === -1) return calls
  let depth = 0
  let start = -1
  let inString = false
  for (let at = array + 1; at < text.length; at++) {
    const char = text[at]
    if (inString) {
      if (char === '\\') at++
      else if (char === '"') inString = false
      continue
    }
    if (char === '"') inString = true
    else if (char === '{' || char === '[') {
      if (depth === 0) start = at
      depth++
    } else if (char === '}' || char === ']') {
      depth--
      if (depth < 0) return calls
      if (depth > 0) continue
      const { name, arguments: given } = JSON.parse(text.slice(start, at + 1)) as { name: string; arguments: unknown }
      calls.push({ name, arguments: JSON.stringify(given ?? {}) })
      start = -1
    }
  }
  if (depth > 0) {
    const last = readLast(text.slice(start))
    if (last !== undefined) calls.push(last)
  }
  return calls
}

function readLast(text: string): GenericCall | undefined {
  const name = NAME.exec(text)?.[1]
  if (name === undefined) return undefined
  const key = ARGUMENTS.exec(text)
  return { name: JSON.parse(name), arguments: key === null ? '' : text.slice(key.index + key[0].length) }
}
