import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ServiceTier } from '../inference/service-tier.ts'
import { breakdownOf } from './breakdown.ts'
import { ceilingOf, chargedTier, holdFor } from './ceiling.ts'
import { type TariffDocument, tariffOfDocument } from './document.ts'
import { anyCounts, anyInstant, anyTariff, anyTier, nanodollarsByHand, worthByHand } from './testing.ts'
import { chargeOf, type PricedCounts, worthOf } from './worth.ts'

/** The seed price: DeepSeek V4 Pro. */
const SEED: TariffDocument = { input: '1.30', cached_input: '0.10', output: '2.60' }
const NONE: PricedCounts = {
  inputTokens: 0,
  cachedInputTokens: 0,
  cacheWriteTokens: 0,
  outputTokens: 0,
  reasoningTokens: 0,
}
const RUNS = { numRuns: 400 }

function check(
  name: string,
  price: TariffDocument,
  counts: Partial<PricedCounts>,
  nanodollars: bigint,
  at: { atMs?: number; tier?: ServiceTier } = {},
) {
  test(name, () => {
    const { atMs = 0, tier = 'standard' } = at
    assert.equal(chargeOf(tariffOfDocument(price), { ...NONE, ...counts }, atMs, tier), nanodollars)
  })
}

check(
  'the seed price is charged exactly: $0.100023300',
  SEED,
  { inputTokens: 1_000_003, cachedInputTokens: 999_999, outputTokens: 7 },
  100_023_300n,
)
for (const [tokens, nanodollars] of [
  [1, 0n],
  [3, 2n],
  [5, 2n],
] as const)
  check(
    `${tokens} tokens at $0.0005 per million, half to even`,
    { input: '0.0005', output: '0' },
    { inputTokens: tokens },
    nanodollars,
  )

const SUMMED: TariffDocument = { input: '0.0005', output: '0.0005', request: '0.0000000005' }
check('classes are summed before the one rounding', SUMMED, { inputTokens: 1, outputTokens: 1 }, 2n)
check(
  'classes without a price of their own cost what their kin cost',
  { input: '1', output: '2' },
  {
    inputTokens: 10,
    cachedInputTokens: 4,
    cacheWriteTokens: 3,
    outputTokens: 10,
    reasoningTokens: 9,
  },
  30_000n,
)
const APART: TariffDocument = {
  input: '1',
  cached_input: '0.1',
  cache_write: '1.25',
  output: '2',
  reasoning: '3',
  request: '0.001',
  search_unit: '0.002',
}
check(
  'each token is in one class',
  APART,
  {
    inputTokens: 1000,
    cachedInputTokens: 600,
    cacheWriteTokens: 100,
    outputTokens: 50,
    reasoningTokens: 20,
    searchUnits: 3,
  },
  300_000n + 60_000n + 125_000n + 60_000n + 60_000n + 7_000_000n,
)
check(
  'parts that exceed their whole are cut to it',
  APART,
  { inputTokens: 10, cachedInputTokens: 99, cacheWriteTokens: 99, outputTokens: 1, reasoningTokens: 9 },
  1_000n + 3_000n + 1_000_000n,
)
const STEPPED: TariffDocument = {
  ...SEED,
  steps: [{ from_input_tokens: 200_001, input: '2.60', cached_input: '0.20', output: '3.90' }],
}
check('below a context step', STEPPED, { inputTokens: 200_000, outputTokens: 10 }, 260_026_000n)
check(
  'from a context step on, all tokens are priced at it',
  STEPPED,
  { inputTokens: 200_001, outputTokens: 10 },
  520_041_600n,
)
const TIERED: TariffDocument = { input: '1', output: '1', tiers: { priority: '2', flex: '0.5', batch: '1/3' } }
check('a tier is multiplied before the rounding', TIERED, { inputTokens: 1 }, 333n, { tier: 'batch' })
check('a tier that costs more', TIERED, { inputTokens: 1 }, 2_000n, { tier: 'priority' })
check(
  'a tier without a multiplier costs what standard costs',
  { input: '1', output: '1' },
  { inputTokens: 1 },
  1_000n,
  { tier: 'flex' },
)

test('every charge equals rational arithmetic that shares no code, for random prices, windows, steps, multipliers and counts', () => {
  fc.assert(
    fc.property(anyTariff, anyCounts, anyInstant, anyTier, (document, counts, atMs, tier) => {
      const tariff = tariffOfDocument(document)
      const [numerator, denominator] = worthByHand(document, counts, atMs, tier)
      const worth = worthOf(tariff, counts, atMs, tier)
      assert.equal(worth.numerator * denominator, numerator * worth.denominator, 'the exact worth')
      assert.equal(chargeOf(tariff, counts, atMs, tier), nanodollarsByHand([numerator, denominator]), 'the charge')
    }),
    { numRuns: 1_000 },
  )
})

test('a quote bounds every charge that is reachable', () => {
  const served = fc.option(anyTier, { nil: undefined })
  const more = fc.oneof(fc.constant(0), fc.nat(500))
  fc.assert(
    fc.property(anyTariff, anyCounts, anyInstant, anyTier, served, more, more, (...drawn) => {
      const [document, counts, atMs, asked, tier, moreInput, moreOutput] = drawn
      const tariff = tariffOfDocument(document)
      const inputBound = counts.inputTokens + moreInput
      const held = holdFor(ceilingOf(tariff, atMs, inputBound, asked), inputBound, counts.outputTokens + moreOutput)
      assert.ok(chargeOf(tariff, counts, atMs, chargedTier(asked, tier)) <= held)
    }),
    { numRuns: 1_000 },
  )
})

test('the quote of a plain price is no more than the worst case', () => {
  const ceiling = ceilingOf(
    tariffOfDocument({ input: '1', cached_input: '3', output: '2', reasoning: '5' }),
    0,
    10,
    'standard',
  )
  assert.equal(holdFor(ceiling, 10, 4), 30_000n + 20_000n)
})

test('a hold reaches the step at its very bound, and is rounded up', () => {
  const stepped = tariffOfDocument(STEPPED)
  assert.equal(holdFor(ceilingOf(stepped, 0, 200_000, 'standard'), 200_000, 0), 260_000_000n)
  assert.equal(holdFor(ceilingOf(stepped, 0, 200_001, 'standard'), 200_001, 0), 520_002_600n)
  const tiered = tariffOfDocument({ input: '1', output: '1', tiers: { batch: '2/3' } })
  assert.equal(holdFor(ceilingOf(tiered, 0, 1, 'batch'), 1, 0), 667n)
  assert.equal(chargeOf(tiered, { ...NONE, inputTokens: 1 }, 0, 'batch'), 667n)
})

test('the tier that was served is charged, and never one that was not asked for', () => {
  const charged = (asked: ServiceTier, served?: ServiceTier) => chargedTier(asked, served)
  assert.deepEqual(
    [charged('priority'), charged('priority', 'standard'), charged('priority', 'flex')],
    ['priority', 'standard', 'priority'],
  )
  assert.deepEqual(
    [charged('flex'), charged('flex', 'standard'), charged('flex', 'priority')],
    ['flex', 'standard', 'flex'],
  )
  assert.deepEqual([charged('standard', 'priority'), charged('standard', 'flex')], ['standard', 'standard'])
  assert.deepEqual([charged('batch', 'standard')], ['batch'])
})

test('a breakdown sums exactly: lines times factors, plus the rounding, are the charge', () => {
  fc.assert(
    fc.property(anyTariff, anyCounts, anyInstant, anyTier, (document, counts, atMs, tier) => {
      const tariff = tariffOfDocument(document)
      const found = breakdownOf(tariff, counts, atMs, tier)
      let [numerator, denominator] = [0n, 1n]
      for (const line of found.lines) numerator += BigInt(line.quantity) * line.picodollarsEach
      assert.equal(numerator, found.sumPicodollars)
      for (const { multiplier } of found.factors) {
        numerator *= multiplier.numerator
        denominator *= multiplier.denominator
      }
      const { roundingPicodollars: rounding } = found
      assert.equal(
        numerator * rounding.denominator + rounding.numerator * denominator,
        found.nanodollars * 1000n * denominator * rounding.denominator,
      )
      assert.equal(found.nanodollars, chargeOf(tariff, counts, atMs, tier))
      const tokens = found.lines.filter(line => line.class !== 'request').reduce((sum, line) => sum + line.quantity, 0)
      assert.equal(tokens, counts.inputTokens + counts.outputTokens, 'each token on one line')
    }),
    RUNS,
  )
})
