import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { JournalFailure } from '../ledger/journal.ts'
import { openStore } from './store.ts'
import { settlement, setUp, withPath } from './testing.ts'

/** Pages of 4 KiB: room for the schema and a few hundred settlements. */
const PAGES_MAX = 120
/** Bounds the search for the end of the disk. */
const BATCHES_MAX = 200
const BATCH = 20

test('a full disk rejects the batch whole, and takes the next one once there is space', () =>
  withPath(async path => {
    const setup = await openStore({ path })
    await setUp(setup)
    await setup.close()
    // What somebody else will delete to make space: a file in real life, rows here.
    edit(path, 'CREATE TABLE filler (bytes BLOB); INSERT INTO filler VALUES (zeroblob(200000))')

    const fatal: Error[] = []
    const store = await openStore({ path, pagesMax: PAGES_MAX, onFatal: error => fatal.push(error) })
    const kept = new Set<string>()
    let lost: string[] = []
    for (let batch = 0; batch < BATCHES_MAX && lost.length === 0; batch++) {
      const ids = Array.from({ length: BATCH }, (_, i) => `req_${batch}_${i}`)
      const outcomes = await Promise.allSettled(ids.map(id => store.settle(settlement(id))))
      const rejected = outcomes.filter(outcome => outcome.status === 'rejected')
      if (rejected.length === 0) for (const id of ids) kept.add(id)
      else {
        lost = ids
        assert.equal(rejected.length, BATCH, 'a batch is kept whole or not at all')
        for (const { reason } of rejected) assert.ok(reason instanceof JournalFailure && /full/.test(reason.message))
      }
    }
    assert.ok(kept.size > 0 && lost.length === BATCH)
    await assert.rejects(store.createOrg({ id: 'o'.repeat(100_000), name: 'Large', createdMs: 0 }), JournalFailure)
    for (const id of lost) assert.equal(await store.usageByRequest(id), null)
    assert.deepEqual(await store.verify(), {
      ok: true,
      transfers: kept.size + 1,
      settlements: kept.size,
      problems: [],
    })

    edit(path, 'DELETE FROM filler')
    await Promise.all(lost.map(id => store.settle(settlement(id))))
    assert.equal((await store.verify()).settlements, kept.size + BATCH)
    assert.deepEqual(fatal, [], 'a full disk passes')
    await store.close()
  }))

function edit(path: string, sql: string): void {
  const database = new DatabaseSync(path)
  database.exec(sql)
  database.close()
}
