import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Price } from '../inference/snapshot.ts'
import { type PricedHour, usageItems } from './usage-items.ts'

const HOUR_MS = 3_600_000
const PRICE: Price = {
  ...{ id: 'p', modelId: 'm', fromMs: 0, toMs: null, requestPicodollars: 0n },
  ...{ inputPicodollars: 1_000_000n, cachedInputPicodollars: 100_000n, outputPicodollars: 3_000_000n },
}

function hour(fields: Partial<PricedHour>): PricedHour {
  return {
    ...{ hourMs: 0, modelId: 'm', priceId: 'p', requests: 1, inputTokens: 0, cachedInputTokens: 0, outputTokens: 0 },
    chargeNanodollars: 0n,
    ...fields,
  }
}

test('hours are put together by model and price, class by class', () => {
  const items = usageItems(
    [
      hour({ hourMs: HOUR_MS, inputTokens: 100, cachedInputTokens: 40, outputTokens: 10, chargeNanodollars: 94_000n }),
      hour({ hourMs: 0, inputTokens: 1, chargeNanodollars: 1_000n }),
      hour({ priceId: 'q', outputTokens: 5, chargeNanodollars: 7n }),
      hour({ modelId: 'a', priceId: 'p', outputTokens: 1, chargeNanodollars: 3_000n }),
    ],
    id => (id === 'p' ? PRICE : null),
  )
  assert.deepEqual(
    items.map(({ modelId, priceId, class: name, units, picodollarsEach, costNanodollars, fromMs, toMs }) => [
      ...[modelId, priceId, name, units, picodollarsEach, costNanodollars, fromMs / HOUR_MS, toMs / HOUR_MS],
    ]),
    [
      ['a', 'p', 'output', 1, 3_000_000n, 3_000n, 0, 1],
      ['m', 'p', 'input', 61, 1_000_000n, 61_000n, 0, 2],
      ['m', 'p', 'cached_input', 40, 100_000n, 4_000n, 0, 2],
      ['m', 'p', 'output', 10, 3_000_000n, 30_000n, 0, 2],
      ['m', 'q', 'output', 5, null, 7n, 0, 1],
    ],
  )
})

test('a price that depends on the request has no rate, and its charge is split by what the classes are worth', () => {
  const terms = { windows: [], steps: [], tiers: { flex: { numerator: 1n, denominator: 2n } } }
  const items = usageItems([hour({ inputTokens: 30, outputTokens: 10, chargeNanodollars: 30_001n })], () => ({
    ...PRICE,
    terms,
  }))
  assert.deepEqual(
    items.map(({ class: name, picodollarsEach, costNanodollars }) => [name, picodollarsEach, costNanodollars]),
    [
      ['input', null, 15_000n],
      ['output', null, 15_001n],
    ],
  )
})

test('whatever was used and charged, the items sum to it', () => {
  const count = fc.nat(1_000_000)
  const hours = fc.array(
    fc.record({
      ...{ hourMs: fc.nat(5).map(n => n * HOUR_MS), modelId: fc.constantFrom('m', 'n') },
      priceId: fc.constantFrom('p', 'free', 'gone'),
      ...{ requests: fc.integer({ min: 1, max: 9 }), inputTokens: fc.oneof(fc.constant(0), fc.nat(1_000_000)) },
      ...{
        cached: fc.nat(100),
        outputTokens: fc.oneof(fc.constant(0), count),
        chargeNanodollars: fc.bigInt({ min: 0n, max: 10n ** 12n }),
      },
    }),
    { maxLength: 12 },
  )
  const free = { ...PRICE, inputPicodollars: 0n, cachedInputPicodollars: 0n, outputPicodollars: 0n }
  fc.assert(
    fc.property(hours, raw => {
      const given = raw.map(({ cached, ...each }) => ({
        ...each,
        cachedInputTokens: Math.floor((each.inputTokens * cached) / 100),
      }))
      const items = usageItems(given, id => (id === 'p' ? PRICE : id === 'free' ? free : null))
      const charged = given.reduce((sum, each) => sum + each.chargeNanodollars, 0n)
      assert.equal(
        items.reduce((sum, each) => sum + each.costNanodollars, 0n),
        charged,
      )
      const used = given.reduce((sum, each) => sum + each.inputTokens + each.outputTokens, 0)
      assert.equal(
        items.reduce((sum, each) => sum + (each.class === 'request' ? 0 : each.units), 0),
        used,
      )
      for (const { costNanodollars } of items) assert.ok(costNanodollars >= 0n)
    }),
  )
})
