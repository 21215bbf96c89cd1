import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { migrate } from './open-database.ts'
import { KEPT_MAX, type NewDelivery, PENDING_MAX } from './outbox.ts'
import { NOBODYS_MAX, type PaymentRecord, paymentMethods } from './payment-events.ts'
import { openStore } from './store.ts'
import { NOW_MS, withStore } from './testing.ts'

const A = 'https://a.example/hook'
const B = 'https://b.example/hook'

function delivery(id: string, endpoint = A, parts: Partial<NewDelivery> = {}): NewDelivery {
  return { id, endpoint, type: 'webhook.test', body: '{}', createdMs: NOW_MS, ...parts }
}

const DONE = { state: 'delivered', triedMs: NOW_MS + 1, nextMs: NOW_MS + 1, outcome: '204' } as const

test('deliveries of an endpoint come in order, each until it is over', () =>
  withStore(async ({ outbox }) => {
    assert.equal(await outbox.add([delivery('1'), delivery('1', B), delivery('2')]), 0)
    const first = await outbox.head(A)
    assert.deepEqual(first, {
      ...delivery('1'),
      seq: 1,
      state: 'pending',
      tries: 0,
      sinceMs: NOW_MS,
      nextMs: NOW_MS,
      triedMs: null,
      outcome: '',
    })
    await outbox.tried(1, { state: 'pending', triedMs: NOW_MS, nextMs: NOW_MS + 5_000, outcome: '500' })
    assert.deepEqual(await outbox.head(A), {
      ...first,
      tries: 1,
      triedMs: NOW_MS,
      nextMs: NOW_MS + 5_000,
      outcome: '500',
    })
    await outbox.tried(1, DONE)
    assert.equal((await outbox.head(A))?.id, '2')
    assert.equal((await outbox.head(B))?.id, '1')
    assert.deepEqual(
      await outbox.pending(),
      new Map([
        [A, 1],
        [B, 1],
      ]),
    )
    assert.equal(await outbox.head('https://c.example/'), null)
  }))

test('an event is in the outbox once for each endpoint', () =>
  withStore(async ({ outbox }) => {
    await outbox.add([delivery('1'), delivery('1', A, { body: '{"later":1}' })])
    assert.deepEqual(
      (await outbox.list({ limit: 10 })).map(each => each.body),
      ['{}'],
    )
  }))

test('what waits survives a restart, and is there for the next process', () =>
  withStore(async (store, path) => {
    await store.outbox.add([delivery('1')])
    await store.close()
    const again = await openStore({ path })
    assert.equal((await again.outbox.head(A))?.id, '1')
    await again.close()
  }))

test('what failed is listed, and waits again before all else when that is asked for', () =>
  withStore(async ({ outbox }) => {
    await outbox.add([delivery('1'), delivery('2'), delivery('3')])
    for (const seq of [1, 2]) await outbox.tried(seq, { ...DONE, state: 'failed', outcome: '500' })
    const ids = async (state?: 'failed') => (await outbox.list({ state, limit: 10 })).map(each => each.id)
    assert.deepEqual(await ids('failed'), ['2', '1'])
    assert.deepEqual(await ids(), ['3', '2', '1'])
    assert.deepEqual(
      (await outbox.list({ limit: 10, beforeSeq: 2 })).map(each => each.id),
      ['1'],
    )
    assert.equal(await outbox.retry('2', NOW_MS + 9), 1)
    assert.equal(await outbox.retry('3', NOW_MS + 9), 0)
    const { id, tries, sinceMs, nextMs } = (await outbox.head(A)) ?? assert.fail()
    assert.deepEqual([id, tries, sinceMs, nextMs], ['2', 0, NOW_MS + 9, NOW_MS + 9])
    assert.equal(await outbox.retry(null, NOW_MS + 9), 1)
    assert.equal((await outbox.head(A))?.id, '1')
  }))

test('what waits for an endpoint that is gone fails', () =>
  withStore(async ({ outbox }) => {
    await outbox.add([delivery('1'), delivery('1', B)])
    assert.equal(await outbox.failOthers([B], NOW_MS), 1)
    assert.equal(await outbox.head(A), null)
    assert.match((await outbox.list({ state: 'failed', limit: 1 }))[0]?.outcome ?? '', /no such endpoint/)
    assert.equal((await outbox.head(B))?.id, '1')
  }))

test('the outbox is bounded in what waits, what is kept, and how long an event is', () =>
  withStore(async ({ outbox }) => {
    const many = Array.from({ length: PENDING_MAX + 2 }, (_, i) => delivery(`m${i}`))
    assert.equal(await outbox.add([...many, delivery('other', B)]), 2)
    assert.deepEqual([...(await outbox.pending()).values()], [PENDING_MAX, 1])
    await assert.rejects(
      outbox.add([delivery('long', A, { body: 'x'.repeat(16 * 1024 + 1) })]),
      /more than 16384 bytes/,
    )
    await Promise.all(Array.from({ length: KEPT_MAX + 5 }, (_, i) => outbox.tried(i + 1, DONE)))
    const kept = await outbox.list({ state: 'delivered', limit: KEPT_MAX * 2 })
    assert.deepEqual([kept.length, kept.at(-1)?.seq], [KEPT_MAX, 6])
  }))

test('an event of a payment is on record once; one that was ignored can still be heard', () =>
  withStore(async ({ payments }) => {
    const event = (id: string, parts: Partial<PaymentRecord> = {}): PaymentRecord => ({
      id,
      type: 'paid',
      kind: 'credited',
      reason: '',
      orgId: 'org_a',
      paymentId: 'pi_1',
      amountNanodollars: 2n ** 60n,
      atMs: NOW_MS,
      receivedMs: NOW_MS + 1,
      ...parts,
    })
    const ignored = { kind: 'ignored', reason: 'no such org', orgId: null, amountNanodollars: null } as const
    await payments.record(event('p:1', ignored))
    await payments.record(event('p:2'))
    assert.deepEqual(await payments.list({ limit: 1, beforeId: 'p:2' }), [event('p:1', ignored)])
    await payments.record(event('p:1', { amountNanodollars: null }))
    await payments.record(event('p:2', ignored))
    assert.deepEqual(await payments.list({ limit: 9 }), [event('p:2'), event('p:1', { amountNanodollars: null })])
    assert.equal(await payments.orgOf('pi_1'), 'org_a')
    assert.equal(await payments.orgOf('pi_2'), null)
  }))

test('events that are of nobody here are forgotten after many later ones', () => {
  const database = new DatabaseSync(':memory:')
  migrate(database, ':memory:')
  const { paymentRecord, paymentList } = paymentMethods(database)
  const add = (id: string, orgId: string | null) =>
    paymentRecord({
      ...{ id, type: 'paid', kind: 'ignored', reason: 'why', orgId, paymentId: null },
      ...{ amountNanodollars: null, atMs: NOW_MS, receivedMs: NOW_MS },
    })
  add('first of nobody', null)
  add('first of an org', 'org_a')
  for (let i = 0; i < NOBODYS_MAX; i++) add(`e${i}`, null)
  const all = paymentList({ limit: NOBODYS_MAX * 2 })
  assert.deepEqual([all.length, all.at(-1)?.id, all.at(-2)?.id], [NOBODYS_MAX + 1, 'first of an org', 'e0'])
  database.close()
})
