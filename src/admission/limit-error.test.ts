import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ErrorCode } from '../errors.ts'
import type { HoldRefusal } from '../ledger/books.ts'
import type { Limit } from '../ledger/limit-counter.ts'
import { limitError } from './limit-error.ts'

const NOW_MS = Date.parse('2026-05-05T10:00:00Z')

function check(
  name: string,
  [measure, window, amount]: readonly [Limit['measure'], Limit['window'], bigint],
  refused: { left: bigint; inMs: number | null; held?: true },
  expected: { code: ErrorCode; message: string; waitMs: number | null; retry: boolean },
): void {
  const limit: Limit = { id: 'l', measure, amount, window, hard: true, notifyPercents: [] }
  const refusal: HoldRefusal = {
    reason: refused.held ? 'limit_held' : 'limit',
    budgetId: null,
    available: refused.left,
    limited: { limit, fitsAtMs: refused.inMs === null ? null : NOW_MS + refused.inMs },
  }
  test(name, () => {
    const error = limitError(limit, refusal, NOW_MS)
    const { code, message, retryAfterMs: waitMs, retryable: retry } = error
    assert.deepEqual({ code, message, waitMs, retry }, expected)
  })
}

check(
  'a wait that SDKs obey is worth a repeat',
  ['requests', 'minute', 60n],
  { left: 0n, inMs: 45_000 },
  {
    code: 'rate_limit_exceeded',
    message:
      'The limit l is reached: 0 of 60 requests a minute are left. It fits again at 2026-05-05T10:00:45.000Z at the latest.',
    waitMs: 45_000,
    retry: true,
  },
)
check(
  'a wait that SDKs would shorten to seconds is not',
  ['requests', 'day', 1n],
  { left: 0n, inMs: 50_400_000 },
  {
    code: 'rate_limit_exceeded',
    message:
      'The limit l is reached: 0 of 1 request a day are left. It fits again at 2026-05-06T00:00:00.000Z at the latest.',
    waitMs: 50_400_000,
    retry: false,
  },
)
check(
  'one that is left, while others run',
  ['uncached_tokens', 'rolling_hour', 1000n],
  { left: 1n, inMs: null, held: true },
  {
    code: 'rate_limit_exceeded',
    message: 'The limit l is reached: 1 of 1000 uncached tokens in any hour is left while other requests run.',
    waitMs: 1000,
    retry: true,
  },
)
check(
  'requests at a time',
  ['concurrency', 'ever', 1n],
  { left: 0n, inMs: null, held: true },
  {
    code: 'rate_limit_exceeded',
    message: 'The limit l lets 1 request run at a time.',
    waitMs: 1000,
    retry: true,
  },
)
check(
  'what never comes back is a budget, whatever it counts',
  ['requests', 'ever', 100n],
  { left: 0n, inMs: null },
  {
    code: 'budget_exceeded',
    message: 'The limit l is used up: 0 of 100 requests in all are left.',
    waitMs: null,
    retry: false,
  },
)
check(
  'money is a budget',
  ['nanodollars', 'month', 5_000_000_000n],
  { left: 1_500_000n, inMs: null },
  {
    code: 'budget_exceeded',
    message: 'The budget l is used up: $0.0015 of $5.00 a month is left.',
    waitMs: null,
    retry: false,
  },
)
