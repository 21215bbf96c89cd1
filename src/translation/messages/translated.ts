import type { JsonObject } from '../../inference/request.ts'

/** A request in another protocol's form. */
export interface Translated {
  readonly body: JsonObject
  /** What of the request has no place in that form: paths of fields, some with what stood there in brackets. */
  readonly dropped: readonly string[]
}

/** The fields of an object beside those named; null means "unsaid" on both wires and is left out. */
export function restOf(object: JsonObject, known: ReadonlySet<string>): JsonObject {
  const rest: JsonObject = {}
  for (const [key, value] of Object.entries(object))
    if (!known.has(key) && value !== null && value !== undefined) rest[key] = value
  return rest
}

/** Puts a value into an object unless it is unsaid. */
export function put(object: JsonObject, key: string, value: unknown): void {
  if (value !== undefined && value !== null) object[key] = value
}
