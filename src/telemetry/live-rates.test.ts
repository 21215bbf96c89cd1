import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Settlement } from '../ledger/journal.ts'
import { LiveRates } from './live-rates.ts'

test('rates are those of the last minute, and nothing of before', () => {
  const rates = new LiveRates()
  const settle = (settledMs: number, outputTokens: number, ttftMs: number | null) =>
    rates.settled({ settledMs, usage: { outputTokens }, ttftMs } as Settlement)
  assert.deepEqual(rates.read(0), { outputTokensPerSecond: 0, requestsPerSecond: 0, firstTokenSeconds: null })
  settle(100_000, 60, 200)
  settle(100_900, 60, 400)
  settle(130_000, 600, null)
  assert.deepEqual(rates.read(130_999), { outputTokensPerSecond: 12, requestsPerSecond: 0.05, firstTokenSeconds: 0.3 })
  assert.deepEqual(rates.read(160_500), {
    outputTokensPerSecond: 10,
    requestsPerSecond: 1 / 60,
    firstTokenSeconds: null,
  })
  // The slot of a minute ago begins anew.
  settle(160_000, 6, 100)
  assert.deepEqual(rates.read(189_999), {
    outputTokensPerSecond: 10.1,
    requestsPerSecond: 2 / 60,
    firstTokenSeconds: 0.1,
  })
  assert.deepEqual(rates.read(400_000), { outputTokensPerSecond: 0, requestsPerSecond: 0, firstTokenSeconds: null })
})
