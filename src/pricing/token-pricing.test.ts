import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { documentOfTariff, PriceFormatError, tariffOfDocument } from './document.ts'
import { anyCounts, anyInstant, anyTariff, anyTier } from './testing.ts'
import { shownTokenPricing, type TokenPricing, tariffOfTokenPricing, tokenPricingOf } from './token-pricing.ts'
import { chargeOf, worthOf } from './worth.ts'

const UTC_DAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday']

test('a tariff that can be written per token prices everything the same when read again', () => {
  let written = 0
  fc.assert(
    fc.property(anyTariff, anyCounts, anyInstant, anyTier, (document, counts, atMs, tier) => {
      const tariff = tariffOfDocument(document)
      const pricing = tokenPricingOf(tariff)
      fc.pre(pricing !== null)
      written++
      const again = tariffOfTokenPricing(JSON.parse(JSON.stringify(pricing)))
      const [a, b] = [worthOf(tariff, counts, atMs, tier), worthOf(again, counts, atMs, tier)]
      assert.equal(a.numerator * b.denominator, b.numerator * a.denominator)
      assert.deepEqual(tokenPricingOf(again)?.service_tiers, pricing.service_tiers)
      assert.deepEqual(tariffOfDocument(documentOfTariff(again)), again, 'and can be written in our words')
    }),
    { numRuns: 150 },
  )
  assert.ok(written >= 150)
})

test('what cannot be written exactly is shown rounded up', () => {
  const tariff = tariffOfDocument({
    input: '0.000001',
    output: '1',
    windows: [{ start: '00:00', end: '12:00', multiplier: '1/3' }],
  })
  assert.equal(tokenPricingOf(tariff), null)
  assert.equal(shownTokenPricing(tariff).overrides?.[0]?.prompt, '0.000000000001')
  assert.equal(shownTokenPricing(tariff).overrides?.[0]?.completion, '0.000000333334')
  assert.equal(tokenPricingOf(tariffOfDocument({ input: '1', output: '1', search_unit: '1' })), null)
})

test('overrides hold when all their conditions do, and later ones win price by price', () => {
  const price = fc.nat(9).map(digit => `0.00000${digit}`)
  const clock = fc.nat(47).map(half => Math.floor(half / 2) * 100 + (half % 2) * 30)
  const override = fc
    .record(
      {
        min_prompt_tokens: fc.constantFrom(0, 100, 1_000),
        time: fc.tuple(clock, clock).filter(([start, end]) => start !== end),
        utc_days: fc.subarray(UTC_DAYS, { minLength: 1 }),
        prompt: price,
        completion: price,
        input_cache_read: price,
        internal_reasoning: price,
      },
      { requiredKeys: [] },
    )
    .map(({ time, ...rest }) => ({ ...rest, ...(time !== undefined && { utc_start: time[0], utc_end: time[1] }) }))
  const anyPricing: fc.Arbitrary<TokenPricing> = fc.record({
    prompt: price,
    completion: price,
    input_cache_read: price,
    internal_reasoning: price,
    overrides: fc.array(override, { maxLength: 4 }),
  })
  fc.assert(
    fc.property(anyPricing, anyCounts, anyInstant, (pricing, counts, atMs) => {
      const at = new Date(atMs)
      const now = at.getUTCHours() * 100 + at.getUTCMinutes()
      const holding = (pricing.overrides ?? []).filter(
        ({ min_prompt_tokens: over = -1, utc_start: start, utc_end: end = 0, utc_days: days }) =>
          counts.inputTokens > over &&
          (days === undefined || days.includes(UTC_DAYS[at.getUTCDay()] as string)) &&
          (start === undefined || (start < end ? now >= start && now < end : now >= start || now < end)),
      )
      const { overrides: _, ...base } = pricing
      const effective = Object.assign({}, base, ...holding)
      for (const condition of ['min_prompt_tokens', 'utc_start', 'utc_end', 'utc_days']) delete effective[condition]
      assert.equal(
        chargeOf(tariffOfTokenPricing(pricing), counts, atMs, 'standard'),
        chargeOf(tariffOfTokenPricing(effective), counts, 0, 'standard'),
      )
    }),
    { numRuns: 200 },
  )
})

function check(name: string, pricing: object, path: string, message: RegExp) {
  test(`refused: ${name}`, () => {
    assert.throws(
      () => tariffOfTokenPricing({ prompt: '0', completion: '0', ...pricing }),
      (error: unknown) => {
        assert.ok(error instanceof PriceFormatError, String(error))
        assert.equal(error.path.join('.'), path)
        assert.match(error.message, message)
        return true
      },
    )
  })
}

check('half a window', { overrides: [{ utc_start: 100, prompt: '1' }] }, 'overrides.0.utc_end', /is missing/)
check('a clock that is none', { overrides: [{ utc_start: 100, utc_end: 2470 }] }, 'overrides.0.utc_end', /as HHMM/)
check('a day that is none', { overrides: [{ utc_days: ['mon'] }] }, 'overrides.0.utc_days', /such as monday/)
check('half a token', { overrides: [{ min_prompt_tokens: 0.5 }] }, 'overrides.0.min_prompt_tokens', /whole number/)
check(
  'a tier that is not sold',
  { service_tiers: { scale: '2' } },
  'service_tiers.scale',
  /one of priority, flex, batch/,
)
check('a price too fine', { prompt: '0.0000000000001' }, 'prompt', /finer than/)
