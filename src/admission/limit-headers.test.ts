import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Limit } from '../ledger/limit-counter.ts'
import { type LimitState, limitHeaders } from './limit-headers.ts'

const NOW_MS = Date.parse('2026-05-05T10:00:00Z')

function state(
  id: string,
  measure: Limit['measure'],
  window: Limit['window'],
  used: bigint,
  amount: bigint,
  inMs?: number,
) {
  const limit: Limit = { id, measure, amount, window, hard: true, notifyPercents: [] }
  return { limit, used, resetMs: inMs === undefined ? null : NOW_MS + inMs } satisfies LimitState
}

function check(name: string, states: readonly LimitState[], expected: Record<string, string>): void {
  test(name, () => assert.deepEqual(limitHeaders(states, NOW_MS), expected))
}

check('nothing to say without limits', [], {})
check('money is not told', [state('m', 'nanodollars', 'day', 1n, 5n, 1000)], {})
check(
  'the tightest of each kind',
  [
    state('a', 'requests', 'minute', 10n, 60n, 12_345),
    state('b', 'requests', 'day', 990n, 1000n, 50_400_000),
    state('c:ada', 'tokens', 'rolling_hour', 5000n, 4000n, 3_661_000),
  ],
  {
    'x-ratelimit-limit-requests': '1000',
    'x-ratelimit-remaining-requests': '10',
    'x-ratelimit-reset-requests': '14h0m0s',
    'x-ratelimit-limit-tokens': '4000',
    'x-ratelimit-remaining-tokens': '0',
    'x-ratelimit-reset-tokens': '1h1m1s',
    'ratelimit-policy': '"a";q=60;w=60, "b";q=1000;w=86400, "c";q=4000;w=3600',
    ratelimit: '"a";r=50;t=13, "b";r=10;t=50400, "c";r=0;t=3661',
  },
)
check('what runs at a time has no window', [state('c', 'concurrency', 'ever', 1n, 4n)], {
  'ratelimit-policy': '"c";q=4',
  ratelimit: '"c";r=3',
})
