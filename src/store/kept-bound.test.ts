import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import fc from 'fast-check'
import type { KeptDocument, KeptKind } from '../ledger/kept-document.ts'
import { MIGRATIONS } from './migrations.ts'
import { openStore, type Store } from './store.ts'
import { DROP_KEPT_BYTES, NOW_MS, settlement, setUp, withPath, withStore } from './testing.ts'

/** What a document counts beside its JSON. */
const ROW_BYTES = 512
/** Of JSON that is stored as it is: with its row, one counts 1,000 bytes. */
const JSON_BYTES = 488
const BOUND = { keptBytesMaxPerOrg: 10_000 }
const COUNTED: readonly KeptKind[] = ['response', 'response_item', 'chat_completion']

function document(id: string, changes: Partial<KeptDocument> = {}): KeptDocument {
  return {
    ...{ kind: 'response', id, orgId: 'org_a', keyId: 'key_a', parentId: null, state: 'completed' },
    ...{ json: 'x'.repeat(JSON_BYTES), createdMs: NOW_MS, expiresMs: null },
    ...changes,
  }
}

function item(id: string, parentId: string): KeptDocument {
  return document(id, { kind: 'response_item', parentId })
}

function settle(store: Store, requestId: string, ...documents: readonly KeptDocument[]): Promise<void> {
  return store.settle(settlement(requestId), undefined, documents)
}

async function ids(store: Store, kind: KeptKind = 'response', orgId = 'org_a'): Promise<string[]> {
  const found = await store.kept.list({ kind, orgId }, { order: 'asc', limit: 10_000 }, NOW_MS)
  return found.map(({ id }) => id)
}

/** By org: what the table says, and what is there, summed up anew. Orgs that have nothing are left out. */
function sums(path: string): { told: Record<string, number>; there: Record<string, number> } {
  const database = new DatabaseSync(path, { readOnly: true })
  const byOrg = (sql: string) =>
    Object.fromEntries(
      database
        .prepare(sql)
        .all()
        .map(({ org, bytes }) => [String(org), Number(bytes)]),
    )
  const told = byOrg('SELECT org, bytes FROM kept_bytes WHERE bytes <> 0 ORDER BY org')
  const counted = COUNTED.map(kind => `'${kind}'`).join(', ')
  const there = byOrg(
    `SELECT org, sum(length(body) + ${ROW_BYTES}) AS bytes FROM kept_documents WHERE kind IN (${counted}) GROUP BY org ORDER BY org`,
  )
  database.close()
  return { told, there }
}

test('beyond the bound the oldest make room for each that is put or settled; other orgs and kinds stay', () =>
  withStore(async (store, path) => {
    await store.kept.put(
      document('theirs', { orgId: 'org_b' }),
      document('file', { kind: 'file' }),
      document('batch', { kind: 'batch', json: 'x'.repeat(20_000) }),
    )
    const all = Array.from({ length: 40 }, (_, i) => `resp_${i}`)
    for (const [i, id] of all.entries()) {
      if (i % 2 === 0) await store.kept.put(document(id))
      else await settle(store, `req_${i}`, document(id))
      assert.deepEqual(await ids(store), all.slice(Math.max(0, i - 9), i + 1))
    }
    assert.deepEqual(await ids(store, 'response', 'org_b'), ['theirs'])
    assert.deepEqual(await ids(store, 'file'), ['file'])
    assert.deepEqual(await ids(store, 'batch'), ['batch'])
    assert.deepEqual(sums(path).told, { org_a: 10_000, org_b: 1_000 })
  }, BOUND))

test('responses and chat completions go in the order in which they came, whichever they are', () =>
  withStore(async store => {
    for (let i = 0; i < 14; i++)
      await store.kept.put(document(`id_${i}`, i % 2 === 0 ? {} : { kind: 'chat_completion' }))
    assert.deepEqual(await ids(store), ['id_4', 'id_6', 'id_8', 'id_10', 'id_12'])
    assert.deepEqual(await ids(store, 'chat_completion'), ['id_5', 'id_7', 'id_9', 'id_11', 'id_13'])
  }, BOUND))

test('a response takes its items with it, also one that is larger than the bound', () =>
  withStore(async (store, path) => {
    await settle(store, 'req_1', document('one'), item('one_a', 'one'), item('one_b', 'one'))
    await settle(store, 'req_2', ...[...Array(9).keys()].map(i => document(`more_${i}`)))
    assert.deepEqual(await ids(store, 'response_item'), [])
    assert.equal((await ids(store)).length, 9)
    const large = document('large', { json: randomBytes(6_600).toString('hex') })
    await settle(store, 'req_3', large, item('large_a', 'large'), item('large_b', 'large'))
    assert.deepEqual([await ids(store), await ids(store, 'response_item')], [['large'], ['large_a', 'large_b']])
    await settle(
      store,
      'req_4',
      document('largest', { json: randomBytes(20_000).toString('hex') }),
      item('i', 'largest'),
    )
    assert.deepEqual([await ids(store), await ids(store, 'response_item')], [[], []])
    assert.ok((await store.usageByRequest('req_4')) !== null)
    assert.deepEqual(sums(path).told, {})
  }, BOUND))

test('what counts is what is stored, after compression', () =>
  withStore(async (store, path) => {
    await store.kept.put(document('long', { json: JSON.stringify('again and '.repeat(10_000)) }))
    assert.deepEqual(await ids(store), ['long'])
    assert.deepEqual(sums(path).told, sums(path).there)
  }, BOUND))

test('a response that runs in the background never goes, and goes in its turn once it is over', () =>
  withStore(async store => {
    await store.kept.put(document('queued', { state: 'queued' }), document('running', { state: 'in_progress' }))
    // A model may be called so.
    await store.kept.put(document('completion', { kind: 'chat_completion', state: 'queued' }))
    for (let i = 0; i < 12; i++) await store.kept.put(document(`resp_${i}`))
    assert.deepEqual((await ids(store)).slice(0, 3), ['queued', 'running', 'resp_4'])
    assert.deepEqual(await ids(store, 'chat_completion'), [])
    await store.kept.put(...[...Array(12).keys()].map(i => document(`run_${i}`, { state: 'queued' })))
    assert.equal((await ids(store)).length, 14, 'those that run are more than the bound')
    assert.equal(await store.kept.replace(document('queued', { state: 'failed' }), ['queued']), true)
    assert.deepEqual((await ids(store)).slice(0, 2), ['running', 'run_0'])
    await settle(store, 'req_1', document('run_0'))
    assert.deepEqual((await ids(store)).slice(0, 2), ['running', 'run_1'])
  }, BOUND))

test('one write deletes a bounded number, the sweep the rest; a bound that was lowered holds for what is there', () =>
  withPath(async path => {
    const before = await openStore({ path })
    await setUp(before)
    const all = Array.from({ length: 1_000 }, (_, i) => document(`resp_${i}`))
    await before.kept.put(...all, document('theirs', { orgId: 'org_b' }))
    await before.close()
    const store = await openStore({ path, ...BOUND })
    try {
      await settle(store, 'req_1', document('new'))
      assert.equal((await ids(store)).length, 1_001 - 128)
      await Promise.all(Array.from({ length: 100 }, (_, i) => settle(store, `req_a${i}`, document(`new_${i}`))))
      assert.ok((await ids(store)).length <= 1_101 - 256, 'more go than come')
      const swept = await store.kept.sweep(NOW_MS)
      assert.equal(swept.length, 256)
      assert.ok(swept.every(({ kind, orgId }) => kind === 'response' && orgId === 'org_a'))
      while ((await store.kept.sweep(NOW_MS)).length > 0);
      assert.deepEqual(
        await ids(store),
        Array.from({ length: 10 }, (_, i) => `new_${90 + i}`),
      )
      assert.deepEqual(sums(path).told, { org_a: 10_000, org_b: 1_000 })
    } finally {
      await store.close()
    }
  }))

test('the documents of a database from before the bound are summed up when it comes up to date', () =>
  withPath(async path => {
    const before = await openStore({ path })
    await before.kept.put(document('one'), item('i', 'one'), document('file', { kind: 'file' }))
    await before.kept.put(document('two', { orgId: 'org_b' }))
    await before.close()
    const database = new DatabaseSync(path)
    const version = MIGRATIONS.findIndex(({ sql }) => sql.includes('TABLE kept_bytes'))
    database.exec(`${DROP_KEPT_BYTES} PRAGMA user_version = ${version}`)
    database.close()
    await (await openStore({ path })).close()
    assert.deepEqual(sums(path).told, { org_a: 2_000, org_b: 1_000 })
  }))

test('a settlement that is refused takes nobody with it, and the others of its batch make room', () =>
  withStore(async (store, path) => {
    for (let i = 0; i < 10; i++) await store.kept.put(document(`resp_${i}`))
    const absurd = { usage: { ...settlement('x').usage, inputTokens: 2e9 } }
    const outcomes = await Promise.allSettled([
      settle(store, 'req_1', document('a')),
      store.settle(settlement('req_2', absurd), undefined, [document('b')]),
      settle(store, 'req_3', document('c')),
    ])
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    )
    assert.deepEqual(await ids(store), [...Array.from({ length: 8 }, (_, i) => `resp_${i + 2}`), 'a', 'c'])
    assert.deepEqual(sums(path).told, { org_a: 10_000 })
    assert.deepEqual((await store.verify()).problems, [])
  }, BOUND))

const someDocument = fc
  .record({
    kind: fc.constantFrom<KeptKind>(...COUNTED, 'batch'),
    id: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
    orgId: fc.constantFrom('org_a', 'org_b'),
    parentId: fc.constantFrom('a', 'b', null),
    state: fc.constantFrom('queued', 'in_progress', 'completed'),
    expiresMs: fc.constantFrom(null, NOW_MS - 1, NOW_MS + 1),
    length: fc.nat(4_000),
  })
  .map(({ length, id, ...rest }) => document(id, { ...rest, json: randomBytes(length).toString('hex') }))

const step = fc.oneof(
  fc.record({
    act: fc.constantFrom('put', 'settle'),
    documents: fc.array(someDocument, { minLength: 1, maxLength: 4 }),
  }),
  fc.record({
    act: fc.constantFrom('replace', 'remove', 'sweep', 'clear', 'fail'),
    documents: someDocument.map(each => [each]),
  }),
)

async function take(store: Store, act: string, documents: readonly KeptDocument[], at: number): Promise<unknown> {
  const [first] = documents as [KeptDocument]
  const { kind, orgId, id } = first
  switch (act) {
    case 'put':
      return store.kept.put(...documents)
    case 'settle':
      return settle(store, `req_${at}`, ...documents)
    case 'replace':
      return store.kept.replace(first)
    case 'remove':
      return store.kept.remove(kind, orgId, id)
    case 'sweep':
      return store.kept.sweep(NOW_MS)
    case 'clear':
      return store.kept.clear({ kind, orgId }, 2, NOW_MS)
    default:
      return assert.rejects(store.kept.put(first, document('x'.repeat(256))))
  }
}

test('whatever is put, settled, replaced, removed and swept, sums are what is there, and the bound holds for all that may go', () =>
  withStore(async (store, path) => {
    let at = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async steps => {
        for (const { act, documents } of steps) {
          await take(store, act, documents, at++)
          const { told, there } = sums(path)
          assert.deepEqual(told, there)
          for (const [orgId, bytes] of Object.entries(there)) {
            if (bytes <= BOUND.keptBytesMaxPerOrg) continue
            assert.deepEqual(
              [...(await ids(store, 'response_item', orgId)), ...(await ids(store, 'chat_completion', orgId))],
              [],
            )
            const states = await store.kept.countByState({ kind: 'response', orgId }, NOW_MS)
            assert.equal(states.get('completed') ?? 0, 0)
          }
        }
      }),
      { numRuns: 40 },
    )
  }, BOUND))
