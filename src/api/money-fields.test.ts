import assert from 'node:assert/strict'
import { test } from 'node:test'
import { centsIn, centsOut, dollarsIn, dollarsOut } from './money-fields.ts'

test('dollars come as JSON numbers and are read digit by digit', () => {
  assert.equal(dollarsIn(0.1, 'limit'), 100_000_000n)
  assert.equal(dollarsIn(10.01, 'limit'), 10_010_000_000n)
  assert.equal(dollarsIn(1e-9, 'limit'), 1n)
  assert.equal(dollarsOut(10_010_000_000n), 10.01)
  for (const wrong of [1e-10, 1e30, Number.NaN, Number.POSITIVE_INFINITY])
    assert.throws(() => dollarsIn(wrong, 'limit'), { code: 'invalid_value', param: 'limit', message: /^limit: / })
})

test('cents are rounded for show alone', () => {
  const check = (nanodollars: bigint, cents: number) => assert.equal(centsOut(nanodollars), cents)
  check(0n, 0)
  check(4_999_999n, 0)
  check(5_000_000n, 1)
  check(14_999_999n, 1)
  check(-4_999_999n, 0)
  check(-5_000_000n, -1)
  assert.equal(centsIn(250), 2_500_000_000n)
})
