import type { z } from 'zod'
import type { ApiError } from '../errors.ts'
import type { JsonObject } from '../inference/request.ts'
import { valueAt } from '../wire/validation-error.ts'
import { invalid, missing } from './fields.ts'

type Issue = z.core.$ZodIssue

/**
 * Checks a client's body against the schema that describes it to people. Schemas are loose: fields that they do not know pass, as the
 * body is passed on as it came.
 *
 * @throws ApiError that names the field at fault and what it has to be.
 */
export function checkBody<Schema extends z.ZodType>(schema: Schema, body: JsonObject): z.output<Schema> {
  const checked = schema.safeParse(body)
  if (checked.success) return checked.data
  throw fault(deepest(checked.error.issues), body)
}

// Of a union nothing fits; the branch that got furthest is the one that was meant.
function deepest(issues: readonly Issue[]): Issue {
  const [issue] = issues as readonly [Issue, ...Issue[]]
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return issue
  const inner = issue.errors.map(branch => deepest(branch)).sort((a, b) => progress(b, a))[0] as Issue
  if (inner.path.length === 0) return issue
  return { ...inner, path: [...issue.path, ...inner.path] }
}

/** Which of two branches got further: one whose kind fits and only its size does not, the deeper one, the one further on in a list. */
function progress(a: Issue, b: Issue): number {
  if (isSize(a) !== isSize(b)) return isSize(a) ? 1 : -1
  if (a.path.length !== b.path.length) return a.path.length - b.path.length
  for (const [i, name] of a.path.entries()) if (name !== b.path[i]) return Number(name) - Number(b.path[i]) || 0
  return 0
}

function isSize({ code, path }: Issue): boolean {
  return path.length === 0 && (code === 'too_big' || code === 'too_small')
}

function fault(issue: Issue, body: JsonObject): ApiError {
  const path = pathText(issue.path)
  const value = valueAt(body, issue.path)
  if (value === undefined) return missing(path)
  return invalid(path, expectation(issue), value)
}

/** As people write it: `messages[0].content`. */
function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, name) => (typeof name === 'number' ? `${text}[${name}]` : `${text}${text === '' ? '' : '.'}${String(name)}`),
    '',
  )
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'an array',
  object: 'an object',
  record: 'an object',
}

// What `invalid` goes on from: "'x' has to be ...".
function expectation(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return TYPES[issue.expected] ?? issue.expected
    case 'invalid_value':
      return listed(issue.values)
    case 'too_small':
      if (issue.minimum === 1 && (issue.origin === 'string' || issue.origin === 'array'))
        return `${issue.origin === 'string' ? 'a string' : 'an array'} that is not empty`
      return `${sized(issue.origin)}${issue.inclusive === false ? 'above' : 'at least'} ${issue.minimum}${unitOf(issue.origin)}`
    case 'too_big':
      return `${sized(issue.origin)}${issue.inclusive === false ? 'below' : 'at most'} ${issue.maximum}${unitOf(issue.origin)}`
    case 'invalid_union': {
      const branches = issue.errors.map(branch => deepest(branch)).filter(({ path }) => path.length === 0)
      return branches.length === 0 ? optionsOf(issue) : [...new Set(branches.map(expectation))].join(' or ')
    }
    default:
      return issue.message
  }
}

// Of a union that is told apart by a field none has the value found there.
function optionsOf(issue: Issue): string {
  const { options } = issue as { options?: readonly unknown[] }
  return options === undefined ? 'one of the kinds that are described' : listed(options)
}

function listed(values: readonly unknown[]): string {
  const words = values.map(value => (typeof value === 'string' ? value : JSON.stringify(value)))
  return words.join(', ').replace(/, ([^,]*)$/, ' or $1')
}

function sized(origin: string): string {
  return origin === 'array' ? 'an array of ' : ''
}

function unitOf(origin: string): string {
  if (origin === 'string') return ' characters'
  return origin === 'array' ? ' entries' : ''
}
