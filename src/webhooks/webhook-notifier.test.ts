import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Settlement } from '../ledger/journal.ts'
import type { BudgetCrossing, Notifier } from '../ledger/notifier.ts'
import { WebhookNotifier } from './webhook-notifier.ts'

const START_MS = Date.UTC(2026, 0, 31)

/** What is emitted when the steps are taken, each so many milliseconds after the start. */
function check(
  name: string,
  steps: readonly (readonly [atMs: number, step: (notifier: Notifier) => void])[],
  expected: readonly (readonly [type: string, data: object])[],
) {
  test(name, () => {
    const emitted: [string, object][] = []
    let nowMs = START_MS
    const notifier = new WebhookNotifier({
      emit: (type, data) => emitted.push([type, data]),
      fundsOf: orgId => {
        assert.equal(orgId, 'org_a')
        return {
          balanceNanodollars: 1_500_000_000n,
          heldNanodollars: 1_000_000_000n,
          availableNanodollars: 500_000_000n,
        }
      },
      nowMs: () => nowMs,
    })
    for (const [atMs, step] of steps) {
      nowMs = START_MS + atMs
      step(notifier)
    }
    assert.deepEqual(emitted, expected)
  })
}

const exhausted = (notifier: Notifier) => notifier.creditExhausted('org_a')
const EXHAUSTED = ['credit.exhausted', { org: 'org_a', balance: '1.50', held: '1.00', available: '0.50' }] as const
const overrun = (requestId: string, overrunNanodollars: bigint) => (notifier: Notifier) =>
  notifier.overrun({ requestId, orgId: 'org_a', modelId: 'm', upstreamId: 'u', overrunNanodollars } as Settlement)
const OVERRUN = (requests: number, sum: string, request: string, one: string) =>
  [
    'overrun',
    { upstream: 'u', requests, overrun: sum, last: { request, org: 'org_a', model: 'm', overrun: one } },
  ] as const

check(
  'a low balance',
  [[0, notifier => notifier.creditLow('org_a', 999_999_999n, 1_000_000_000n)]],
  [['credit.low', { org: 'org_a', balance: '0.999999999', threshold: '1.00' }]],
)
check(
  'no credit, at most once an hour',
  [
    [0, exhausted],
    [3_599_999, exhausted],
    [3_600_000, exhausted],
  ],
  [EXHAUSTED, EXHAUSTED],
)
check(
  'overruns of an upstream are summed up for a minute',
  [
    [0, overrun('r1', 1n)],
    [1, overrun('r2', 10n)],
    [59_999, overrun('r3', 100n)],
    [60_000, overrun('r4', 1_000n)],
  ],
  [OVERRUN(1, '0.000000001', 'r1', '0.000000001'), OVERRUN(3, '0.00000111', 'r4', '0.000001')],
)
const BUDGET = {
  ...{ orgId: 'org_a', budgetId: 'limit_a', measure: 'nanodollars', percent: 80, refused: false },
  ...{ amount: 2_000_000_000n, settled: 1_600_000_000n, held: 0n, fromMs: START_MS, toMs: START_MS + 1 },
} as const satisfies BudgetCrossing
const TOKENS: BudgetCrossing = {
  ...BUDGET,
  measure: 'tokens',
  refused: true,
  amount: 100n,
  settled: 99n,
  fromMs: null,
  toMs: null,
} as const
const TOKENS_TOLD = [
  'budget.exhausted',
  { org: 'org_a', limit: 'limit_a', measure: 'tokens', amount: '100', used: '99', held: '0', from: null, to: null },
] as const
check(
  'budgets; what is refused under one is told once an hour',
  [
    [0, notifier => notifier.budgetCrossed(BUDGET)],
    [0, notifier => notifier.budgetCrossed(TOKENS)],
    [1, notifier => notifier.budgetCrossed(TOKENS)],
    [3_600_000, notifier => notifier.budgetCrossed(TOKENS)],
  ],
  [
    [
      'budget.threshold',
      {
        ...{
          org: 'org_a',
          limit: 'limit_a',
          measure: 'dollars',
          percent: 80,
          amount: '2.00',
          used: '1.60',
          held: '0.00',
        },
        ...{ from: '2026-01-31T00:00:00.000Z', to: '2026-01-31T00:00:00.001Z' },
      },
    ],
    TOKENS_TOLD,
    TOKENS_TOLD,
  ],
)
check(
  'a payment',
  [
    [
      0,
      notifier =>
        notifier.paymentReceived({
          orgId: 'org_a',
          transferId: 'p:1',
          amountNanodollars: 10_000_000_000n,
          bonusNanodollars: 0n,
        }),
    ],
  ],
  [['payment.received', { org: 'org_a', transfer: 'p:1', amount: '10.00', bonus: '0.00', balance: '1.50' }]],
)
