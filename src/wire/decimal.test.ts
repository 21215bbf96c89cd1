import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { nanodollarsToDecimal, picodollarsToDecimal, picodollarsToDollarsPerMillion } from './decimal.ts'

test('nanodollars become dollars digit by digit', () => {
  const check = (nanodollars: bigint, expected: string) => assert.equal(nanodollarsToDecimal(nanodollars), expected)
  check(0n, '0.000000000')
  check(1n, '0.000000001')
  check(-1n, '-0.000000001')
  check(100_023_300n, '0.100023300')
  check(1_000_000_000n, '1.000000000')
  check(9_223_372_036_854_775_807n, '9223372036.854775807')
})

test('prices lose their trailing zeros only', () => {
  assert.equal(picodollarsToDecimal(1_300_000n), '0.0000013')
  assert.equal(picodollarsToDecimal(0n), '0')
  assert.equal(picodollarsToDecimal(10_000_000_000_000n), '10')
  assert.equal(picodollarsToDollarsPerMillion(1_300_000n), '1.3')
  assert.equal(picodollarsToDollarsPerMillion(22_000n), '0.022')
  assert.equal(picodollarsToDollarsPerMillion(100_000_000n), '100')
})

test('the literal is a JSON number and holds every digit', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), nanodollars => {
      const text = nanodollarsToDecimal(nanodollars)
      assert.equal(typeof JSON.parse(text), 'number')
      assert.equal(BigInt(text.replace('.', '')), nanodollars)
    }),
  )
})
