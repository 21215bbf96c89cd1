import type { JsonObject } from '../inference/request.ts'

/** True for what JSON writes in braces: neither null nor an array. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
