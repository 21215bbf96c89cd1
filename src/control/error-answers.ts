import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { ApiError } from '../errors.ts'

/** The answer to a request that went wrong; errors that are not the client's are told to `onError` and not to the client. */
export function errorAnswer(error: unknown, context: Context, onError: (error: unknown) => void): Response {
  const known = toApiError(error)
  if (known === null) onError(error)
  const apiError = known ?? new ApiError('server_error', 'Something of ours failed. The log of the server says what.')
  context.header('x-should-retry', String(apiError.retryable))
  if (apiError.status === 401) context.header('www-authenticate', 'Bearer')
  return context.json(apiError.toOpenAi(), apiError.status as 400)
}

function toApiError(error: unknown): ApiError | null {
  if (error instanceof ApiError) return error
  if (!(error instanceof HTTPException)) return null
  if (error.status === 415) return new ApiError('unsupported_media_type', 'Send "Content-Type: application/json".')
  if (error.status === 400) return new ApiError('invalid_json', 'The body is not JSON. Send one JSON object in UTF-8.')
  return null
}
