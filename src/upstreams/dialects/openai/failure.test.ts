import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failureOfStatus } from './failure.ts'

test('an upstream’s error becomes ours: whose fault it is, whether another target may do better', () => {
  const check = (status: number, body: unknown, expected: object, retryAfter?: string) => {
    const found = failureOfStatus(status, typeof body === 'string' ? body : JSON.stringify(body), retryAfter)
    assert.deepEqual({ ...found, ...expected }, found)
  }
  check(
    400,
    { error: { message: 'bad temperature' } },
    { reason: 'bad_request', message: 'bad temperature', retryable: false },
  )
  check(
    400,
    { error: { message: "This model's maximum context length is 8" } },
    { reason: 'context_length', retryable: false },
  )
  check(400, { error: { message: 'x', code: 'context_length_exceeded' } }, { reason: 'context_length' })
  check(422, { detail: 'no such field' }, { reason: 'bad_request', message: 'no such field' })
  check(
    401,
    { error: { message: 'Incorrect API key provided: sk-secretsecret' } },
    { reason: 'unavailable', message: 'The upstream did not accept us (status 401).', retryable: true },
  )
  check(402, '', { reason: 'unavailable', retryable: true })
  check(429, '', { reason: 'overloaded', retryAfterMs: 2500, retryable: true }, '2.5')
  check(503, '', { reason: 'overloaded', retryAfterMs: undefined }, 'Wed, 21 Oct 2026 07:28:00 GMT')
  check(500, '<html>', { reason: 'internal', retryable: true })
  check(504, '', { reason: 'timeout' })
})

test('addresses and keys that an upstream quotes do not reach the client', () => {
  const check = (message: string, expected: string) =>
    assert.equal(failureOfStatus(400, JSON.stringify({ error: { message } }), undefined).message, expected)
  check('see http://10.0.0.7:8000/v1/docs for help', 'see [address] for help')
  check('worker 10.0.0.7:8000 said no', 'worker [address] said no')
  check('key sk-proj-abcdef123456 is wrong', 'key [key] is wrong')
  check('temperature 0.5 must be at most 2', 'temperature 0.5 must be at most 2')
})
