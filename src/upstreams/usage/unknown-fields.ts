import type { JsonObject } from '../../inference/request.ts'

/**
 * The fields of an upstream's object that are not in `consumed`, or undefined when there are none. Null says nothing and is
 * left out.
 */
export function unknownFields(from: JsonObject | undefined, consumed: ReadonlySet<string>): JsonObject | undefined {
  if (from === undefined) return undefined
  let picked: JsonObject | undefined
  for (const [key, value] of Object.entries(from)) {
    if (consumed.has(key) || value === null || value === undefined) continue
    picked ??= {}
    picked[key] = value
  }
  return picked
}
