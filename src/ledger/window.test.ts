import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Window } from '../inference/limit-rule.ts'
import { countedFromMs, forgottenAtMs, pieceAt, sliceMs } from './window.ts'

const iso = (ms: number) => new Date(ms).toISOString().replace('.000Z', 'Z')

function check(window: Window, at: string, from: string, to: string): void {
  test(`${window} at ${at}`, () => {
    const { fromMs, toMs } = pieceAt(window, Date.parse(at))
    assert.deepEqual([iso(fromMs), iso(toMs)], [from, to])
  })
}

check('minute', '2026-03-01T00:00:59.999Z', '2026-03-01T00:00:00Z', '2026-03-01T00:01:00Z')
check('hour', '2026-03-01T23:59:59Z', '2026-03-01T23:00:00Z', '2026-03-02T00:00:00Z')
check('day', '2028-02-29T12:00:00Z', '2028-02-29T00:00:00Z', '2028-03-01T00:00:00Z')
// A Sunday belongs to the week that began on the Monday before.
check('week', '2026-11-29T23:59:59Z', '2026-11-23T00:00:00Z', '2026-11-30T00:00:00Z')
check('week', '2026-11-30T00:00:00Z', '2026-11-30T00:00:00Z', '2026-12-07T00:00:00Z')
check('month', '2026-12-31T23:59:59Z', '2026-12-01T00:00:00Z', '2027-01-01T00:00:00Z')
check('rolling_minute', '2026-03-01T00:00:59.999Z', '2026-03-01T00:00:59Z', '2026-03-01T00:01:00Z')
check('rolling_day', '2026-03-01T00:30:00Z', '2026-03-01T00:24:00Z', '2026-03-01T00:48:00Z')

test('what rolls counts at least as long as the window, and at most a slice longer', () => {
  for (const window of ['rolling_minute', 'rolling_hour', 'rolling_day', 'rolling_week', 'rolling_month'] as const) {
    const slice = sliceMs(window) as number
    const atMs = Date.parse('2026-05-05T05:05:05.555Z')
    const length = 60 * slice
    const goneMs = forgottenAtMs(window, pieceAt(window, atMs).fromMs)
    assert.ok(goneMs > atMs + length - slice && goneMs >= atMs + length && goneMs <= atMs + length + slice, window)
    assert.ok(countedFromMs(window, atMs) <= atMs - length && countedFromMs(window, atMs) > atMs - length - slice)
  }
})

test('what is ever counted is never forgotten', () => {
  assert.equal(forgottenAtMs('ever', pieceAt('ever', 5).fromMs), Number.POSITIVE_INFINITY)
  assert.equal(countedFromMs('ever', 5), Number.NEGATIVE_INFINITY)
})
