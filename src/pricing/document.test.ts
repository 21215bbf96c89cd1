import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  documentOfTariff,
  PriceFormatError,
  sameTariff,
  type TariffDocument,
  tariffOfDocument,
  termsOfDocument,
} from './document.ts'
import { formatRatio, parseRatio, RatioFormatError } from './ratio.ts'
import { shownTariff } from './shown-tariff.ts'
import { anyCounts, anyInstant, anyTariff, anyTier } from './testing.ts'
import { chargeOf } from './worth.ts'

const PLAIN: TariffDocument = { input: '1', output: '2' }

test('what is written is read again, and in one form', () => {
  fc.assert(
    fc.property(anyTariff, written => {
      const tariff = tariffOfDocument(written)
      const document = documentOfTariff(tariff)
      const again = tariffOfDocument(JSON.parse(JSON.stringify(document)))
      assert.deepEqual(again, tariff)
      assert.deepEqual(documentOfTariff(again), document)
      assert.ok(sameTariff(again, tariff))
    }),
  )
})

test('terms are read again beside the rates of a row', () => {
  fc.assert(
    fc.property(anyTariff, written => {
      const { terms, ...rates } = tariffOfDocument(written)
      const { windows, steps, tiers, margin } = documentOfTariff({ ...rates, ...(terms !== undefined && { terms }) })
      assert.deepEqual(termsOfDocument({ windows, steps, tiers, margin }, documentOfTariff(rates)), terms)
    }),
  )
})

test('what customers are shown is never below what they are charged, and has no margin', () => {
  fc.assert(
    fc.property(anyTariff, anyCounts, anyInstant, anyTier, (written, counts, atMs, tier) => {
      const tariff = tariffOfDocument(written)
      const shown = shownTariff(tariff)
      assert.equal(documentOfTariff(shown).margin, undefined)
      assert.ok(chargeOf(shown, counts, atMs, tier) >= chargeOf(tariff, counts, atMs, tier))
    }),
  )
})

test('multipliers are exact', () => {
  const check = (text: string, numerator: bigint, denominator: bigint, formatted = text) => {
    assert.deepEqual(parseRatio(text), { numerator, denominator })
    assert.equal(formatRatio(parseRatio(text)), formatted)
  }
  check('0.5', 1n, 2n)
  check('3/4', 3n, 4n, '0.75')
  check('1/3', 1n, 3n)
  check('2', 2n, 1n)
  check('4/2', 2n, 1n, '2')
  check('0', 0n, 1n)
  check('0.00', 0n, 1n, '0')
  check('1.175', 47n, 40n)
  for (const text of ['', '-1', '1/0', '.5', '1e3', '50%', '0.5/2', '1234567890123'])
    assert.throws(() => parseRatio(text), RatioFormatError, text)
  fc.assert(
    fc.property(fc.nat(999_999), fc.integer({ min: 1, max: 999_999 }), (a, b) => {
      const ratio = parseRatio(`${a}/${b}`)
      assert.equal(ratio.numerator * BigInt(b), ratio.denominator * BigInt(a))
      assert.deepEqual(parseRatio(formatRatio(ratio)), ratio)
    }),
  )
})

function check(name: string, document: unknown, path: string, message: RegExp) {
  test(`refused: ${name}`, () => {
    assert.throws(
      () => tariffOfDocument(document as TariffDocument),
      (error: unknown) => {
        assert.ok(error instanceof PriceFormatError, String(error))
        assert.equal(error.path.join('.'), path)
        assert.match(error.message, message)
        return true
      },
    )
  })
}

const NIGHT = { start: '22:00', end: '02:00', multiplier: '0.5' }
check('output unsaid', { input: '1' }, 'output', /missing; what costs nothing has to be said as "0"/)
check('a price below zero', { ...PLAIN, cache_write: '-1' }, 'cache_write', /cannot be negative/)
check('a price too fine', { ...PLAIN, input: '0.0000001' }, 'input', /finer than/)
check('a multiplier that is none', { ...PLAIN, tiers: { flex: '50%' } }, 'tiers.flex', /such as "0.5" or "3\/4"/)
check(
  'windows that overlap',
  { ...PLAIN, windows: [NIGHT, { days: ['sat'], start: '00:00', end: '03:00', multiplier: '2' }] },
  'windows.1',
  /overlaps windows\[0\]/,
)
check(
  'windows that overlap over the end of the week',
  {
    ...PLAIN,
    windows: [
      { ...NIGHT, days: ['sun'] },
      { ...NIGHT, days: ['mon'], start: '01:59', end: '03:00' },
    ],
  },
  'windows.1',
  /overlaps windows\[0\]/,
)
check('a window of nothing', { ...PLAIN, windows: [{ start: '01:00', end: '02:00' }] }, 'windows.0', /changes nothing/)
check('a window of both', { ...PLAIN, windows: [{ ...NIGHT, input: '1' }] }, 'windows.0', /a multiplier and prices/)
check(
  'a window that forgets a class of the price',
  { ...PLAIN, cached_input: '0.1', windows: [{ start: '01:00', end: '02:00', input: '2', output: '4' }] },
  'windows.0.cached_input',
  /what the price itself names has to be named here too/,
)
check(
  'a window with prices that does not say its steps',
  {
    ...PLAIN,
    steps: [{ from_input_tokens: 5, multiplier: '2' }],
    windows: [{ start: '01:00', end: '02:00', input: '2', output: '4' }],
  },
  'windows.0.steps',
  /the price has steps/,
)
check(
  'a multiplied window with steps',
  { ...PLAIN, windows: [{ ...NIGHT, steps: [] }] },
  'windows.0.steps',
  /prices of its own/,
)
check(
  'a time that is none',
  { ...PLAIN, windows: [{ ...NIGHT, start: '25:00' }] },
  'windows.0.start',
  /such as "16:30"/,
)
check('a minute that is none', { ...PLAIN, windows: [{ ...NIGHT, end: '12:60' }] }, 'windows.0.end', /such as "16:30"/)
check('a start at 24:00', { ...PLAIN, windows: [{ ...NIGHT, start: '24:00' }] }, 'windows.0.start', /cannot be 24:00/)
check('no days', { ...PLAIN, windows: [{ ...NIGHT, days: [] }] }, 'windows.0.days', /at least one day/)
check(
  'a day that is none',
  { ...PLAIN, windows: [{ ...NIGHT, days: ['monday'] }] },
  'windows.0.days.0',
  /one of mon, tue/,
)
check(
  'steps out of order',
  {
    ...PLAIN,
    steps: [
      { from_input_tokens: 5, multiplier: '2' },
      { from_input_tokens: 5, multiplier: '3' },
    ],
  },
  'steps.1.from_input_tokens',
  /above 5/,
)
check(
  'a step at nothing',
  { ...PLAIN, steps: [{ from_input_tokens: 0, multiplier: '2' }] },
  'steps.0.from_input_tokens',
  /at least 1/,
)
