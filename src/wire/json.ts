import { isUtf8 } from 'node:buffer'
import { ApiError } from '../errors.ts'
import type { JsonObject } from '../inference/request.ts'
import { jsonErrorPosition } from './json-error-position.ts'

/** Deepest nesting of arrays and objects that a body may have; the deepest tool schemas seen in use stay under 30. */
export const JSON_DEPTH_MAX = 128

/**
 * Reads a body that has to be one JSON object. Of a key that occurs twice the last one counts, and keys named
 * `__proto__` are dropped, so that nothing copied from the result can reach a prototype.
 *
 * Throws `ApiError` `invalid_json`, which names the position of the fault and never quotes the body: error messages get
 * logged, prompts do not.
 */
export function parseJsonBody(body: Uint8Array): JsonObject {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  if (bytes.length === 0) throw new ApiError('invalid_json', 'The body is empty; it has to be one JSON object.')
  if (!isUtf8(bytes)) throw new ApiError('invalid_json', 'The body is not valid UTF-8.')
  // Before parsing, because the parser's memory grows with the nesting and a body of brackets costs 40 times its size.
  const tooDeepAt = depthExceededAt(bytes)
  if (tooDeepAt !== -1) {
    throw new ApiError('invalid_json', `The body nests deeper than ${JSON_DEPTH_MAX} levels at byte ${tooDeepAt}.`)
  }
  const text = bytes.toString('utf8')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
    throw new ApiError('invalid_json', `The body is not valid JSON: ${describePosition(text)}.`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ApiError('invalid_json', 'The body is JSON, but not an object.')
  }
  // The key can also be written with escapes (`\u005f` is an underscore, all ASCII is `\u00..`); both searches cost next to nothing.
  if (text.includes('__proto__') || text.includes('\\u00')) dropProtoKeys(value)
  return value as JsonObject
}

function describePosition(text: string): string {
  const at = jsonErrorPosition(text)
  if (at >= text.length) return `it ends too early, after ${text.length} characters`
  const before = text.slice(0, at)
  const line = before.split('\n').length
  return `unexpected character at position ${at} (line ${line} column ${at - before.lastIndexOf('\n')})`
}

const QUOTE = 0x22
const BACKSLASH = 0x5c

/** How many bytes of a string are looked at one by one before a native search takes over: it pays from about here. */
const SHORT_STRING_BYTES = 48

/** Position of the bracket that nests too deep, or -1. One pass, no recursion; wrong JSON may give any answer. */
function depthExceededAt(bytes: Buffer): number {
  let depth = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number
    if (byte === QUOTE) {
      at = stringEnd(bytes, at + 1)
      if (at === -1) return -1
    } else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > JSON_DEPTH_MAX) return at
    } else if (byte === 0x7d || byte === 0x5d) depth--
  }
  return -1
}

/** Position of the quote that closes the string whose text begins at `start`, or -1. */
export function stringEnd(bytes: Buffer, start: number): number {
  const shortEnd = Math.min(start + SHORT_STRING_BYTES, bytes.length)
  let at = start
  for (; at < shortEnd; at++) {
    const byte = bytes[at]
    if (byte === QUOTE) return at
    if (byte === BACKSLASH) at++
  }
  // `at` may have skipped an escaped character past `shortEnd`; it never stands between a backslash and its character.
  const textStart = at
  while (true) {
    const quote = bytes.indexOf(QUOTE, at)
    if (quote === -1) return -1
    let backslashes = 0
    while (quote - backslashes > textStart && bytes[quote - backslashes - 1] === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) return quote
    at = quote + 1
  }
}

function dropProtoKeys(value: object): void {
  if (Object.hasOwn(value, '__proto__')) Reflect.deleteProperty(value, '__proto__')
  for (const inner of Object.values(value)) if (typeof inner === 'object' && inner !== null) dropProtoKeys(inner)
}
