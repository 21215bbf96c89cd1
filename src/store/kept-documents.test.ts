import assert from 'node:assert/strict'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { test } from 'node:test'
import type { KeptDocument } from '../ledger/kept-document.ts'
import { keptReads } from './kept-documents.ts'
import type { Store } from './store.ts'
import { NOW_MS, settlement, withStore } from './testing.ts'

function document(changes: Partial<KeptDocument> = {}): KeptDocument {
  return {
    ...{ kind: 'batch', id: 'batch_1', orgId: 'org_a', keyId: 'key_a', parentId: null, state: 'open' },
    ...{ json: '{"text":"ä"}', createdMs: NOW_MS, expiresMs: null },
    ...changes,
  }
}

const ids = async (store: Store, ...asked: Parameters<Store['kept']['list']>) =>
  (await store.kept.list(...asked)).map(({ id }) => id)

test('a document is read back as it was put, by its own org alone, until it is over or removed', () =>
  withStore(async store => {
    const { kept } = store
    const long = document({ id: 'long', json: JSON.stringify('again and '.repeat(10_000)), expiresMs: NOW_MS + 10 })
    await kept.put(document(), long)
    assert.deepEqual(await kept.find('batch', 'org_a', 'batch_1', NOW_MS), document())
    assert.deepEqual(await kept.find('batch', 'org_a', 'long', NOW_MS), long)
    assert.equal(await kept.find('batch', 'org_b', 'batch_1', NOW_MS), null)
    assert.equal(await kept.find('file', 'org_a', 'batch_1', NOW_MS), null)
    assert.equal(await kept.find('batch', 'org_a', 'long', NOW_MS + 10), null)
    assert.deepEqual(await kept.sweep(NOW_MS + 10), [{ kind: 'batch', orgId: 'org_a', id: 'long' }])
    assert.deepEqual(await kept.sweep(NOW_MS + 10), [])
    await kept.put(document({ kind: 'batch_line', id: 'line', parentId: 'batch_1' }))
    assert.equal(await kept.remove('batch', 'org_b', 'batch_1'), false)
    assert.equal(await kept.remove('batch', 'org_a', 'batch_1'), true)
    assert.equal(await kept.find('batch_line', 'org_a', 'line', NOW_MS), null)
  }))

test('a list is in the order in which documents came, either way, page by page', () =>
  withStore(async store => {
    const { kept } = store
    for (const id of ['b', 'a', 'c']) await kept.put(document({ id, parentId: id === 'c' ? 'other' : 'parent' }))
    await kept.put(document({ id: 'a', orgId: 'org_b' }), document({ id: 'b', state: 'done', parentId: 'parent' }))
    const mine = { kind: 'batch', orgId: 'org_a' } as const
    assert.deepEqual(await ids(store, mine, { order: 'asc', limit: 9 }, NOW_MS), ['b', 'a', 'c'])
    assert.deepEqual(await ids(store, mine, { order: 'desc', limit: 2 }, NOW_MS), ['c', 'a'])
    assert.deepEqual(await ids(store, mine, { order: 'desc', limit: 2, afterId: 'a' }, NOW_MS), ['b'])
    assert.deepEqual(await ids(store, mine, { order: 'asc', limit: 2, afterId: 'nowhere' }, NOW_MS), [])
    assert.deepEqual(
      await ids(store, { ...mine, parentId: 'parent', states: ['done'] }, { order: 'asc', limit: 9 }, NOW_MS),
      ['b'],
    )
    assert.deepEqual(await ids(store, { kind: 'batch' }, { order: 'asc', limit: 9 }, NOW_MS), ['b', 'a', 'c', 'a'])
    assert.deepEqual(
      await kept.countByState(mine, NOW_MS),
      new Map([
        ['done', 1],
        ['open', 2],
      ]),
    )
  }))

test('a document is replaced where it is there, and in one of the states that are asked for', () =>
  withStore(async store => {
    const { kept } = store
    assert.equal(await kept.replace(document()), false)
    await kept.put(document())
    assert.equal(await kept.replace(document({ state: 'done', json: '2' }), ['running']), false)
    assert.equal(await kept.replace(document({ state: 'done', json: '2' }), ['running', 'open']), true)
    assert.equal((await kept.find('batch', 'org_a', 'batch_1', NOW_MS))?.json, '2')
  }))

test('no list sorts, however it is selected', () =>
  withStore(async (store, path) => {
    await store.kept.put(document())
    const database = new DatabaseSync(path, { readOnly: true })
    const asked: string[] = []
    const prepare = (sql: string) => {
      const plan = database.prepare(`EXPLAIN QUERY PLAN ${sql}`)
      return {
        all(...values: SQLInputValue[]) {
          asked.push(sql)
          assert.deepEqual(
            plan.all(...values).filter(({ detail }) => /TEMP B-TREE|SCAN/.test(String(detail))),
            [],
            sql,
          )
          return []
        },
      }
    }
    const { keptList } = keptReads({ prepare } as unknown as DatabaseSync)
    const page = { order: 'desc', limit: 9, afterId: 'batch_1' } as const
    const kind = 'batch_line'
    keptList({ kind, orgId: 'org_a', parentId: 'p' }, page, NOW_MS)
    keptList({ kind, orgId: 'org_a', parentId: 'p', states: ['a', 'b'] }, page, NOW_MS)
    keptList({ kind, orgId: 'org_a' }, { ...page, order: 'asc' }, NOW_MS)
    keptList({ kind, orgId: 'org_a', states: ['a', 'b'] }, page, NOW_MS)
    keptList({ kind, states: ['a'] }, page, NOW_MS)
    assert.equal(asked.length, 5)
    database.close()
  }))

test('of a selection so many are deleted as was said, the oldest first, and nothing else', () =>
  withStore(async store => {
    const { kept } = store
    for (const id of ['1', '2', '3']) await kept.put(document({ kind: 'batch_line', id, parentId: 'batch_1' }))
    await kept.put(document({ kind: 'batch_line', id: '4', parentId: 'batch_2' }))
    const lines = { kind: 'batch_line', orgId: 'org_a', parentId: 'batch_1' } as const
    assert.equal(await kept.clear(lines, 2, NOW_MS), 2)
    assert.deepEqual(await ids(store, { kind: 'batch_line' }, { order: 'asc', limit: 9 }, NOW_MS), ['3', '4'])
    assert.equal(await kept.clear(lines, 2, NOW_MS), 1)
    assert.equal(await kept.clear(lines, 2, NOW_MS), 0)
    assert.deepEqual(await ids(store, { kind: 'batch_line' }, { order: 'asc', limit: 9 }, NOW_MS), ['4'])
  }))

test('a document becomes durable with its settlement, and a second settlement changes neither', () =>
  withStore(async store => {
    const { kept } = store
    await Promise.all([
      store.settle(settlement('req_1')),
      store.settle(settlement('req_2'), undefined, [document({ id: 'one' }), document({ id: 'two' })]),
    ])
    await store.settle(settlement('req_2'), undefined, [document({ id: 'one', json: '"again"' })])
    assert.equal((await kept.find('batch', 'org_a', 'one', NOW_MS))?.json, document().json)
    assert.equal((await kept.find('batch', 'org_a', 'two', NOW_MS))?.json, document().json)
    await assert.rejects(
      store.settle(settlement('req_3', { usage: { ...settlement('x').usage, inputTokens: 2e9 } }), undefined, [
        document({ id: 'three' }),
      ]),
    )
    assert.equal(await kept.find('batch', 'org_a', 'three', NOW_MS), null)
  }))
