import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { MIGRATIONS } from './migrations.ts'
import { migrate } from './open-database.ts'
import { openStore } from './store.ts'
import { addCredit, CHARGE, settlement, setUp, withPath, withStore } from './testing.ts'
import { listMonths, monthOf } from './usage-partitions.ts'

const at = (text: string) => Date.parse(text)

/** The months that a database file has rows of. */
function monthsIn(path: string): string[] {
  const database = new DatabaseSync(path)
  try {
    return listMonths(database).map(({ name }) => name)
  } finally {
    database.close()
  }
}

test('a month begins and ends where the calendar says', () => {
  const check = (time: string, name: string, from: string, to: string) =>
    assert.deepEqual(monthOf(at(time)), { name, fromMs: at(from), toMs: at(to) })
  check('2026-02-28T23:59:59.999Z', '2026_02', '2026-02-01T00:00:00Z', '2026-03-01T00:00:00Z')
  check('2028-02-29T12:00:00Z', '2028_02', '2028-02-01T00:00:00Z', '2028-03-01T00:00:00Z')
  check('2026-12-31T23:59:59Z', '2026_12', '2026-12-01T00:00:00Z', '2027-01-01T00:00:00Z')
  check('2027-01-01T00:00:00Z', '2027_01', '2027-01-01T00:00:00Z', '2027-02-01T00:00:00Z')
})

test('who asked before there was any usage sees what comes', () =>
  withStore(async store => {
    const list = async () => (await store.usageList({}, { limit: 9 })).rows.length
    const sums = async () => (await store.usageSummary({}, 'model')).length
    assert.deepEqual([await list(), await sums()], [0, 0])
    await store.settle(settlement('req_1'))
    assert.deepEqual([await list(), await sums()], [1, 1])
  }))

test('rows of several months are read, summed and verified as one', () =>
  withStore(async (store, path) => {
    const times = ['2026-03-31T23:59:59.999Z', '2026-04-01T00:00:00.000Z', '2026-06-15T12:00:00Z']
    // In one batch, and not in the order of time.
    await Promise.all(
      times.map((time, i) =>
        store.settle(
          settlement(`req_${i}`, { settledMs: at(time), admittedMs: at(time), endUserId: i === 1 ? 'ada' : null }),
        ),
      ),
    )
    assert.deepEqual(monthsIn(path), ['2026_03', '2026_04', '2026_06'])
    assert.equal((await store.usageByRequest('req_1'))?.endUserId, 'ada')
    const { rows } = await store.usageList({ keyId: 'key_a' }, { limit: 10 })
    assert.deepEqual(
      rows.map(row => row.requestId),
      ['req_2', 'req_1', 'req_0'],
    )
    const april = { fromMs: at('2026-04-01T00:00:00Z'), toMs: at('2026-05-01T00:00:00Z') }
    const [sum, ...others] = await store.usageSummary(april, 'model')
    assert.deepEqual([sum?.requests, sum?.chargeNanodollars, others], [1, CHARGE, []])
    assert.deepEqual(await store.verify(), { ok: true, transfers: 4, settlements: 3, problems: [] })
  }))

test('a request that runs into a new month is settled once', () =>
  withStore(async (store, path) => {
    const admittedMs = at('2026-03-31T23:59:59Z')
    await store.settle(settlement('req_1', { admittedMs, settledMs: admittedMs + 500 }))
    const again = settlement('req_1', { admittedMs, settledMs: admittedMs + 5000 })
    await store.settle(again)
    await Promise.all([
      store.settle(again),
      store.settle(settlement('req_2', { admittedMs, settledMs: admittedMs + 5000 })),
    ])
    assert.deepEqual(monthsIn(path), ['2026_03', '2026_04'])
    assert.deepEqual(await store.verify(), { ok: true, transfers: 3, settlements: 2, problems: [] })
  }))

test('old months are dropped whole; balances, sums and what keys spent stay, and the books balance', () =>
  withStore(async (store, path) => {
    const split = { heldNanodollars: 70_000n, chargeNanodollars: 70_000n, overrunNanodollars: 30_000n }
    await store.createOrg({ id: 'org_b', name: 'Bolt', createdMs: 1 })
    await addCredit(store, 'org_b', 1_000_000n)
    const settle = (id: string, time: string, changes = {}) =>
      store.settle(settlement(id, { admittedMs: at(time), settledMs: at(time), ...changes }))
    await settle('req_1', '2026-01-31T23:00:00Z')
    await settle('req_2', '2026-02-01T00:00:00Z', { ...split, ending: 'exhausted' })
    await settle('req_3', '2026-02-10T00:00:00Z', { orgId: 'org_b', keyId: 'key_b' })
    await settle('req_4', '2026-03-01T00:00:00Z')
    const before = await store.loadState()
    const sums = await store.usageSummary({}, 'key')
    const closed = await store.closeMonths(at('2026-03-01T00:00:00Z'), at('2026-03-02T00:00:00Z'))
    assert.deepEqual(closed, ['2026_01', '2026_02'])
    assert.deepEqual(monthsIn(path), ['2026_03'])
    const after = await store.loadState()
    assert.deepEqual([after.balances, after.spent], [before.balances, before.spent])
    assert.deepEqual(await store.usageSummary({}, 'key'), sums)
    assert.equal(await store.usageByRequest('req_1'), null)
    // Two credits, three closings of orgs, one of overrun, and the charge that is left.
    assert.deepEqual(await store.verify(), { ok: true, transfers: 7, settlements: 1, problems: [] })
    assert.deepEqual(await store.closeMonths(at('2026-03-01T00:00:00Z'), at('2026-03-02T00:00:00Z')), [])

    // The clock was set back, so that a month comes to life again; it is closed once more.
    await settle('req_5', '2026-02-11T00:00:00Z')
    await settle('req_6', '2026-03-03T00:00:00Z')
    await store.closeMonths(at('2026-03-01T00:00:00Z'), at('2026-03-04T00:00:00Z'))
    assert.deepEqual((await store.verify()).problems, [])
  }))

test('what was carried over from a closed month is checked against its sums', () =>
  withPath(async path => {
    const store = await openStore({ path })
    await setUp(store)
    await store.settle(settlement('req_1'))
    await store.closeMonths(at('2026-02-01T00:00:00Z'), at('2026-02-02T00:00:00Z'))
    await store.close()
    const database = new DatabaseSync(path)
    database.exec('UPDATE rollups SET charge = charge + 1; UPDATE key_spent SET nanodollars = nanodollars + 1')
    database.close()
    const again = await openStore({ path })
    assert.deepEqual((await again.verify()).problems, [
      'The closed month 2026_01 carried over 100000 n$ of org:org_a, its sums say 100001 n$.',
    ])
    await again.close()
  }))

test('rows of the one table of old move into their months, with their charges', () =>
  withPath(async path => {
    const database = new DatabaseSync(path)
    migrate(database, path, MIGRATIONS.slice(0, 2))
    const settledMs = [at('2026-01-31T12:00:00Z'), at('2026-02-01T00:00:00Z')]
    database.exec(`
      INSERT INTO names (n, name) VALUES (1, 'org:org_a'), (2, 'org_a'), (3, 'key_a'), (4, 'model_a'), (5, 'engine'), (6, 'price_a'),
        (7, 'operator:revenue'), (8, 'operator:overrun'), (9, 'operator:funding');
      INSERT INTO orgs VALUES ('org_a', 'Acme', 0, 1);
      INSERT INTO prices VALUES ('price_a', 1, 'model_a', 0, NULL, 1000000, 500000, 2000000, 0);
      INSERT INTO transfers VALUES ('credit', 9, 1, 1000000000, 'credit', NULL, 1, 'welcome'),
        ('req_1:charge', 1, 7, 100000, 'charge', 'req_1', ${settledMs[0]}, NULL), ('req_2:charge', 1, 7, 70000, 'charge', 'req_2', ${settledMs[1]}, NULL),
        ('req_2:overrun', 8, 7, 30000, 'overrun', 'req_2', ${settledMs[1]}, NULL);
      INSERT INTO usage VALUES
        ('req_1', 2, 3, 4, 0, 1, 5, 2, 'completed', 100, 1, 40, 1, 0, 0, 10, 2, 0, 0, 6, 100000, 0, 200000, ${(settledMs[0] as number) - 9}, ${settledMs[0]}, 12500, 250125),
        ('req_2', 2, 3, 4, 1, 0, 5, 1, 'exhausted', 100, 1, 40, 1, 0, 0, 10, 2, 0, 0, 6, 70000, 30000, 70000, ${(settledMs[1] as number) - 9}, ${settledMs[1]}, NULL, 250125);
      INSERT INTO balances VALUES (1, 999830000), (7, 200000), (8, -30000), (9, -1000000000);
      INSERT INTO key_spent VALUES (3, 170000);
      INSERT INTO rollups VALUES (${Math.floor((settledMs[0] as number) / 3_600_000)}, 2, 3, 4, 5, 6, 'completed', 1, 100, 40, 10, 100000),
        (${Math.floor((settledMs[1] as number) / 3_600_000)}, 2, 3, 4, 5, 6, 'exhausted', 1, 100, 40, 10, 70000);
    `)
    database.close()
    const store = await openStore({ path })
    assert.deepEqual(monthsIn(path), ['2026_01', '2026_02'])
    assert.deepEqual(
      await store.usageByRequest('req_1'),
      settlement('req_1', { attempts: 2, admittedMs: (settledMs[0] as number) - 9, settledMs: settledMs[0] as number }),
    )
    assert.equal((await store.usageByRequest('req_2'))?.ending, 'exhausted')
    assert.equal((await store.transfersOf({ requestId: 'req_2' })).length, 2)
    assert.deepEqual(await store.verify(), { ok: true, transfers: 4, settlements: 2, problems: [] })
    await store.close()
  }))

test('charges that do not agree with their transfers are not moved, and nothing is lost', () =>
  withPath(path => {
    const database = new DatabaseSync(path)
    migrate(database, path, MIGRATIONS.slice(0, 2))
    database.exec("INSERT INTO transfers VALUES ('req_1:charge', 1, 7, 100000, 'charge', 'req_1', 1, NULL)")
    assert.throws(() => migrate(database, path), /the charges and their transfers do not agree/)
    assert.equal(database.prepare('SELECT count(*) AS n FROM transfers').get()?.n, 1)
    database.close()
  }))
