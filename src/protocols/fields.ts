import { ApiError } from '../errors.ts'
import type { JsonObject } from '../inference/request.ts'
import { isObject } from '../wire/json-object.ts'

/*
 * Readers of one field of a client's JSON body each. `null` means "the default", as on OpenAI's wire, and reads as
 * undefined. `path` is the name that the error gives the client, where it differs from the key. All throw `ApiError`.
 */

/** A string, which may be empty. */
export function optionalString(body: JsonObject, key: string, path = key): string | undefined {
  const value = body[key]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'string') throw invalid(path, 'a string', value)
  return value
}

/** An object. */
export function optionalObject(body: JsonObject, key: string, path = key): JsonObject | undefined {
  const value = body[key]
  if (value === undefined || value === null) return undefined
  if (!isObject(value)) throw invalid(path, 'an object', value)
  return value
}

/** An array of anything. */
export function optionalArray(body: JsonObject, key: string, path = key): readonly unknown[] | undefined {
  const value = body[key]
  if (value === undefined || value === null) return undefined
  if (!Array.isArray(value)) throw invalid(path, 'an array', value)
  return value
}

/** A string of at least one character that has to be there. */
export function requiredString(body: JsonObject, key: string, path = key): string {
  const value = optionalString(body, key, path)
  if (value === undefined) throw missing(path)
  if (value === '') throw new ApiError('invalid_value', `'${path}' is empty.`, { param: path })
  return value
}

/** The error for a field that has to be there and is not. */
export function missing(path: string): ApiError {
  return new ApiError('missing_required_parameter', `'${path}' is missing.`, { param: path })
}

/** Says what was expected and what kind of value came; quotes numbers and booleans only, never the client's text. */
export function invalid(path: string, expected: string, value: unknown): ApiError {
  return new ApiError('invalid_value', `'${path}' has to be ${expected}, not ${describe(value)}.`, { param: path })
}

/** The error for something that we understand and do not do; `why` ends the sentence that the path begins. */
export function unsupported(path: string, why: string): ApiError {
  return new ApiError('unsupported_parameter', `'${path}' ${why}`, { param: path })
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return 'null'
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (Array.isArray(value)) return value.length === 0 ? 'an empty one' : 'an array'
  if (value === '') return 'an empty one'
  return typeof value === 'string' ? 'this string' : 'an object'
}
