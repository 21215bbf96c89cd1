import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { USAGE_ABSENT } from '../inference/usage.ts'
import { FUNDING, orgAccount } from '../ledger/account.ts'
import type { Ending, Settlement, Transfer } from '../ledger/journal.ts'
import { openStore, type Store } from '../store/store.ts'
import { allRows } from './client.ts'
import { FakeStore } from './fake-store.ts'
import type { ControlStore, UsageHour } from './ports.ts'
import type { StoredModel } from './snapshot-builder.ts'
import { createHarness, NOW_MS, settlement } from './testing.ts'

const JANUARY_MS = Date.UTC(2026, 0)
const HOUR_MS = 3_600_000
const ORGS = ['org_a', 'org_b']

async function withStore(run: (store: Store<StoredModel>) => Promise<void>) {
  const folder = mkdtempSync(join(tmpdir(), 'headrace-statements-'))
  const store = await openStore<StoredModel>({ path: join(folder, 'headrace.db') })
  try {
    await run(store)
  } finally {
    await store.close()
    rmSync(folder, { recursive: true })
  }
}

const credit = (id: string, orgId: string, amountNanodollars: bigint, atMs: number): Transfer => ({
  id: `${orgAccount(orgId)}:credit:${id}`,
  debit: FUNDING,
  credit: orgAccount(orgId),
  amountNanodollars,
  kind: 'credit',
  requestId: null,
  atMs,
  memo: null,
})

/** From a month before January to one after it, so that some lie on each side. */
const anyTime = fc.integer({ min: JANUARY_MS - 20 * 24 * HOUR_MS, max: JANUARY_MS + 50 * 24 * HOUR_MS })
const anySettlement = fc.record({
  orgId: fc.constantFrom(...ORGS),
  key: fc.constantFrom('key_1', 'key_2'),
  modelId: fc.constantFrom('m1', 'm2'),
  upstreamId: fc.constantFrom('engine', 'vllm'),
  priceId: fc.constantFrom('p1', 'p2'),
  ending: fc.constantFrom<Ending>('completed', 'cancelled', 'empty'),
  settledMs: fc.oneof(anyTime, fc.constantFrom(JANUARY_MS - 1, JANUARY_MS, Date.UTC(2026, 1) - 1, Date.UTC(2026, 1))),
  input: fc.nat(1_000),
  cached: fc.nat(1_000),
  output: fc.nat(1_000),
  chargeNanodollars: fc.bigInt({ min: 0n, max: 1_000n }),
})
const anyCredit = fc.record({
  orgId: fc.constantFrom(...ORGS),
  amount: fc.bigInt({ min: 1n, max: 10n ** 12n }),
  atMs: anyTime,
})

async function everyHour(store: ControlStore, filter: Parameters<ControlStore['usageHours']>[0]) {
  const rows: UsageHour[] = []
  let cursor: string | undefined
  do {
    const page: Awaited<ReturnType<ControlStore['usageHours']>> = await store.usageHours(filter, { limit: 2, cursor })
    rows.push(...page.rows)
    cursor = page.nextCursor ?? undefined
  } while (cursor !== undefined)
  const key = (row: UsageHour) =>
    [
      String(row.hourMs).padStart(16, '0'),
      row.orgId,
      row.keyId,
      row.modelId,
      row.upstreamId,
      row.priceId,
      row.ending,
    ].join()
  assert.deepEqual(
    rows.map(row => row.hourMs),
    rows.map(row => row.hourMs).sort((a, b) => a - b),
    'oldest first',
  )
  return rows.sort((a, b) => (key(a) < key(b) ? -1 : 1))
}

async function everyTransfer(store: ControlStore, filter: Parameters<ControlStore['transferList']>[0]) {
  const rows: Transfer[] = []
  let cursor: string | undefined
  do {
    const page: Awaited<ReturnType<ControlStore['transferList']>> = await store.transferList(filter, {
      limit: 2,
      cursor,
    })
    rows.push(...page.rows)
    cursor = page.nextCursor ?? undefined
  } while (cursor !== undefined)
  return rows
}

test('the store on disk answers as the one in memory, for any history', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(anySettlement, { maxLength: 25 }),
      fc.array(anyCredit, { maxLength: 6 }),
      (settled, credits) =>
        withStore(async store => {
          const fake = new FakeStore()
          for (const orgId of ORGS) await store.addCredit(credit('first', orgId, 10n ** 9n, 0))
          fake.transfers.push(...ORGS.map(orgId => credit('first', orgId, 10n ** 9n, 0)))
          for (const [at, { orgId, amount, atMs }] of credits.entries()) {
            await store.addCredit(credit(`c${at}`, orgId, amount, atMs))
            fake.transfers.push(credit(`c${at}`, orgId, amount, atMs))
          }
          for (const [at, { key, input, cached, output, ...parts }] of settled.entries()) {
            const row: Settlement = settlement({
              ...parts,
              requestId: `req_${String(at).padStart(4, '0')}`,
              keyId: `${key}_${parts.orgId}`,
              usage: { ...USAGE_ABSENT, inputTokens: input + cached, cachedInputTokens: cached, outputTokens: output },
            })
            await store.settle(row)
            fake.settle(row)
          }
          const month = [JANUARY_MS, Date.UTC(2026, 1)] as const
          for (const orgId of ORGS) {
            const [disk, memory] = [
              await store.statementRecords(orgId, ...month),
              await fake.statementRecords(orgId, ...month),
            ]
            assert.deepEqual(
              [disk.openingNanodollars, disk.closingNanodollars],
              [memory.openingNanodollars, memory.closingNanodollars],
            )
            const byId = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : 1)
            assert.deepEqual([...disk.transfers].sort(byId), [...memory.transfers].sort(byId))
            const sums = (records: typeof memory) =>
              records.charges
                .map(
                  ({
                    modelId,
                    priceId,
                    requests,
                    inputTokens,
                    cachedInputTokens,
                    outputTokens,
                    chargeNanodollars,
                    costNanodollars,
                  }) => ({
                    modelId,
                    priceId,
                    requests,
                    inputTokens,
                    cachedInputTokens,
                    outputTokens,
                    chargeNanodollars,
                    costNanodollars,
                  }),
                )
                .sort((a, b) => (`${a.modelId}${a.priceId}` < `${b.modelId}${b.priceId}` ? -1 : 1))
            assert.deepEqual(sums(disk), sums(memory))
          }
          for (const filter of [
            {},
            { orgId: 'org_a' },
            { upstreamId: 'vllm', fromMs: month[0], toMs: month[1] },
            { keyId: 'key_1_org_b', modelId: 'm1' },
          ])
            assert.deepEqual(await everyHour(store, filter), await everyHour(fake, filter))
          for (const filter of [{}, { orgId: 'org_b' }, { fromMs: month[0], toMs: month[1] }])
            assert.deepEqual(await everyTransfer(store, filter), await everyTransfer(fake, filter))
        }),
    ),
    { numRuns: 12 },
  )
})

const USAGE = { ...USAGE_ABSENT, inputTokens: 1_000, cachedInputTokens: 600, outputTokens: 50 }

async function createWorld(options: Parameters<typeof createHarness>[0] = {}) {
  const harness = await createHarness(options)
  const org = await harness.client.createOrg({ name: 'Acme' })
  const key = await harness.client.createKey({ org: org.id, name: 'laptop' })
  await harness.client.putModel('acme/small', {
    context_tokens: 8_192,
    targets: [{ upstream: 'engine', upstream_model: 's' }],
  })
  const price = await harness.client.setPrice('acme/small', { input: '1.30', cached_input: '0.10', output: '2.60' })
  return { ...harness, org, key, price }
}

test('a statement of the running month', async () => {
  const { client, fake, org, key, price } = await createWorld()
  await client.addCredit(org.id, { amount: '5.00', id: 'first', memo: 'hello' })
  fake.settle(
    settlement({ orgId: org.id, keyId: key.id, priceId: price.id, usage: USAGE, chargeNanodollars: 710_000n }),
  )
  const statement = await client.getStatement(org.id, '2026-01')
  assert.deepEqual(
    [
      statement.opening_balance,
      statement.credits_total,
      statement.charges_total,
      statement.closing_balance,
      statement.provisional,
    ],
    ['0.00', '5.00', '0.00071', '4.99929', true],
  )
  assert.deepEqual(
    statement.credits.map(({ id, memo }) => [id, memo]),
    [['first', 'hello']],
  )
  assert.deepEqual(
    statement.charges[0]?.lines.map(({ class: name, amount }) => [name, amount]),
    [
      ['input', '0.00052'],
      ['cached_input', '0.00006'],
      ['output', '0.00013'],
    ],
  )
  const before = await client.getStatement(org.id, '2025-12')
  assert.deepEqual([before.closing_balance, before.charges, before.invoice], ['0.00', [], null])
})

test('on disk, what was charged shows, and the next month opens where the last one closed', () =>
  withStore(async store => {
    const { client, org, key, price } = await createWorld({ store })
    await client.addCredit(org.id, { amount: '5.00' })
    for (const [at, settledMs] of [NOW_MS - 40 * 24 * HOUR_MS, NOW_MS - HOUR_MS].entries())
      await store.settle(
        settlement({
          orgId: org.id,
          keyId: key.id,
          priceId: price.id,
          usage: USAGE,
          chargeNanodollars: 710_000n,
          settledMs,
          requestId: `req_${at}`,
        }),
      )
    const [december, january] = [
      await client.getStatement(org.id, '2025-12'),
      await client.getStatement(org.id, '2026-01'),
    ]
    assert.equal(december.closing_balance, january.opening_balance)
    assert.deepEqual(
      [december.charges_total, january.charges_total, january.closing_balance],
      ['0.00071', '0.00071', '4.99858'],
    )
  }))

test('usage by hour and movements, page by page, with names', async () => {
  const { client, fake, org, key, price } = await createWorld()
  await client.addCredit(org.id, { amount: '5.00', id: 'first' })
  for (let at = 0; at < 5; at++)
    fake.settle(
      settlement({
        orgId: org.id,
        keyId: key.id,
        priceId: at === 0 ? 'gone' : price.id,
        usage: USAGE,
        chargeNanodollars: 1n,
        requestId: `req_${at}`,
        settledMs: NOW_MS - at * HOUR_MS,
      }),
    )
  const rows = await Array.fromAsync(allRows(client.listUsageHours, { org: org.id, limit: 2 }))
  assert.equal(rows.length, 5)
  assert.deepEqual(
    [rows[0]?.hour, rows[0]?.org_name, rows[0]?.key_name, rows[0]?.unit_prices, rows[0]?.cost],
    [
      '2026-01-31T08:00:00.000Z',
      'Acme',
      'laptop',
      { input: '1300000', cached_input: '100000', output: '2600000', request: '0' },
      null,
    ],
  )
  assert.equal(rows[4]?.unit_prices, null)
  const some = await client.listUsageHours({
    from: '2026-01-31T10:00:00Z',
    to: '2026-01-31T12:00:00Z',
    upstream: 'engine',
  })
  assert.equal(some.data.length, 2)
  assert.deepEqual(
    (await client.listTransfers({ org: org.id })).data.map(({ id, amount, org_name }) => [id, amount, org_name]),
    [['first', '5.00', 'Acme']],
  )
})

test('what cannot be stated is refused with the cure', async () => {
  const { refused, org } = await createWorld()
  const path = (month: string) => `GET /orgs/${org.id}/statements/${month}`
  await refused(path('October'), undefined, 400, 'invalid_value', /month: has to be a month such as "2026-10"/, 'month')
  await refused(path('2026-02'), undefined, 400, 'invalid_value', /month: 2026-02 has not begun/, 'month')
  await refused('GET /orgs/org_none/statements/2026-01', undefined, 404, 'not_found', /There is no org/)
  await refused(
    'GET /usage/hours?from=2026-01-31T10:30:00Z',
    undefined,
    400,
    'invalid_value',
    /from: has to be a whole hour/,
    'from',
  )
  const backwards = 'from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z'
  for (const list of ['usage/hours', 'transfers'])
    await refused(`GET /${list}?${backwards}`, undefined, 400, 'invalid_value', /to: has to be after from/, 'to')
})

test('a month that does not foot answers an error that says so', async () => {
  const { client, fake, org } = await createWorld()
  fake.transfers.push({
    ...credit('x', org.id, 5n, NOW_MS),
    kind: 'charge',
    debit: orgAccount(org.id),
    credit: 'operator:revenue',
  })
  await assert.rejects(
    client.getStatement(org.id, '2026-01'),
    /2026-01 of org_\w+ does not foot: .* Run: headrace ledger verify/,
  )
})
