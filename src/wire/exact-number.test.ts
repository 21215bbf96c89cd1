import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decimalOf } from './exact-number.ts'

test('a number is written without an exponent', () => {
  const check = (value: number, expected: string) => assert.equal(decimalOf(value), expected)
  check(0, '0')
  check(10.01, '10.01')
  check(-0.5, '-0.5')
  check(1e-7, '0.0000001')
  check(1.25e-9, '0.00000000125')
  check(-2.5e-8, '-0.000000025')
  check(1e21, '1000000000000000000000')
  check(1.5e22, '15000000000000000000000')
  check(123456789012, '123456789012')
})
