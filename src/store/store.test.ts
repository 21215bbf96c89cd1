import assert from 'node:assert/strict'
import { statSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { JournalFailure } from '../ledger/journal.ts'
import { openStore } from './store.ts'
import { addCredit, CHARGE, NOW_MS, settlement, setUp, withPath, withStore } from './testing.ts'
import { StoreOpenError, StoreRefused } from './worker-link.ts'

test('a settlement is read back as it was, with its transfers, balances and sums', () =>
  withStore(async store => {
    const whole = settlement('req_1', {
      overrunNanodollars: 0n,
      ttftMs: null,
      attempts: 3,
      protocol: 'openai-completions',
    })
    await store.settle(whole)
    assert.deepEqual(await store.usageByRequest('req_1'), whole)
    assert.equal(await store.usageByRequest('req_2'), null)
    const { balances, spent } = await store.loadState()
    assert.equal(balances.get('org_a'), 1_000_000_000n - CHARGE)
    assert.equal(spent.get('key_a'), CHARGE)
    const [transfer, ...others] = await store.transfersOf({ requestId: 'req_1' })
    assert.deepEqual(others, [])
    assert.deepEqual(transfer, {
      id: 'req_1:charge',
      debit: 'org:org_a',
      credit: 'operator:revenue',
      amountNanodollars: CHARGE,
      kind: 'charge',
      requestId: 'req_1',
      atMs: NOW_MS,
      memo: null,
    })
    const verified = await store.verify()
    assert.deepEqual(verified, { ok: true, transfers: 2, settlements: 1, problems: [] })
  }))

test('what exceeds the hold is the operator’s', () =>
  withStore(async store => {
    const split = { heldNanodollars: 70_000n, chargeNanodollars: 70_000n, overrunNanodollars: 30_000n }
    await store.settle(settlement('req_1', split))
    const transfers = await store.transfersOf({ requestId: 'req_1' })
    assert.deepEqual(
      transfers.map(({ id, debit, amountNanodollars }) => [id, debit, amountNanodollars]),
      [
        ['req_1:charge', 'org:org_a', 70_000n],
        ['req_1:overrun', 'operator:overrun', 30_000n],
      ],
    )
    assert.equal((await store.loadState()).spent.get('key_a'), 70_000n)
    assert.equal((await store.verify()).ok, true)
  }))

test('a second settlement changes nothing, in the same batch, a later one, or another process', () =>
  withPath(async path => {
    const first = await openStore({ path })
    await setUp(first)
    const dearer = settlement('req_1', { chargeNanodollars: 150_000n })
    await Promise.all([first.settle(settlement('req_1')), first.settle(dearer)])
    await first.settle(dearer)
    await first.close()
    const second = await openStore({ path })
    await second.settle(dearer)
    assert.equal((await second.usageByRequest('req_1'))?.chargeNanodollars, CHARGE)
    assert.equal((await second.loadState()).spent.get('key_a'), CHARGE)
    assert.deepEqual(await second.verify(), { ok: true, transfers: 2, settlements: 1, problems: [] })
    await second.close()
  }))

test('a thousand settlements at once are all kept', () =>
  withStore(async store => {
    await Promise.all(Array.from({ length: 1000 }, (_, i) => store.settle(settlement(`req_${i}`))))
    const { balances } = await store.loadState()
    assert.equal(balances.get('org_a'), 1_000_000_000n - 1000n * CHARGE)
    assert.deepEqual(await store.verify(), { ok: true, transfers: 1001, settlements: 1000, problems: [] })
  }))

test('a settlement that breaks a rule is rejected alone, and nothing of it is kept', () =>
  withStore(async store => {
    const { usage } = settlement('')
    const impossible = [
      settlement('req_1', { chargeNanodollars: 200_001n }),
      settlement('req_2', { overrunNanodollars: -1n }),
      settlement('req_3', { usage: { ...usage, cachedInputTokens: 101 } }),
      settlement('req_4', { usage: { ...usage, outputTokens: 1.5 } }),
      settlement('req_5', { orgId: 'org_new', settledMs: Number.NaN }),
      settlement('req_6', { heldNanodollars: 2n ** 63n }),
    ]
    const outcomes = await Promise.allSettled([
      store.settle(settlement('req_0')),
      ...impossible.map(each => store.settle(each)),
      store.settle(settlement('req_7', { orgId: 'org_a', keyId: 'key_new' })),
    ])
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', ...impossible.map(() => 'rejected'), 'fulfilled'],
    )
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') assert.ok(outcome.reason instanceof JournalFailure, String(outcome.reason))
    }
    const { rows } = await store.usageList({}, { limit: 10 })
    assert.deepEqual(
      rows.map(({ requestId, keyId }) => [requestId, keyId]),
      [
        ['req_7', 'key_new'],
        ['req_0', 'key_a'],
      ],
    )
    assert.deepEqual(await store.verify(), { ok: true, transfers: 3, settlements: 2, problems: [] })
  }))

test('money beyond the precision of a double is exact', () =>
  withStore(async store => {
    const credit = 2n ** 62n + 1n
    await addCredit(store, 'org_rich', credit)
    assert.equal((await store.loadState()).balances.get('org_rich'), credit)
    assert.equal((await store.creditTotals('org_rich')).creditedNanodollars, credit)
    await assert.rejects(addCredit(store, 'org_rich', 2n ** 62n, 'credit_more'), StoreRefused)
    assert.equal((await store.loadState()).balances.get('org_rich'), credit, 'nothing of what did not fit was kept')
    const held = 2n ** 60n + 1n
    await store.settle(settlement('req_1', { heldNanodollars: held }))
    assert.equal((await store.usageByRequest('req_1'))?.heldNanodollars, held)
  }))

test('credit of one id is added once', () =>
  withStore(async store => {
    const again = await addCredit(store, 'org_a', 5n)
    assert.deepEqual([again.added, again.transfer.amountNanodollars], [false, 1_000_000_000n])
    await assert.rejects(addCredit(store, 'org_a', 0n, 'credit_none'), StoreRefused)
    assert.equal((await store.creditTotals('org_a')).creditedNanodollars, 1_000_000_000n)
  }))

test('a price ends where the next one begins, and is never changed otherwise', () =>
  withStore(async store => {
    const price = (await store.priceById('price_a')) ?? assert.fail()
    await store.setPrice({ ...price, id: 'price_c', fromMs: 300 })
    await store.setPrice({ ...price, id: 'price_b', fromMs: 200 })
    await store.setPrice({ ...price, id: 'price_other', modelId: 'model_b', fromMs: 250 })
    const { prices } = await store.loadState()
    assert.deepEqual(
      prices.map(({ id, fromMs, toMs }) => [id, fromMs, toMs]),
      [
        ['price_a', 0, 300],
        ['price_c', 300, null],
        ['price_b', 200, 300],
        ['price_other', 250, null],
      ],
    )
    await assert.rejects(store.setPrice({ ...price, id: 'price_a', fromMs: 400 }), StoreRefused)
    assert.equal((await store.priceById('price_c'))?.toMs, null, 'a refused price closes none')
  }))

test('orgs, keys and models are there for the next process', () =>
  withPath(async path => {
    const first = await openStore({ path })
    await setUp(first)
    await first.updateOrg('org_a', { disabled: true })
    await first.updateKey('key_a', { capNanodollars: 5n, name: 'desktop' })
    await first.revokeKey('key_a', NOW_MS)
    await first.revokeKey('key_a', NOW_MS + 1)
    await first.putModel({ id: 'model_a' })
    await first.putModel({ id: 'model_b' })
    await first.removeModel('model_a')
    await assert.rejects(first.createOrg({ id: 'org_a', name: 'Twice', createdMs: 0 }), StoreRefused)
    await first.close()
    const second = await openStore({ path })
    const { orgs, keys, models } = await second.loadState()
    await second.close()
    assert.deepEqual(orgs, [{ id: 'org_a', name: 'Acme', disabled: true }])
    const [key] = keys
    assert.deepEqual([key?.name, key?.capNanodollars, key?.revokedMs], ['desktop', 5n, NOW_MS])
    assert.deepEqual(models, [{ id: 'model_b' }])
  }))

test('the log does not grow without bound', () =>
  withStore(async (store, path) => {
    let logBytes = 0
    for (let batch = 0; batch < 60; batch++) {
      await Promise.all(Array.from({ length: 100 }, (_, i) => store.settle(settlement(`req_${batch}_${i}`))))
      logBytes = Math.max(logBytes, statSync(`${path}-wal`).size)
    }
    // 1,000 pages of 4 KiB, and what one batch adds before the log is carried over.
    assert.ok(logBytes > 0 && logBytes < 6 * 1024 * 1024, String(logBytes))
  }))

test('closing keeps what is pending and refuses what comes later', () =>
  withPath(async path => {
    const store = await openStore({ path })
    await setUp(store)
    const pending = store.settle(settlement('req_1'))
    const closing = store.close()
    await assert.rejects(store.settle(settlement('req_2')), /closed/)
    await Promise.all([pending, closing])
    await assert.rejects(store.createOrg({ id: 'org_b', name: 'Late', createdMs: 0 }), /closed/)
    const again = await openStore({ path })
    assert.equal((await again.verify()).settlements, 1)
    await again.close()
  }))

test('a file that is no database is refused, not overwritten', () =>
  withPath(async path => {
    writeFileSync(path, 'a letter to the operator, long enough to be no empty file '.repeat(20))
    await assert.rejects(openStore({ path }), StoreOpenError)
    await assert.rejects(
      openStore({ path: `${path}/missing/headrace.db` }),
      /cannot be opened: .*Check that its folder exists/,
    )
  }))
