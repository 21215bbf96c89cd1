import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseDollars } from '../ledger/money.ts'
import { buildInvoice, taxOf } from './invoice.ts'
import { parsePercent } from './percent.ts'
import { divideHalfEven } from './rounding.ts'
import { BILLING, ORG } from './testing.ts'

const invoice = (charges: bigint, taxRate = '19', org = ORG, month = '2026-10') => {
  const built = buildInvoice(org, month, charges, { ...BILLING, taxRate })
  assert.ok(built !== null)
  return built
}

function check(name: string, charges: bigint, taxRate: string, expected: Partial<ReturnType<typeof invoice>>) {
  test(`an invoice over ${name}`, () => {
    const built = invoice(charges, taxRate)
    assert.deepEqual(Object.fromEntries(Object.keys(expected).map(key => [key, built[key as 'net']])), expected)
  })
}

check('nothing', 0n, '19', { subtotal: '0.00', rounding: '0.00', net: '0.00', tax: '0.00', total: '0.00', due: '0.00' })
check('$5.521167400', 5_521_167_400n, '19', {
  subtotal: '5.5211674',
  rounding: '-0.0011674',
  net: '5.52',
  tax: '1.05',
  total: '6.57',
  paid: '5.52',
  due: '1.05',
})
check('half a cent, to even below', 5_000_000n, '0', { net: '0.00', rounding: '-0.005' })
check('half a cent, to even above', 15_000_000n, '0', { net: '0.02', rounding: '0.005' })
check('a tax of half a cent', 1_000_000_000n, '8.5', { net: '1.00', tax: '0.08' })
check('a tax with four places', 100_000_000_000n, '8.8755', { net: '100.00', tax: '8.88' })

test('whole and parts of an invoice agree, and tax is at most half a cent from exact', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 10n ** 17n }), fc.nat(1_000_000), (charges, parts) => {
      const percent = `${Math.floor(parts / 10_000)}.${String(parts % 10_000).padStart(4, '0')}`
      assert.equal(parsePercent(percent), BigInt(parts))
      const { subtotal, rounding, net, tax, total, paid, due } = invoice(charges, percent)
      const [s, r, n, t, all, p, d] = [subtotal, rounding, net, tax, total, paid, due].map(parseDollars) as [
        bigint,
        ...bigint[],
      ] &
        Record<number, bigint>
      assert.equal(s, charges)
      assert.equal(s + (r as bigint), n)
      assert.equal((n as bigint) + (t as bigint), all)
      assert.equal((p as bigint) + (d as bigint), all)
      assert.equal((n as bigint) % 10_000_000n, 0n)
      const error = (t as bigint) * 1_000_000n - (n as bigint) * BigInt(parts)
      assert.ok((error < 0n ? -error : error) * 2n <= 10_000_000n * 1_000_000n)
    }),
  )
})

test('a number belongs to one month and org', () => {
  const numbers = ['org_a', 'org_b'].flatMap(id =>
    ['2026-10', '2026-11'].map(month => invoice(1n, '0', { id, name: 'same' }, month).number),
  )
  assert.equal(new Set(numbers).size, 4)
  assert.equal(invoice(1n).number, invoice(99n).number)
  assert.equal(invoice(1n).number, 'INV-2026-10-0aB3dE5gH7jK9m')
})

test('a customer without details has the name of the org', () => {
  assert.deepEqual(invoice(1n, '0', { id: 'org_x', name: 'X' }).customer, { name: 'X', address: [], tax_id: null })
})

test('rates that are none', () => {
  for (const text of ['', '-1', '101', '100.0001', '1.00001', '1e1', 'NaN'])
    assert.throws(() => parsePercent(text), /expected percent/, text)
})

test('division rounds half to even on both sides of zero', () => {
  const check = (dividend: bigint, expected: bigint) =>
    assert.equal(divideHalfEven(dividend, 10n), expected, `${dividend}`)
  for (const [dividend, expected] of [
    [5n, 0n],
    [15n, 2n],
    [25n, 2n],
    [26n, 3n],
    [24n, 2n],
    [-5n, 0n],
    [-15n, -2n],
    [-25n, -2n],
    [-26n, -3n],
  ] as const)
    check(dividend, expected)
  assert.equal(taxOf(-1_000_000_000n, '10'), -100_000_000n)
})
