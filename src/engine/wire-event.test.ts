import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { InferenceEvent } from '../inference/event.ts'
import { fromWire, toWire } from './wire-event.ts'

function travelled(event: InferenceEvent): InferenceEvent {
  return fromWire(JSON.parse(JSON.stringify(toWire(event))))
}

test('a vector arrives bit for bit, also one that is part of a larger buffer', () => {
  const vector = new Float32Array([9, 0.1, -1e-30, 3.4e38, -0]).subarray(1)
  assert.deepEqual(travelled({ type: 'embedding', index: 7, vector }), { type: 'embedding', index: 7, vector })
})

test('a log probability that is not known stays so', () => {
  const known = { token: 'a', bytes: [97], logprob: -0.5, top: [] }
  const event: InferenceEvent = {
    type: 'delta',
    choice: 0,
    tokens: 0,
    logprobs: [{ ...known, logprob: Number.NaN }, known],
  }
  assert.deepEqual(travelled(event), event)
  const finish: InferenceEvent = { type: 'finish', choice: 1, reason: 'stop' }
  assert.deepEqual(travelled(finish), finish)
})
