import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ChangeRate } from './change-rate.ts'

test('changes are counted by organisation and minute', () => {
  const rate = new ChangeRate(2)
  const check = (orgId: string, nowMs: number, retryAfterMs: number | null) => {
    if (retryAfterMs === null) rate.take(orgId, nowMs)
    else assert.throws(() => rate.take(orgId, nowMs), { code: 'rate_limit_exceeded', status: 429, retryAfterMs })
  }
  check('a', 60_000, null)
  check('a', 61_000, null)
  check('a', 90_000, 30_000)
  check('b', 90_000, null)
  check('a', 120_000, null)
  // A clock that goes back begins anew.
  check('a', 59_000, null)
  check('a', 59_500, null)
  check('a', 59_999, 1)
})
