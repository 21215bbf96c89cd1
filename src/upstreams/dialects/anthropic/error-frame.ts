import type { UpstreamFailure } from '../../../inference/event.ts'
import type { JsonObject } from '../../../inference/request.ts'
import { isObject } from '../../../wire/json-object.ts'
import { failureOfStatus } from '../openai/failure.ts'

/** The status that each type of error has where it comes before the answer. */
const STATUS_OF_TYPE: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  authentication_error: 401,
  billing_error: 402,
  permission_error: 403,
  not_found_error: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  api_error: 500,
  timeout_error: 504,
  overloaded_error: 529,
}

/** What an `error` event in the middle of a stream means: what the same error would have meant as an answer. */
export function failureOfErrorEvent(frame: JsonObject): UpstreamFailure {
  const type = isObject(frame.error) ? frame.error.type : undefined
  const known = typeof type === 'string' && Object.hasOwn(STATUS_OF_TYPE, type)
  return failureOfStatus(known ? (STATUS_OF_TYPE[type] as number) : 500, JSON.stringify(frame), undefined)
}
