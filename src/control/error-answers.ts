import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import type { z } from 'zod'
import { ApiError } from '../errors.ts'

type Issue = z.core.$ZodIssue

/** The answer to a request that went wrong; errors that are not the client's are told to `onError` and not to the client. */
export function errorAnswer(error: unknown, context: Context, onError: (error: unknown) => void): Response {
  const known = toApiError(error)
  if (known === null) onError(error)
  const apiError = known ?? new ApiError('server_error', 'Something of ours failed. The log of the server says what.')
  context.header('x-should-retry', String(apiError.retryable))
  if (apiError.status === 401) context.header('www-authenticate', 'Bearer')
  return context.json(apiError.toOpenAi(), apiError.status as 400)
}

/**
 * What is wrong with a body or query, naming the field and the cure. A name we do not know comes first, since the mistyped
 * name is then the cure for the one that seems to be missing.
 */
export function validationError(issues: readonly Issue[], data: unknown): ApiError {
  const issue = issues.find(each => each.code === 'unrecognized_keys') ?? issues[0]
  if (issue === undefined) return new ApiError('invalid_value', 'The request is not valid.')
  const path = issue.path.map(String)
  if (issue.code === 'unrecognized_keys') {
    const param = [...path, issue.keys[0]].join('.')
    return new ApiError(
      'unsupported_parameter',
      `${param}: there is no such field here; correct its name or leave it out`,
      { param },
    )
  }
  const param = path.join('.')
  if (param === '') return new ApiError('invalid_value', issue.message)
  if (valueAt(data, issue.path) === undefined) {
    return new ApiError('missing_required_parameter', `${param}: is required; add it`, { param })
  }
  return new ApiError('invalid_value', `${param}: ${issue.message}`, { param })
}

function toApiError(error: unknown): ApiError | null {
  if (error instanceof ApiError) return error
  if (!(error instanceof HTTPException)) return null
  if (error.status === 415) return new ApiError('unsupported_media_type', 'Send "Content-Type: application/json".')
  if (error.status === 400) return new ApiError('invalid_json', 'The body is not JSON. Send one JSON object in UTF-8.')
  return null
}

function valueAt(data: unknown, path: readonly PropertyKey[]): unknown {
  let value = data
  for (const name of path) value = (value as Record<PropertyKey, unknown> | null | undefined)?.[name]
  return value
}
