import type { UpstreamFailure } from '../../../inference/event.ts'
import type { JsonObject } from '../../../inference/request.ts'
import { failureOfStatus } from './failure.ts'

/**
 * What an error frame in a stream means. There is no HTTP status any more, so it is taken from `code`, where vLLM and
 * OpenRouter write it as a number, else from the words of `code` and `type`.
 */
export function failureOfErrorFrame(frame: JsonObject): UpstreamFailure {
  const error = typeof frame.error === 'object' && frame.error !== null ? (frame.error as JsonObject) : {}
  const status =
    numericStatus(error.code) ?? numericStatus(error.status) ?? statusOfWords(`${error.code} ${error.type}`)
  return failureOfStatus(status, JSON.stringify(frame), undefined)
}

function numericStatus(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^\d{3}$/.test(value) ? Number(value) : value
  return typeof number === 'number' && number >= 400 && number < 600 ? number : undefined
}

function statusOfWords(words: string): number {
  if (/rate_limit|overload|quota/i.test(words)) return 429
  if (/insufficient_system|unavailable/i.test(words)) return 503
  if (/timeout/i.test(words)) return 504
  if (/invalid|bad_?request|context_length/i.test(words)) return 400
  return 500
}
