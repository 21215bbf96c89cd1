import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ObservedSpeeds } from './observed-speeds.ts'

const MINUTE_MS = 60_000

test('percentiles of latency grow, those of speed fall', () => {
  const speeds = new ObservedSpeeds()
  assert.deepEqual(speeds.at(0), { latencyMs: undefined, tokensPerSecond: undefined })
  for (let i = 1; i <= 100; i++) speeds.note({ latencyMs: i, tokens: i * 10, writingMs: 1000 }, 0)
  const { latencyMs, tokensPerSecond } = speeds.at(0)
  assert.deepEqual(latencyMs, { p50: 50, p75: 75, p90: 90, p99: 99 })
  assert.deepEqual(tokensPerSecond, { p50: 510, p75: 260, p90: 110, p99: 20 })
})

test('what is old is forgotten, and of the rest the last 128 count', () => {
  const speeds = new ObservedSpeeds()
  speeds.note({ latencyMs: 9000, tokens: 0, writingMs: 0 }, 0)
  speeds.note({ latencyMs: 10, tokens: 0, writingMs: 0 }, 20 * MINUTE_MS)
  assert.equal(speeds.at(30 * MINUTE_MS).latencyMs?.p99, 9000)
  assert.equal(speeds.at(31 * MINUTE_MS).latencyMs?.p99, 10)
  assert.equal(speeds.at(90 * MINUTE_MS).latencyMs, undefined)
  for (let i = 0; i < 300; i++) speeds.note({ latencyMs: i, tokens: 0, writingMs: 0 }, 91 * MINUTE_MS)
  assert.equal(speeds.at(91 * MINUTE_MS).latencyMs?.p50, 172 + 63)
})

test('a handful of tokens tells nothing of speed', () => {
  const speeds = new ObservedSpeeds()
  speeds.note({ latencyMs: 10, tokens: 3, writingMs: 1 }, 0)
  assert.equal(speeds.at(0).tokensPerSecond, undefined)
  assert.equal(speeds.at(0).latencyMs?.p50, 10)
})
