import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Price } from '../inference/snapshot.ts'
import { tariffOfDocument } from '../pricing/document.ts'
import { anyTariff } from '../pricing/testing.ts'
import { withStore } from './testing.ts'

function row(id: string, fromMs: number, parts: Partial<Price> = {}): Price {
  return { id, modelId: 'model_b', fromMs, toMs: null, ...tariffOfDocument({ input: '1', output: '1' }), ...parts }
}

test('whatever price is set is what is loaded, and what a request finds by its id', () =>
  withStore(async store => {
    const prices = fc.sample(anyTariff, 60).map(
      (document, index): Price => ({
        id: `p${index}`,
        modelId: 'model_b',
        ...(index % 2 === 1 && { group: `g${index}` }),
        fromMs: index,
        toMs: index + 1,
        ...tariffOfDocument(document),
      }),
    )
    await store.setPrices(prices)
    const loaded = (await store.loadState()).prices.filter(price => price.modelId === 'model_b')
    assert.deepEqual(loaded, prices)
    for (const price of prices.slice(0, 5)) assert.deepEqual(await store.priceById(price.id), price)
  }))

test('a price ends the one before of its own group alone', () =>
  withStore(async store => {
    await store.setPrices([
      row('all', 1),
      row('vip', 2, { group: 'vip' }),
      row('later', 9),
      row('vip2', 5, { group: 'vip' }),
    ])
    await store.setPrice(row('between', 4))
    const loaded = (await store.loadState()).prices.filter(price => price.modelId === 'model_b')
    assert.deepEqual(
      loaded.map(({ id, fromMs, toMs }) => [id, fromMs, toMs]),
      [
        ['all', 1, 9],
        ['vip', 2, 5],
        ['later', 9, null],
        ['vip2', 5, null],
        ['between', 4, 9],
      ],
    )
  }))

test('of several prices all are set or none', () =>
  withStore(async store => {
    const before = await store.loadState()
    await assert.rejects(store.setPrices([row('good', 1), row('bad', 5, { toMs: 5 })]), /bad ends before it begins/)
    assert.deepEqual(await store.loadState(), before)
  }))

test('no part of a price is ever changed', () =>
  withStore(async (store, path) => {
    await store.setPrice(row('p', 1, tariffOfDocument({ input: '1', output: '1', tiers: { flex: '0.5' } })))
    const database = new DatabaseSync(path)
    try {
      for (const change of [
        `terms = NULL`,
        `price_group = 'vip'`,
        'cache_write_picodollars = 1',
        'reasoning_picodollars = 1',
      ])
        assert.throws(() => database.exec(`UPDATE prices SET ${change} WHERE id = 'p'`), /prices are never changed/)
    } finally {
      database.close()
    }
  }))

test('an org is put into a price group, and out of it', () =>
  withStore(async store => {
    const group = async () => (await store.loadState()).orgs.find(org => org.id === 'org_a')?.priceGroup
    assert.equal(await group(), undefined)
    await store.updateOrg('org_a', { priceGroup: 'vip' })
    await store.updateOrg('org_a', { name: 'Same' })
    assert.equal(await group(), 'vip')
    await store.updateOrg('org_a', { priceGroup: null })
    assert.equal(await group(), undefined)
  }))
