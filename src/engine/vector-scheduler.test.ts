import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AttemptEnd, InferenceEvent } from '../inference/event.ts'
import type { GenerationInput } from '../inference/request.ts'
import type { Binding } from './binding.ts'
import { shortened, VectorScheduler } from './vector-scheduler.ts'

const RULES = {
  ...{ addBos: false, addEos: false, addSep: false, marksAdded: 0 },
  ...{ bosToken: undefined, eosToken: undefined, sepToken: undefined },
}

/** A scheduler on a binding that reads a word as a token and answers when it is told to. */
function scene() {
  const reading = new Map<string, (error: unknown, vector: readonly number[]) => void>()
  const cancelled: number[] = []
  let nextId = 1
  const binding = {
    tokenize: async (text: string) => new Int32Array(text.split(' ').length),
    embed(text: string, callback: (error: unknown, vector: readonly number[]) => void) {
      reading.set(text, callback)
      return nextId++
    },
    cancel: (id: number) => void cancelled.push(id),
  } as unknown as Binding
  const events: [number, InferenceEvent][] = []
  const ends: [number, AttemptEnd][] = []
  const scheduler = new VectorScheduler({
    binding,
    model: { purpose: 'embed', rules: RULES, inputTokensMax: 6 },
    slots: 3,
    batchTokens: 6,
    event: (id, event) => events.push([id, event]),
    end: (id, end) => ends.push([id, end]),
  })
  return {
    ...{ scheduler, reading, cancelled, events, ends },
    run: (id: number, ...inputs: string[]) =>
      scheduler.run({
        ...{ type: 'run', id, n: 1, outputTokensMax: 0, cacheSalt: '', sampling: { stop: [] } },
        input: { kind: 'embed', inputs } satisfies GenerationInput,
      }),
    answer(text: string, vector: readonly number[] = [3, 4], error: unknown = null) {
      const callback = reading.get(text)
      assert.ok(callback !== undefined, `${text} is being read`)
      reading.delete(text)
      callback(error, vector)
    },
    usageOf: (id: number) =>
      events.flatMap(([of, event]) => (of === id && event.type === 'usage' ? [event.usage.inputTokens] : [])),
  }
}

test('no more is read at once than fits into a step or into the slots, in order of arrival', async () => {
  const { run, answer, reading, ends } = scene()
  await run(1, 'a b c', 'd e f g', 'h')
  // The second does not fit beside the first, and the third waits behind it although it would.
  assert.deepEqual([...reading.keys()], ['a b c'])
  await run(2, 'i', 'j', 'k')
  answer('a b c')
  assert.deepEqual([...reading.keys()], ['d e f g', 'h', 'i'])
  answer('h')
  assert.deepEqual([...reading.keys()], ['d e f g', 'i', 'j'], 'six tokens are full')
  answer('d e f g')
  assert.deepEqual(ends, [[1, { kind: 'completed' }]])
  assert.deepEqual([...reading.keys()], ['i', 'j', 'k'])
})

test('a cancelled request leaves its place, and owes what was read', async () => {
  const { run, scheduler, reading, cancelled, ends, usageOf } = scene()
  await run(1, 'a b c', 'd e f g')
  await run(2, 'h i j k l m')
  scheduler.cancel(1)
  assert.deepEqual(cancelled, [1])
  assert.deepEqual(ends, [[1, { kind: 'cancelled' }]])
  assert.deepEqual(usageOf(1), [3])
  assert.ok(reading.has('h i j k l m'))
  scheduler.cancel(1)
  assert.equal(ends.length, 1)
})

test('an error of one input fails its request and no other', async () => {
  const { run, answer, ends, usageOf } = scene()
  await run(1, 'a', 'b')
  await run(2, 'c')
  answer('a', [], new Error('torn'))
  answer('c')
  assert.deepEqual(ends, [
    [1, { kind: 'failed', failure: { reason: 'internal', message: 'torn', retryable: false } }],
    [2, { kind: 'completed' }],
  ])
  assert.deepEqual(usageOf(1), [2])
})

test('what is no vector is a failure rather than an answer', async () => {
  for (const vector of [[0, 0], [1, Number.NaN], []]) {
    const { run, answer, ends } = scene()
    await run(1, 'a')
    answer('a', vector)
    assert.equal(ends[0]?.[1].kind, 'failed', String(vector))
  }
})

test('a vector is shortened to its first numbers, at length 1', () => {
  const check = (values: number[], dimensions: number | undefined, expected: number[]) =>
    assert.deepEqual(shortened(values, dimensions), Float32Array.from(expected))
  check([0.6, 0, 0.8], undefined, [0.6, 0, 0.8])
  check([0.6, 0, 0.8], 3, [0.6, 0, 0.8])
  check([0.6, 0, 0.8], 9, [0.6, 0, 0.8])
  check([0.6, 0, 0.8], 2, [1, 0])
  check([0, 0, 1], 2, [0, 0])
})
