import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Admission } from '../ledger/journal.ts'
import { openStore } from './store.ts'
import { settlement, setUp, withPath } from './testing.ts'

/** Bounds the wait for an admission to be written, which takes a tenth of a second. */
const ROUNDS_MAX = 500

function admission(requestId: string): Admission {
  return {
    requestId,
    orgId: 'org_a',
    keyId: 'key_a',
    modelId: 'model_a',
    heldNanodollars: 2n ** 60n + 1n,
    admittedMs: 5,
  }
}

test('admissions of requests that run long are written, forgotten when they end, and told after a crash', () =>
  withPath(async path => {
    const store = await openStore({ path })
    await setUp(store)
    const reading = new DatabaseSync(path, { readOnly: true })
    const written = () =>
      reading
        .prepare('SELECT request_id FROM admissions ORDER BY 1')
        .all()
        .map(row => row.request_id)

    // Ended before it was written: never seen.
    store.admitted(admission('req_short'))
    await store.settle(settlement('req_short'))
    store.admitted(admission('req_void_at_once'))
    store.voided('req_void_at_once')
    for (const id of ['req_open', 'req_settled', 'req_voided']) store.admitted(admission(id))
    for (let round = 0; written().length < 3 && round < ROUNDS_MAX; round++) await delay(10)
    assert.deepEqual(written(), ['req_open', 'req_settled', 'req_voided'])

    store.voided('req_voided')
    store.voided('req_unknown')
    await store.settle(settlement('req_settled'))
    assert.deepEqual(written(), ['req_open'])
    reading.close()
    // To the next process a close without an end is what a crash is.
    await store.close()

    const next = await openStore({ path })
    assert.deepEqual(await next.interrupted(), [admission('req_open')])
    await next.close()
    const later = await openStore({ path })
    assert.deepEqual(await later.interrupted(), [admission('req_open')])
    await later.close()
  }))
