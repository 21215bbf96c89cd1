import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AttemptEnd, InferenceEvent } from '../inference/event.ts'
import { USAGE_ABSENT } from '../inference/usage.ts'
import { AttemptRun, PAUSED_BYTES_MAX } from './attempt-run.ts'

const STARTED: InferenceEvent = { type: 'started', inputTokens: 3 }
const USAGE: InferenceEvent = { type: 'usage', usage: USAGE_ABSENT }
const COMPLETED: AttemptEnd = { kind: 'completed' }

function delta(content: string): InferenceEvent {
  return { type: 'delta', choice: 0, content, tokens: 1 }
}

function fixture() {
  const seen: string[] = []
  let givenUp = 0
  const run = new AttemptRun(
    {
      onEvent: event => seen.push(event.type === 'delta' ? `delta ${event.content?.slice(0, 8)}` : event.type),
      onEnd: end => seen.push(end.kind === 'failed' ? `failed ${end.failure.reason}` : end.kind),
    },
    () => givenUp++,
  )
  return { run, seen, givenUp: () => givenUp }
}

test('a pause keeps events and the end back, in order', () => {
  const { run, seen } = fixture()
  run.event(STARTED)
  run.pause()
  run.event(delta('a'))
  run.event(USAGE)
  run.end(COMPLETED)
  assert.deepEqual(seen, ['started'])
  run.resume()
  assert.deepEqual(seen, ['started', 'delta a', 'usage', 'completed'])
})

test('one end, and nothing after it', () => {
  const { run, seen } = fixture()
  run.end(COMPLETED)
  run.end({ kind: 'cancelled' })
  run.event(delta('late'))
  run.cancel()
  run.resume()
  assert.deepEqual(seen, ['completed'])
})

test('a sink that pauses while it is resumed gets the rest later', () => {
  const seen: string[] = []
  const run: AttemptRun = new AttemptRun(
    {
      onEvent: event => {
        if (event.type === 'delta') seen.push(event.content ?? '')
        if (seen.length === 1) run.pause()
      },
      onEnd: () => seen.push('end'),
    },
    () => {},
  )
  run.pause()
  for (const text of ['a', 'b', 'c']) run.event(delta(text))
  run.end(COMPLETED)
  run.resume()
  assert.deepEqual(seen, ['a'])
  run.event(delta('after the end'))
  run.resume()
  assert.deepEqual(seen, ['a', 'b', 'c', 'end'])
})

test('cancelling a paused attempt drops its text and tells its usage', () => {
  const { run, seen } = fixture()
  run.pause()
  run.event(STARTED)
  run.event(delta('a'))
  run.event(USAGE)
  run.end(COMPLETED)
  run.cancel()
  assert.deepEqual(seen, ['started', 'usage', 'cancelled'])
})

test('a client that reads too slowly ends its attempt', () => {
  const { run, seen, givenUp } = fixture()
  run.pause()
  const text = 'x'.repeat(100_000)
  for (let bytes = 0; bytes <= PAUSED_BYTES_MAX; bytes += text.length) run.event(delta(text))
  assert.equal(givenUp(), 1)
  run.event(USAGE)
  run.end({ kind: 'cancelled' })
  run.resume()
  assert.equal(seen.at(-1), 'failed timeout')
})
