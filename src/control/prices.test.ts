import assert from 'node:assert/strict'
import { test } from 'node:test'
import { USAGE_ABSENT } from '../inference/usage.ts'
import type { Ending } from '../ledger/journal.ts'
import { tariffOfDocument } from '../pricing/document.ts'
import { createHarness, NOW, NOW_MS, settlement } from './testing.ts'

const ID = 'acme/small'
const POST = 'POST /models/acme%2Fsmall/prices'
const COST = { input: '1', cached_input: '0.1', output: '2', tiers: { flex: '0.5' } }
const PEAK = { days: ['mon', 'tue', 'wed', 'thu', 'fri'] as const, start: '01:00', end: '04:00', multiplier: '2' }
const LATER = '2026-02-01T00:00:00.000Z'

async function world() {
  const harness = await createHarness()
  const { client } = harness
  for (const id of [ID, 'acme/large'])
    await client.putModel(id, {
      context_tokens: 1_000,
      targets: [{ upstream: 'lab', upstream_model: 'm', cost: COST }],
    })
  return harness
}

test('a whole price is set and answered', async () => {
  const { client, publisher } = await world()
  const whole = {
    input: '1.00',
    cached_input: '0.10',
    cache_write: '1.25',
    output: '2.00',
    reasoning: '3.00',
    request: '0.001',
    windows: [{ ...PEAK, days: [...PEAK.days] }],
    steps: [{ from_input_tokens: 500, multiplier: '1.5' }],
    tiers: { priority: '2', flex: '0.5', batch: '0.5' },
  }
  const set = await client.setPrice(ID, { ...whole, to: LATER })
  assert.deepEqual(set, { id: set.id, model: ID, from: NOW, to: LATER, ...whole })
  assert.deepEqual((await client.listPrices(ID)).data, [set])
  const price = publisher.current().models.get(ID)?.prices[0]
  assert.deepEqual(price?.terms, tariffOfDocument(whole).terms)
})

test('what a group pays stands beside what everybody pays', async () => {
  const { client } = await world()
  const all = await client.setPrice(ID, { input: '1', output: '2' })
  const vip = await client.setPrice(ID, { input: '0.5', output: '1', group: 'vip' })
  assert.deepEqual([vip.from, vip.group], [NOW, 'vip'], 'a group has a history of its own')
  const { data } = await client.listPrices(ID)
  assert.deepEqual(
    data.map(({ id, to }) => [id, to]),
    [
      [all.id, null],
      [vip.id, null],
    ],
  )
  assert.equal((await client.getModel(ID)).price?.id, all.id)
})

test('a margin is put over the cost list of an upstream', async () => {
  const { client, refused } = await world()
  const price = await client.setPrice(ID, { margin: { upstream: 'lab', multiplier: '1.2' }, group: 'partners' })
  assert.deepEqual(
    [price.input, price.cached_input, price.output, price.tiers, price.margin],
    ['1.00', '0.10', '2.00', { flex: '0.5' }, { upstream: 'lab', multiplier: '1.2' }],
  )
  const margin = (upstream: string, multiplier: string) => ({ margin: { upstream, multiplier } })
  await refused(POST, margin('gone', '2'), 400, 'invalid_value', /"gone" has no cost list/, 'margin.upstream')
  await refused(POST, margin('lab', '20%'), 400, 'invalid_value', /such as "0.5" or "3\/4"/, 'margin.multiplier')
})

test('what a whole price cannot be is refused with the field and the cure', async () => {
  const { refused } = await world()
  const check = (fields: object, param: string, message: RegExp, code = 'invalid_value') =>
    refused(POST, { input: '1', output: '2', ...fields }, 400, code, message, param)
  await check({ windows: [PEAK, { ...PEAK, start: '03:00' }] }, 'windows.1', /overlaps windows\[0\]/)
  await check({ windows: [{ ...PEAK, multiplier: 2 }] }, 'windows.0.multiplier', /has to be a string such as "0.5"/)
  await check({ windows: [{ ...PEAK, colour: 'red' }] }, 'windows.0.colour', /no such field/, 'unsupported_parameter')
  await check({ tiers: { scale: '2' } }, 'tiers.scale', /no such field/, 'unsupported_parameter')
  await check({ steps: [{ from_input_tokens: 1.5, multiplier: '2' }] }, 'steps.0.from_input_tokens', /whole number/)
  await check({ group: 'A b' }, 'group', /has to be 1 to 64/)
  await check({ to: NOW }, 'to', /has to be after from/)
})

test('a list is imported whole or not at all, and twice is the same as once', async () => {
  const { client, fake, refused } = await world()
  const prices = [
    { model: ID, input: '1', output: '2', windows: [{ start: '16:30', end: '00:30', multiplier: '0.5' }] },
    { model: ID, group: 'vip', input: '0.5', output: '1', from: LATER },
    { model: 'acme/large', input: '3', output: '4' },
  ]
  const bad = { prices: [...prices, { model: 'gone', input: '1', output: '1' }] }
  await refused('POST /prices', bad, 400, 'invalid_value', /no model with the id "gone"/, 'prices.3.model')
  const twice = { prices: [...prices, { model: ID, input: '9', output: '9', from: '2020-01-01T00:00:00Z' }] }
  await refused(
    'POST /prices',
    twice,
    400,
    'invalid_value',
    /two rows of acme\/small begin at one time/,
    'prices.3.from',
  )
  const dry = await client.importPrices({ prices, dry_run: true })
  assert.deepEqual([dry.applied, fake.prices.length], [false, 0])
  const first = await client.importPrices({ prices })
  assert.deepEqual(
    first.data.map(each => [each.after.model, each.after.group, each.change]),
    [
      ['acme/large', undefined, 'new'],
      [ID, undefined, 'new'],
      [ID, 'vip', 'new'],
    ],
  )
  const again = await client.importPrices({ prices })
  assert.ok(again.data.every(({ change }) => change === 'unchanged'))
  const { data } = await client.listAllPrices()
  const exported = data.map(({ id: _, ...row }) => row)
  assert.ok((await client.importPrices({ prices: exported })).data.every(({ change }) => change === 'unchanged'))
  assert.equal(fake.prices.length, 3)
  const changed = await client.importPrices({ prices: [{ model: ID, input: '1.5', output: '2' }] })
  assert.deepEqual(
    changed.data.map(({ change, before, after }) => [change, before?.input, after.input]),
    [['changed', '1.00', '1.50']],
  )
})

test('past usage is priced anew by another list, exactly, and what cannot be is named', async () => {
  const { client, fake } = await world()
  const old = await client.setPrice(ID, { input: '1', output: '1' })
  const usage = { ...USAGE_ABSENT, inputTokens: 1_000, outputTokens: 100 }
  const used = (requestId: string, ending: Ending, chargeNanodollars: bigint, parts: object = {}) =>
    fake.settlements.push(settlement({ requestId, ending, usage, chargeNanodollars, priceId: old.id, ...parts }))
  used('done', 'completed', 1_100_000n)
  used('cut', 'cancelled', 1_100_000n)
  used('overrun', 'completed', 1_000_000n, { overrunNanodollars: 100_000n })
  used('empty', 'empty', 0n)
  used('failed', 'failed', 0n)
  used('flex', 'completed', 1_100_000n, { serviceTier: 'flex' })
  used('other', 'completed', 7n, { modelId: 'acme/large' })
  used('early', 'completed', 9n, { admittedMs: Date.parse('2026-01-01T00:00:00Z') })
  const found = await client.replayPrices({
    from: '2025-01-01T00:00:00Z',
    to: NOW,
    prices: [{ model: ID, input: '2', output: '3', tiers: { flex: '1/3' }, from: '2026-01-31T00:00:00Z' }],
  })
  // Three at 2.3 m$, one at a third of that, two that owe nothing.
  assert.deepEqual(found.total, {
    requests: 6,
    charged: '0.0043',
    overrun: '0.0001',
    replayed: '0.007666667',
    difference: '0.003266667',
  })
  assert.deepEqual(found.models, [{ model: ID, ...found.total }])
  assert.deepEqual(found.unpriced, {
    requests: 2,
    charged: '0.000000016',
    reasons: [
      { reason: 'the list has no price for acme/large', requests: 1, examples: ['other'] },
      { reason: 'the list has no price for acme/small at the time of the request', requests: 1, examples: ['early'] },
    ],
  })
})

test('by the list that was in force, a replay gives what was charged', async () => {
  const { client, fake } = await world()
  const list = { input: '1.30', cached_input: '0.10', output: '2.60', windows: [{ ...PEAK, days: [...PEAK.days] }] }
  const price = await client.setPrice(ID, list)
  for (let i = 0; i < 2_500; i++) {
    const usage = { ...USAGE_ABSENT, inputTokens: i, cachedInputTokens: i >> 1, outputTokens: i % 7 }
    const picodollars = BigInt(i - (i >> 1)) * 1_300_000n + BigInt(i >> 1) * 100_000n + BigInt(i % 7) * 2_600_000n
    const chargeNanodollars = picodollars / 1_000n
    const at = { settledMs: NOW_MS - i - 1 }
    fake.settlements.push(settlement({ requestId: `r${i}`, usage, chargeNanodollars, priceId: price.id, ...at }))
  }
  const { total } = await client.replayPrices({
    from: '2026-01-01T00:00:00Z',
    to: NOW,
    prices: [{ model: ID, ...list }],
  })
  assert.deepEqual([total.requests, total.difference, total.replayed], [2_500, '0.00', total.charged])
})

test('a story tells the factors of a price with terms, and what the rounding did', async () => {
  const { client, fake } = await world()
  const { id } = await client.setPrice(ID, { input: '1', output: '1', tiers: { flex: '1/3' } })
  const usage = { ...USAGE_ABSENT, inputTokens: 1 }
  fake.settlements.push(settlement({ usage, priceId: id, serviceTier: 'flex', chargeNanodollars: 333n }))
  const { arithmetic, row } = await client.getUsage('req_1')
  assert.equal(row.service_tier, 'flex')
  assert.deepEqual(
    [arithmetic?.factors, arithmetic?.picodollars, arithmetic?.rounding_picodollars, arithmetic?.explanation],
    [[{ of: 'tier', multiplier: '1/3' }], '1000000/3', '-1000/3', 'The usage at its price, rounded once.'],
  )
})
