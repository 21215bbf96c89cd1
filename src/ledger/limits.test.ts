import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Measure, Window } from '../inference/limit-rule.ts'
import { USAGE_ABSENT } from '../inference/usage.ts'
import { Books, type Hold, type LimitCrossing } from './books.ts'
import { type Journal, JournalFailure, type Settlement } from './journal.ts'
import type { Limit } from './limit-counter.ts'
import { forgottenAtMs, pieceAt } from './window.ts'

const DAY_MS = 86_400_000
const T0 = Date.parse('2026-05-05T00:00:00Z')
const KEPT: Journal = { admitted() {}, voided() {}, settle: async () => {} }

function limit(measure: Measure, amount: bigint, window: Window, more: Partial<Limit> = {}): Limit {
  return { id: 'l', measure, amount, window, hard: true, notifyPercents: [], ...more }
}

function settlement(requestId: string, charge: bigint, [input, cached, output] = [0, 0, 0]): Settlement {
  return {
    requestId,
    orgId: 'o',
    keyId: 'k',
    modelId: 'm',
    protocol: 'openai-chat',
    stream: false,
    upstreamId: 'u',
    attempts: 1,
    ending: 'completed',
    serviceTier: 'standard',
    endUserId: null,
    usage: {
      ...USAGE_ABSENT,
      inputTokens: input as number,
      cachedInputTokens: cached as number,
      outputTokens: output as number,
    },
    priceId: 'p',
    chargeNanodollars: charge,
    overrunNanodollars: 0n,
    heldNanodollars: charge,
    costNanodollars: null,
    admittedMs: 0,
    settledMs: 0,
    ttftMs: null,
    durationMs: 0,
  }
}

function open(crossings: LimitCrossing[] = []): Books {
  return new Books(
    KEPT,
    { balances: new Map([['o', 10n ** 15n]]), spent: new Map() },
    { onCrossing: each => crossings.push(each) },
  )
}

function hold(books: Books, limits: readonly Limit[], atMs: number, amount = 1n, [input, output] = [0, 0]) {
  const limited = { limits, atMs, inputTokens: input as number, outputTokens: output as number }
  return books.hold({ requestId: 'r', orgId: 'o', budgets: [], amountNanodollars: amount, limited })
}

function held(
  books: Books,
  limits: readonly Limit[],
  atMs: number,
  amount = 1n,
  tokens: [number, number] = [0, 0],
): Hold {
  const { hold: found, refusal } = hold(books, limits, atMs, amount, tokens)
  assert.equal(refusal, null)
  return found as Hold
}

test('a request counts in the window in which it was admitted, however long it runs', async () => {
  const books = open()
  const daily = limit('nanodollars', 100n, 'day')
  const late = held(books, [daily], T0 + DAY_MS - 1, 60n)
  assert.equal(hold(books, [daily], T0 + DAY_MS - 1, 41n).refusal?.reason, 'limit_held')
  const next = held(books, [daily], T0 + DAY_MS, 100n)
  // The new day is full; the request of the old day still grows, within what its own day has left.
  assert.equal(books.extend(late, 40n), null)
  assert.equal(books.extend(late, 1n)?.reason, 'limit_held')
  await books.settle(late, settlement('r', 100n))
  assert.deepEqual(books.limitUsed(daily, T0 + DAY_MS), { settled: 0n, held: 100n })
  await books.settle(next, settlement('r', 30n))
  assert.deepEqual(books.limitUsed(daily, T0 + DAY_MS), { settled: 30n, held: 0n })
  assert.deepEqual(books.limitUsed(daily, T0 + 2 * DAY_MS), { settled: 0n, held: 0n })
})

test('a refusal says when it fits again', async () => {
  const books = open()
  const daily = limit('requests', 1n, 'day')
  await books.settle(held(books, [daily], T0 + 5), settlement('r', 0n))
  const { refusal } = hold(books, [daily], T0 + 6)
  assert.deepEqual([refusal?.reason, refusal?.limited?.fitsAtMs], ['limit', T0 + DAY_MS])

  const rolling = limit('nanodollars', 100n, 'rolling_minute', { id: 'r' })
  for (const [at, amount] of [
    [0, 50n],
    [20_000, 30n],
    [40_000, 20n],
  ] as const)
    await books.settle(held(books, [rolling], T0 + at, amount), settlement('r', amount))
  const fits = (amount: bigint) => hold(books, [rolling], T0 + 45_000, amount).refusal?.limited?.fitsAtMs
  assert.equal(fits(50n), T0 + 61_000)
  assert.equal(fits(51n), T0 + 81_000)
  assert.equal(fits(100n), T0 + 101_000)
  assert.equal(fits(101n), null)
  assert.equal(hold(books, [rolling], T0 + 60_999, 1n).refusal?.reason, 'limit')
  assert.equal(hold(books, [rolling], T0 + 61_000, 50n).refusal, null)
})

test('all limits are taken or none, and the credit with them', () => {
  const books = open()
  const [wide, narrow] = [
    limit('requests', 9n, 'hour', { id: 'wide' }),
    limit('concurrency', 1n, 'ever', { id: 'narrow' }),
  ]
  const first = held(books, [wide, narrow], T0, 5n)
  assert.equal(hold(books, [wide, narrow], T0, 5n).refusal?.limited?.limit.id, 'narrow')
  assert.deepEqual(books.limitUsed(wide, T0), { settled: 0n, held: 1n })
  assert.equal(books.orgFunds('o').heldNanodollars, 5n)
  books.void(first)
  assert.deepEqual([books.limitUsed(wide, T0).held, books.limitUsed(narrow, T0).held], [0n, 0n])
  // Credit that is short takes no limit either.
  assert.equal(hold(books, [wide], T0, 10n ** 16n).refusal?.reason, 'credit')
  assert.equal(books.limitUsed(wide, T0).held, 0n)
})

test('each measure counts its own', async () => {
  const check = async (measure: Measure, whileRunning: bigint, after: bigint) => {
    const books = open()
    const rule = limit(measure, 1000n, measure === 'concurrency' ? 'ever' : 'minute')
    const running = held(books, [rule], T0, 70n, [200, 30])
    assert.deepEqual([measure, books.limitUsed(rule, T0).held], [measure, whileRunning])
    await books.settle(running, settlement('r', 60n, [120, 100, 7]))
    assert.deepEqual([measure, books.limitUsed(rule, T0)], [measure, { settled: after, held: 0n }])
  }
  await check('nanodollars', 70n, 60n)
  await check('requests', 1n, 1n)
  await check('concurrency', 1n, 0n)
  await check('input_tokens', 200n, 120n)
  await check('output_tokens', 30n, 7n)
  await check('tokens', 230n, 127n)
  await check('uncached_tokens', 230n, 27n)
})

test('a guess at tokens above the whole limit gets in while nothing else does', () => {
  const books = open()
  const rule = limit('tokens', 100n, 'minute')
  held(books, [rule], T0, 1n, [5000, 0])
  assert.equal(hold(books, [rule], T0, 1n, [1, 0]).refusal?.reason, 'limit_held')
})

test('a soft limit refuses nothing; what is crossed is told once', async () => {
  const crossings: LimitCrossing[] = []
  const books = open(crossings)
  const soft = limit('requests', 4n, 'hour', { hard: false, notifyPercents: [50, 100] })
  for (let i = 0; i < 6; i++) await books.settle(held(books, [soft], T0 + i), settlement('r', 0n))
  assert.deepEqual(
    crossings.map(({ percent, refused, settled }) => [percent, refused, settled]),
    [
      [50, false, 2n],
      [100, false, 4n],
    ],
  )
  // In a new window it is told again.
  for (let i = 0; i < 2; i++) await books.settle(held(books, [soft], T0 + 3_600_000), settlement('r', 0n))
  assert.equal(crossings.length, 3)

  const hard = limit('requests', 1n, 'hour', { id: 'hard' })
  held(books, [hard], T0)
  hold(books, [hard], T0)
  assert.deepEqual(crossings.at(-1), { limit: hard, percent: 100, refused: true, settled: 0n, held: 1n })
})

test('what was used before is counted, and nothing of it is told again', () => {
  const crossings: LimitCrossing[] = []
  const books = open(crossings)
  const rule = limit('nanodollars', 100n, 'rolling_hour', { notifyPercents: [50] })
  books.seedLimit(rule, T0, 30n)
  books.seedLimit(rule, T0 + 1_800_000, 40n)
  assert.deepEqual(books.limitUsed(rule, T0 + 2_000_000), { settled: 70n, held: 0n })
  assert.equal(hold(books, [rule], T0 + 2_000_000, 31n).refusal?.reason, 'limit')
  assert.equal(hold(books, [rule], T0 + 3_660_000, 31n).refusal, null)
  assert.deepEqual(
    crossings.filter(({ refused }) => !refused),
    [],
  )
  books.forgetLimits(id => id === 'l')
  assert.deepEqual(books.limitUsed(rule, T0 + 2_000_000), { settled: 0n, held: 0n })
})

test('whatever happens, the books count what a naive count says, and a hard limit is never exceeded', async () => {
  const windows = fc.constantFrom<Window>(
    'ever',
    'minute',
    'hour',
    'day',
    'week',
    'month',
    'rolling_minute',
    'rolling_day',
  )
  const operations = fc.array(
    fc.record({
      kind: fc.constantFrom('hold', 'hold', 'extend', 'trim', 'settle', 'lose', 'void', 'wait'),
      amount: fc.bigInt({ min: 0n, max: 60n }),
      pick: fc.nat(30),
      waitMs: fc.nat(40_000),
    }),
    { maxLength: 80 },
  )
  await fc.assert(
    fc.asyncProperty(windows, operations, async (window, script) => {
      const lost = new Set<string>()
      const journal: Journal = {
        admitted() {},
        voided() {},
        settle: async ({ requestId }) => {
          if (lost.has(requestId)) throw new JournalFailure('lost')
        },
      }
      const books = new Books(journal, { balances: new Map([['o', 10n ** 15n]]), spent: new Map() })
      const rule = limit('nanodollars', 150n, window)
      const all: { hold: Hold; atMs: number; counts: bigint }[] = []
      let nowMs = T0
      let last = 0
      for (const { kind, amount, pick, waitMs } of script) {
        if (kind === 'wait') nowMs += waitMs
        if (kind === 'hold') {
          const outcome = books.hold({
            requestId: `r${last++}`,
            orgId: 'o',
            budgets: [],
            amountNanodollars: amount,
            limited: { limits: [rule], atMs: nowMs, inputTokens: 0, outputTokens: 0 },
          })
          const used = naive(all, window, nowMs)
          assert.equal(outcome.hold !== null, used + amount <= 150n, `${used} + ${amount}`)
          if (outcome.hold !== null) all.push({ hold: outcome.hold, atMs: nowMs, counts: amount })
        }
        const each = all[pick % Math.max(all.length, 1)]
        if (each?.hold.state === 'held') {
          if (kind === 'extend' && books.extend(each.hold, amount) === null) each.counts += amount
          if (kind === 'trim' && amount < each.counts) {
            books.trim(each.hold, amount)
            each.counts = amount
          }
          if (kind === 'void') {
            books.void(each.hold)
            each.counts = 0n
          }
          if (kind === 'lose') lost.add(each.hold.requestId)
          if (kind === 'settle' || kind === 'lose') {
            const charge = amount < each.counts ? amount : each.counts
            await books.settle(each.hold, settlement(each.hold.requestId, charge)).catch(() => undefined)
            each.counts = kind === 'lose' ? 0n : charge
          }
        }
        const { settled, held: running } = books.limitUsed(rule, nowMs)
        assert.equal(settled + running, naive(all, window, nowMs))
        assert.ok(settled + running <= 150n)
      }
    }),
    { numRuns: 200 },
  )
})

/** What counts at a time: the requests that were admitted in a piece of the window that is not forgotten yet. */
function naive(all: readonly { atMs: number; counts: bigint }[], window: Window, nowMs: number): bigint {
  return all
    .filter(({ atMs }) => nowMs < forgottenAtMs(window, pieceAt(window, atMs).fromMs))
    .reduce((sum, { counts }) => sum + counts, 0n)
}
