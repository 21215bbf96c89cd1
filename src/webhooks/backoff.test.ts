import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { nextTry, TRYING_MS, waitAfter } from './backoff.ts'

const MINUTE_MS = 60_000

function check(failures: number, chance: number, expectedMs: number) {
  test(`after ${failures} failures, chance ${chance}`, () => assert.equal(waitAfter(failures, chance), expectedMs))
}

check(1, 0.5, 5_000)
check(1, 0, 4_000)
check(1, 1, 6_000)
check(2, 0.5, 15_000)
check(3, 0.5, 45_000)
check(7, 0.5, 3_645_000)
check(8, 0.5, 10_935_000)
check(9, 0.5, 240 * MINUTE_MS)
check(1_000, 0.5, 240 * MINUTE_MS)

test('a delivery that always fails is tried for a day, the last time at its end, and then given up', () =>
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 30, maxLength: 30 }), chances => {
      let nowMs = 1_000
      const triesMs: number[] = []
      for (const [i, chance] of chances.entries()) {
        triesMs.push(nowMs)
        const next = nextTry(i + 1, 1_000, nowMs, chance)
        if (next === null) break
        assert.ok(next > nowMs)
        nowMs = next
      }
      assert.equal(triesMs.at(-1), 1_000 + TRYING_MS)
      assert.ok(triesMs.length >= 10 && triesMs.length <= 20, String(triesMs.length))
    }),
  ))
