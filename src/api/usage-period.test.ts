import assert from 'node:assert/strict'
import { test } from 'node:test'
import { monthsOf } from './usage-period.ts'

const NOW_MS = Date.parse('2026-03-15T10:30:00Z')
const FIRST_MS = Date.parse('2025-11-20T07:00:00Z')
const seconds = (time: string) => String(Date.parse(time) / 1000)

function check(from: string, to: string | undefined, ...expected: readonly string[]): void {
  const found = monthsOf(from, to, FIRST_MS, NOW_MS).map(
    ({ period, fromMs, toMs }) =>
      `${period} ${new Date(fromMs).toISOString().slice(0, 13)} ${new Date(toMs).toISOString().slice(0, 13)}`,
  )
  assert.deepEqual(found, expected, `${from} ${to}`)
}

test('a period is whole months, or begins and ends at hours', () => {
  check('current', undefined, '2026.03 2026-03-01T00 2026-04-01T00')
  check('current(-1)', undefined, '2026.02 2026-02-01T00 2026-03-01T00', '2026.03 2026-03-01T00 2026-04-01T00')
  check('current(-0)', undefined, '2026.03 2026-03-01T00 2026-04-01T00')
  check('2026.01', '2026.02', '2026.01 2026-01-01T00 2026-02-01T00', '2026.02 2026-02-01T00 2026-03-01T00')
  check('current(-2)', 'current(-2)', '2026.01 2026-01-01T00 2026-02-01T00')
  check('2026.02', '2026.01')
  check('2026.04', undefined)
  check(
    seconds('2026-01-31T22:59:59Z'),
    seconds('2026-02-01T03:20:00Z'),
    ...['2026.01 2026-01-31T22 2026-02-01T00', '2026.02 2026-02-01T00 2026-02-01T03'],
  )
})

test('what was before there was usage is left out', () => {
  check('0', '2025.12', '2025.11 2025-11-01T00 2025-12-01T00', '2025.12 2025-12-01T00 2026-01-01T00')
  check('1990.01', 'current(-4)', '2025.11 2025-11-01T00 2025-12-01T00')
})

test('what is no period is refused with the parameter, and so is one that is too long', () => {
  const refused = (from: string, to: string | undefined, param: string) =>
    assert.throws(() => monthsOf(from, to, FIRST_MS, NOW_MS), { code: 'invalid_value', param })
  for (const wrong of ['', '2026-01', '2026.13', '1969.12', 'current(1)', 'current(-1', 'yesterday', '-5', '1e9']) {
    refused(wrong, undefined, 'from')
    refused('current', wrong, 'to')
  }
  refused('2026.01', '2099.01', 'to')
})
