import type { z } from 'zod'
import { ApiError } from '../errors.ts'

type Issue = z.core.$ZodIssue

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

/** The value under a path of names and indices; undefined where the path leads nowhere. */
export function valueAt(data: unknown, path: readonly PropertyKey[]): unknown {
  let value = data
  for (const name of path) value = (value as Record<PropertyKey, unknown> | null | undefined)?.[name]
  return value
}
