import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { JournalRefusal } from '../ledger/journal.ts'
import type { StoredAnswer } from '../ledger/stored-answer.ts'
import { openStore, type Store } from './store.ts'
import { NOW_MS, settlement, setUp, withPath, withStore } from './testing.ts'

const KEEP_MS = 86_400_000

function answer(requestId: string, changes: Partial<StoredAnswer> = {}): StoredAnswer {
  return {
    keyHash: `key of ${requestId}`,
    fingerprint: 'fingerprint',
    requestId,
    status: 200,
    headers: { 'content-type': 'text/event-stream; charset=utf-8', 'x-request-id': requestId },
    body: Buffer.from('data: {"text": "ä"}\n\ndata: [DONE]\n\n'),
    expiresMs: NOW_MS + KEEP_MS,
    ...changes,
  }
}

function settle(store: Store, requestId: string, changes: Partial<StoredAnswer> = {}, settledMs = NOW_MS) {
  return store.settle(settlement(requestId, { settledMs }), answer(requestId, changes))
}

async function checkStored(store: Store, stored: StoredAnswer): Promise<void> {
  const found = await store.storedAnswer(stored.keyHash)
  assert.deepEqual(found && { ...found, body: Buffer.from(found.body) }, { ...stored, body: Buffer.from(stored.body) })
}

function rows(path: string): { key_hash: string; bytes: number }[] {
  const database = new DatabaseSync(path, { readOnly: true })
  const found = database.prepare('SELECT key_hash, bytes FROM stored_answers ORDER BY id').all()
  database.close()
  return found as { key_hash: string; bytes: number }[]
}

test('an answer is read back byte for byte, whatever its length and kind, beside settlements without one', () =>
  withStore(async (store, path) => {
    const bodies = [
      Buffer.alloc(0),
      Buffer.from('short'),
      Buffer.from('again and '.repeat(100_000)),
      randomBytes(70_000),
    ]
    await Promise.all(
      bodies.flatMap((body, i) => [store.settle(settlement(`req_a${i}`)), settle(store, `req_b${i}`, { body })]),
    )
    for (const [i, body] of bodies.entries()) await checkStored(store, answer(`req_b${i}`, { body }))
    assert.equal(await store.storedAnswer('key of req_a1'), null)
    const long = rows(path).find(row => row.key_hash === 'key of req_b2')
    assert.ok(long !== undefined && long.bytes < 10_000, 'what repeats takes little space')
    assert.deepEqual((await store.verify()).problems, [])
  }))

test('an answer becomes durable with its settlement, and a second settlement changes neither', () =>
  withPath(async path => {
    const store = await openStore({ path })
    await setUp(store)
    const beyond = { ...settlement('req_1'), overrunNanodollars: 10n ** 18n }
    const outcomes = await Promise.allSettled([
      store.settle(beyond, answer('req_1')),
      settle(store, 'req_2'),
      settle(store, 'req_3'),
    ])
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['rejected', 'fulfilled', 'fulfilled'],
    )
    assert.ok(outcomes[0].status === 'rejected' && outcomes[0].reason instanceof JournalRefusal)
    assert.equal(await store.storedAnswer('key of req_1'), null)
    await settle(store, 'req_2', { body: Buffer.from('another') })
    await checkStored(store, answer('req_2'))
    await store.close()

    const again = await openStore({ path })
    await checkStored(again, answer('req_3'))
    await again.close()
  }))

test('an answer that is over makes place for the next under its key, and is swept', () =>
  withStore(async (store, path) => {
    await settle(store, 'req_1', { expiresMs: NOW_MS + 5 })
    await settle(store, 'req_2', { keyHash: 'key of req_1' }, NOW_MS + 10)
    await checkStored(store, answer('req_2', { keyHash: 'key of req_1' }))
    for (let i = 3; i <= 8; i++) await settle(store, `req_${i}`, { expiresMs: NOW_MS + 20 })
    assert.equal(rows(path).length, 7)
    // Each new one takes some along that are over.
    await settle(store, 'req_9', {}, NOW_MS + 20)
    assert.equal(rows(path).length, 4)
    assert.equal(await store.sweepAnswers(NOW_MS + 20), 2)
    assert.equal(await store.sweepAnswers(NOW_MS + 20), 0)
    assert.deepEqual(
      rows(path).map(row => row.key_hash),
      ['key of req_1', 'key of req_9'],
    )
  }))

test('beyond the bound of all answers the oldest go, also across a restart', () =>
  withPath(async path => {
    const body = randomBytes(1000)
    const options = { path, answersBytesMax: 4500 }
    const store = await openStore(options)
    await setUp(store)
    // Random bytes grow a little when they are compressed.
    for (let i = 1; i <= 4; i++) await settle(store, `req_${i}`, { body, expiresMs: NOW_MS + KEEP_MS + i })
    assert.equal(rows(path).length, 4)
    await settle(store, 'req_5', { body, expiresMs: NOW_MS + KEEP_MS + 5 })
    await store.close()
    const again = await openStore(options)
    await settle(again, 'req_6', { body, expiresMs: NOW_MS + KEEP_MS + 6 })
    assert.deepEqual(
      rows(path).map(row => row.key_hash),
      ['key of req_3', 'key of req_4', 'key of req_5', 'key of req_6'],
    )
    await again.close()
  }))
