import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { USAGE_ABSENT } from '../inference/usage.ts'
import { picodollarsToNanodollars } from '../ledger/money.ts'
import { addCredit, settlement, withStore } from './testing.ts'

/** Changes the database behind the store's back, with none of the rules that guard it. */
function tamper(path: string, sql: string): void {
  const database = new DatabaseSync(path)
  try {
    for (const { name } of database.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'").all())
      database.exec(`DROP TRIGGER ${name}`)
    database.exec(sql)
  } finally {
    database.close()
  }
}

const counts = (inputTokens: number, outputTokens: number) => ({ ...USAGE_ABSENT, inputTokens, outputTokens })

test('a charge whose arithmetic leaves 64 bits is recomputed exactly', () =>
  withStore(async (store, path) => {
    const inputPicodollars = 2n ** 40n + 1n
    const price = { id: 'dear', modelId: 'model_a', fromMs: 1, toMs: null, inputPicodollars, outputPicodollars: 3n }
    await store.setPrice({ ...price, cachedInputPicodollars: 0n, requestPicodollars: 0n })
    const worth = picodollarsToNanodollars(10_000_000n * inputPicodollars + 5n * 3n)
    assert.ok(10_000_000n * inputPicodollars > 2n ** 63n)
    await addCredit(store, 'org_a', 2n * worth, 'more')
    const parts = { priceId: 'dear', chargeNanodollars: worth, heldNanodollars: worth }
    await store.settle(settlement('req_1', { ...parts, usage: counts(10_000_000, 5) }))
    assert.deepEqual((await store.verify()).problems, [])
    tamper(path, 'UPDATE usage_2026_01 SET output = 500')
    const other = picodollarsToNanodollars(10_000_000n * inputPicodollars + 500n * 3n)
    assert.match((await store.verify()).problems.join('\n'), new RegExp(`are worth ${other} n\\$`))
  }))

test('an account through which more than 64 bits went still balances', () =>
  withStore(async (store, path) => {
    const account = (name: string) => `(SELECT n FROM names WHERE name = '${name}')`
    const [funding, org] = [account('operator:funding'), account('org:org_a')]
    const most = 2n ** 62n
    for (let i = 0; i < 5; i++) {
      tamper(
        path,
        `INSERT INTO posted_transfers (id, debit, credit, nanodollars, kind, request_id, at_ms, memo) VALUES ('in${i}', ${funding}, ${org}, ${most}, 'credit', NULL, 1, NULL),
         ('out${i}', ${org}, ${funding}, ${most}, 'credit', NULL, 1, NULL)`,
      )
    }
    const { problems } = await store.verify()
    assert.deepEqual(
      problems.filter(problem => /balance|could not/.test(problem)),
      [],
    )
    assert.equal((await store.creditTotals('org_a')).creditedNanodollars, 5n * most + 1_000_000_000n)
  }))

test('an answer that was owed and not charged, or charged and free, is found', () =>
  withStore(async (store, path) => {
    await store.settle(settlement('req_1'))
    await store.settle(settlement('req_2', { ending: 'cancelled', chargeNanodollars: 0n }))
    assert.deepEqual((await store.verify()).problems, [])
    tamper(path, "UPDATE usage_2026_01 SET facts = (facts & ~(15 << 15)) | (iif(request_id = 'req_1', 6, 0) << 15)")
    const found = (await store.verify()).problems.join('\n')
    assert.match(found, /Request req_1 ended empty, which is free, and was charged 100000 n\$/)
    assert.match(
      found,
      /Request req_2 was charged 0 n\$ with 0 n\$ overrun, its counts at its price are worth 100000 n\$/,
    )
  }))
