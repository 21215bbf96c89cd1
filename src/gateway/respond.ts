import type { OutgoingHttpHeaders } from 'node:http'
import { ApiError } from '../errors.ts'
import type { UpstreamFailure } from '../inference/event.ts'
import type { Surface } from '../inference/request.ts'
import { errorBody, requestIdHeaders } from '../protocols/surface.ts'
import type { ClientPort } from './client-port.ts'

/** Headers of every error answer: what the OpenAI and Anthropic SDKs read to decide about a retry. */
export function errorHeaders(error: ApiError, requestId: string, surface: Surface = 'openai'): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {
    'content-type': 'application/json',
    ...requestIdHeaders(surface, requestId),
    'x-should-retry': String(error.retryable),
    ...error.headers,
  }
  if (error.retryAfterMs !== null) {
    headers['retry-after-ms'] = String(Math.ceil(error.retryAfterMs))
    headers['retry-after'] = String(Math.max(1, Math.ceil(error.retryAfterMs / 1000)))
  }
  return headers
}

/** Answers with an error before anything else was sent. */
export function sendError(
  client: ClientPort,
  error: ApiError,
  requestId: string,
  surface: Surface,
  extra: OutgoingHttpHeaders = {},
): void {
  const body = Buffer.from(JSON.stringify(errorBody(surface, error, requestId)))
  client.head(error.status, { ...errorHeaders(error, requestId, surface), ...extra, 'content-length': body.length })
  client.end(body)
}

/** Anything thrown → an error of the table. What we did not expect stays out of the answer. */
export function toApiError(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown
  return new ApiError('server_error', 'The server made a mistake with this request.', { cause: thrown })
}

/** An upstream's failure → what the client is told. */
export function failureError(failure: UpstreamFailure): ApiError {
  const options = failure.retryAfterMs === undefined ? {} : { retryAfterMs: failure.retryAfterMs }
  switch (failure.reason) {
    case 'bad_request':
      return new ApiError('upstream_rejected', failure.message, options)
    case 'context_length':
      return new ApiError('context_length_exceeded', failure.message, { ...options, param: 'messages' })
    case 'overloaded':
      return new ApiError('engine_overloaded', failure.message, { retryAfterMs: 1000, ...options })
    case 'unwanted':
      return new ApiError('no_matching_upstream', failure.message, { param: 'provider' })
    case 'unavailable':
    case 'refused':
      return new ApiError('model_unavailable', failure.message, { retryAfterMs: 5000, ...options })
    case 'timeout':
      return new ApiError('upstream_timeout', failure.message, options)
    case 'disconnected':
    case 'protocol':
    case 'internal':
      return new ApiError('upstream_error', failure.message, options)
  }
}
