import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  formatDollars,
  formatPricePerMillion,
  MoneyFormatError,
  parseDollars,
  parsePricePerMillion,
  picodollarsToNanodollars,
  picodollarsToNanodollarsUp,
} from './money.ts'

test('dollar strings are exact, and what is not an amount is refused with the reason', () => {
  const check = (text: string, expected: bigint | RegExp) => {
    if (typeof expected === 'bigint') assert.equal(parseDollars(text), expected, text)
    else assert.throws(() => parseDollars(text), expected, text)
  }
  check('5', 5_000_000_000n)
  check('5.00', 5_000_000_000n)
  check(' 0.000000001 ', 1n)
  check('-2.5', -2_500_000_000n)
  check('0.1000000000', 100_000_000n)
  check('0.0000000001', /finer than/)
  check('1e3', MoneyFormatErrorPattern)
  check('1,000', MoneyFormatErrorPattern)
  check('', MoneyFormatErrorPattern)
  check('$5', MoneyFormatErrorPattern)
  check('9223372036.854775808', /more than the books/)
})
const MoneyFormatErrorPattern = /expected a dollar amount/

test('a price is picodollars per token; finer ones and negative ones are refused', () => {
  assert.equal(parsePricePerMillion('1.30'), 1_300_000n)
  assert.equal(parsePricePerMillion('0'), 0n)
  assert.equal(formatPricePerMillion(1_300_000n), '1.30')
  assert.equal(formatPricePerMillion(1n), '0.000001')
  assert.throws(() => parsePricePerMillion('0.0000001'), MoneyFormatError)
  assert.throws(() => parsePricePerMillion('-1'), /cannot be negative/)
})

test('formatting and parsing are inverse', () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n }),
      amount => parseDollars(formatDollars(amount)) === amount,
    ),
  )
})

test('the one rounding is half to even', () => {
  const check = (picodollars: bigint, nanodollars: bigint) =>
    assert.equal(picodollarsToNanodollars(picodollars), nanodollars, String(picodollars))
  check(499n, 0n)
  check(500n, 0n)
  check(501n, 1n)
  check(1500n, 2n)
  check(2500n, 2n)
  check(-500n, 0n)
  check(-1500n, -2n)
  check(-2501n, -3n)
})

test('rounding up never gives less than the exact amount, and less than one more', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 10n ** 24n }), picodollars => {
      const up = picodollarsToNanodollarsUp(picodollars) * 1000n
      return up >= picodollars && up - picodollars < 1000n && picodollarsToNanodollars(picodollars) * 1000n <= up
    }),
  )
})
