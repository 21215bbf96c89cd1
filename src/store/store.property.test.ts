import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Ending, Settlement } from '../ledger/journal.ts'
import type { UsageGroup, UsageSelection } from './reads.ts'
import { openStore, type Store } from './store.ts'
import { addCredit, createKey, NOW_MS, settlement, setUp, withPath } from './testing.ts'

const HOUR_MS = 3_600_000
const FIRST_MS = NOW_MS - 30 * HOUR_MS
const CREDIT = 10_000_000_000n
const GROUPS: readonly UsageGroup[] = ['org', 'key', 'model', 'upstream', 'ending', 'day', 'hour']

type Operation =
  | { readonly do: 'settle'; readonly settlement: Settlement }
  | { readonly do: 'credit'; readonly org: string; readonly amount: bigint; readonly id: number }
  | { readonly do: 'reopen' }

const timeMs = fc.integer({ min: FIRST_MS, max: NOW_MS })
const settled: fc.Arbitrary<Settlement> = fc
  .record({
    id: fc.integer({ min: 0, max: 30 }),
    key: fc.constantFrom('key_a', 'key_b', 'key_c'),
    token: fc.constantFrom(null, null, 'jti_1', 'jti_2'),
    model: fc.constantFrom('model_a', 'model_b'),
    upstream: fc.constantFrom('engine', 'far', ''),
    ending: fc.constantFrom<Ending>('completed', 'cancelled', 'failed'),
    input: fc.integer({ min: 0, max: 3000 }),
    cached: fc.integer({ min: 0, max: 3000 }),
    output: fc.integer({ min: 0, max: 3000 }),
    held: fc.bigInt({ min: 0n, max: 9_000_000n }),
    settledMs: timeMs,
  })
  .map(({ id, key, token, model, upstream, ending, input, output, held, settledMs, ...rest }) => {
    const cached = Math.min(rest.cached, input)
    // At the price of `setUp`: 1, 0.5 and 2 dollars per million tokens, so that no rounding comes in.
    const worth = BigInt(input - cached) * 1000n + BigInt(cached) * 500n + BigInt(output) * 2000n
    const charge = worth < held ? worth : held
    const base = settlement(`req_${String(id).padStart(2, '0')}`)
    return {
      ...base,
      orgId: key === 'key_c' ? 'org_b' : 'org_a',
      keyId: key,
      // Tokens of one key each.
      ...(token !== null && { tokenId: `${token}_${key}` }),
      modelId: model,
      upstreamId: upstream,
      ending,
      usage: { ...base.usage, inputTokens: input, cachedInputTokens: cached, outputTokens: output },
      chargeNanodollars: charge,
      overrunNanodollars: worth - charge,
      heldNanodollars: held,
      settledMs,
    }
  })
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 20, arbitrary: settled.map(settlement => ({ do: 'settle' as const, settlement })) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('credit' as const),
      org: fc.constantFrom('org_a', 'org_b'),
      amount: fc.bigInt({ min: 1n, max: 1_000_000n }),
      id: fc.integer({ min: 0, max: 5 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'reopen' as const }) },
)
const selection: fc.Arbitrary<UsageSelection> = fc.record(
  {
    orgId: fc.constantFrom('org_a', 'org_b', 'org_none'),
    keyId: fc.constantFrom('key_a', 'key_c'),
    modelId: fc.constantFrom('model_a', 'model_b'),
    fromMs: fc.oneof(timeMs, timeMs.map(wholeHour)),
    toMs: fc.oneof(timeMs, timeMs.map(wholeHour)),
  },
  { requiredKeys: [] },
)

/** The books as somebody would keep them who has all day. */
class NaiveBooks {
  readonly settlements = new Map<string, Settlement>()
  readonly credits = new Map<string, { org: string; amount: bigint }>()

  balance(org: string): bigint {
    let balance = CREDIT
    for (const credit of this.credits.values()) if (credit.org === org) balance += credit.amount
    for (const each of this.settlements.values()) if (each.orgId === org) balance -= each.chargeNanodollars
    return balance
  }

  selected({ orgId, keyId, modelId, fromMs, toMs }: UsageSelection): Settlement[] {
    return [...this.settlements.values()].filter(
      each =>
        (orgId === undefined || each.orgId === orgId) &&
        (keyId === undefined || each.keyId === keyId) &&
        (modelId === undefined || each.modelId === modelId) &&
        (fromMs === undefined || each.settledMs >= fromMs) &&
        (toMs === undefined || each.settledMs < toMs),
    )
  }
}

test('whatever happens in whatever order, the store agrees with naive books', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(operation, { minLength: 1, maxLength: 60 }),
      fc.array(selection, { minLength: 4, maxLength: 4 }),
      (operations, selections) =>
        withPath(async path => {
          const naive = new NaiveBooks()
          const store = await play(path, operations, naive)
          try {
            await compare(store, naive, selections)
          } finally {
            await store.close()
          }
        }),
    ),
    { numRuns: 12 },
  )
})

// Settlements are not waited for one by one, so that they meet in batches.
async function play(path: string, operations: readonly Operation[], naive: NaiveBooks): Promise<Store> {
  let store = await openStore({ path })
  await setUp(store)
  await store.createOrg({ id: 'org_b', name: 'Bolt', createdMs: NOW_MS })
  await createKey(store, 'key_b', 'org_a')
  await createKey(store, 'key_c', 'org_b')
  await addCredit(store, 'org_a', CREDIT - 1_000_000_000n, 'credit_rest')
  await addCredit(store, 'org_b', CREDIT)
  for (const keyId of ['key_a', 'key_b', 'key_c']) {
    const orgId = keyId === 'key_c' ? 'org_b' : 'org_a'
    const terms = { models: null, limitNanodollars: null, createdMs: 1, expiresMs: NOW_MS, revokedMs: null }
    for (const token of ['jti_1', 'jti_2']) await store.tokens.add({ id: `${token}_${keyId}`, orgId, keyId, ...terms })
  }
  let running: Promise<unknown>[] = []
  for (const each of operations) {
    if (each.do === 'settle') {
      const { requestId } = each.settlement
      if (!naive.settlements.has(requestId)) naive.settlements.set(requestId, each.settlement)
      running.push(store.settle(each.settlement))
    } else if (each.do === 'credit') {
      const id = `credit_${each.id}`
      if (!naive.credits.has(id)) naive.credits.set(id, each)
      running.push(addCredit(store, each.org, each.amount, id))
    } else {
      await Promise.all(running)
      running = []
      await store.close()
      store = await openStore({ path })
    }
  }
  await Promise.all(running)
  return store
}

async function compare(store: Store, naive: NaiveBooks, selections: readonly UsageSelection[]): Promise<void> {
  assert.deepEqual((await store.verify()).problems, [])
  const { balances, spent } = await store.loadState()
  for (const org of ['org_a', 'org_b']) assert.equal(balances.get(org), naive.balance(org))
  for (const key of ['key_a', 'key_b', 'key_c']) {
    assert.equal(spent.get(key) ?? 0n, chargeOf(naive.selected({ keyId: key })))
  }
  for (const { token, spentNanodollars } of await store.tokens.live(0)) {
    const own = naive.selected({}).filter(each => each.tokenId === token.id)
    assert.equal(spentNanodollars, chargeOf(own), token.id)
  }
  for (const each of selections) {
    const expected = naive.selected(each).sort((a, b) => (a.requestId < b.requestId ? 1 : -1))
    assert.deepEqual(await allPages(store, each), expected)
    for (const group of GROUPS) {
      const sums = await store.usageSummary(each, group)
      const byGroup = Map.groupBy(expected, row => groupOf(row, group))
      assert.deepEqual(
        new Map(sums.map(({ group, ...sum }) => [group, sum])),
        new Map([...byGroup].map(([group, rows]) => [group, sumOf(rows)])),
      )
    }
  }
}

async function allPages(store: Store, selection: UsageSelection): Promise<Settlement[]> {
  const rows: Settlement[] = []
  let cursor: string | undefined
  do {
    const page = await store.usageList(selection, { limit: 7, cursor })
    rows.push(...page.rows)
    cursor = page.nextCursor ?? undefined
  } while (cursor !== undefined)
  return rows
}

function groupOf(row: Settlement, group: UsageGroup): string {
  switch (group) {
    case 'org':
      return row.orgId
    case 'key':
      return row.keyId
    case 'model':
      return row.modelId
    case 'upstream':
      return row.upstreamId
    case 'ending':
      return row.ending
    case 'day':
      return `${new Date(row.settledMs).toISOString().slice(0, 10)}T00:00:00.000Z`
    case 'hour':
      return new Date(wholeHour(row.settledMs)).toISOString()
  }
}

function sumOf(rows: readonly Settlement[]) {
  return {
    requests: rows.length,
    inputTokens: rows.reduce((sum, row) => sum + row.usage.inputTokens, 0),
    cachedInputTokens: rows.reduce((sum, row) => sum + row.usage.cachedInputTokens, 0),
    outputTokens: rows.reduce((sum, row) => sum + row.usage.outputTokens, 0),
    chargeNanodollars: chargeOf(rows),
  }
}

function chargeOf(rows: readonly Settlement[]): bigint {
  return rows.reduce((sum, row) => sum + row.chargeNanodollars, 0n)
}

function wholeHour(ms: number): number {
  return Math.floor(ms / HOUR_MS) * HOUR_MS
}
