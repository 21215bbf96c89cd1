import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { InferenceEvent, UpstreamFailure } from '../../../inference/event.ts'
import type { GenerationInput } from '../../../inference/request.ts'
import { JsonAnswerDecoder } from './json-answer-decoder.ts'

type Input = Extract<GenerationInput, { kind: 'embed' | 'rerank' }>

const TWO: Input = { kind: 'embed', inputs: ['a', 'b'] }
const RANK: Input = { kind: 'rerank', query: 'q', documents: ['a', 'b'] }

/** Reads an answer in pieces of so many bytes. */
function read(input: Input, answer: unknown, pieceBytes = 1 << 20) {
  const decoder = new JsonAnswerDecoder(input)
  const bytes = Buffer.from(typeof answer === 'string' ? answer : JSON.stringify(answer))
  const events: InferenceEvent[] = []
  let failure: UpstreamFailure | null = null
  for (let at = 0; at < bytes.length && failure === null; at += pieceBytes)
    failure = decoder.push(bytes.subarray(at, at + pieceBytes))
  failure ??= decoder.end(event => events.push(event))
  return { events, failure }
}

function vectorsOf(events: readonly InferenceEvent[]) {
  return events.flatMap(event => (event.type === 'embedding' ? [[event.index, [...event.vector]]] : []))
}

const usageOf = (events: readonly InferenceEvent[]) => events.find(event => event.type === 'usage')

test('vectors come as numbers or as base64, in any order, however the bytes are cut', () => {
  const base64 = Buffer.from(Float32Array.from([0.5, -2]).buffer).toString('base64')
  const answer = {
    data: [
      { index: 1, embedding: [3, 4] },
      { index: 0, embedding: base64 },
    ],
    usage: { prompt_tokens: 6, total_tokens: 6 },
  }
  for (const pieceBytes of [1, 7, 1 << 20]) {
    const { events, failure } = read(TWO, answer, pieceBytes)
    assert.equal(failure, null)
    assert.deepEqual(vectorsOf(events), [
      [0, [0.5, -2]],
      [1, [3, 4]],
    ])
    const usage = usageOf(events)
    assert.ok(usage?.type === 'usage')
    assert.deepEqual(
      [usage.usage.inputTokens, usage.usage.inputSource, usage.usage.outputSource],
      [6, 'reported', 'absent'],
    )
    assert.deepEqual(events.at(-1), { type: 'finish', choice: 0, reason: 'stop' })
  }
})

test('an answer without one sound vector for each input is a failure, and nothing of it is told', () => {
  const check = (data: unknown, message: RegExp) => {
    const { events, failure } = read(TWO, { data })
    assert.deepEqual(events, [])
    assert.equal(failure?.reason, 'protocol')
    assert.equal(failure?.retryable, true)
    assert.match(failure?.message ?? '', message)
  }
  const good = { index: 0, embedding: [1] }
  check(undefined, /no vectors to 2/)
  check([good], /1 vectors to 2/)
  check([good, good, good], /3 vectors to 2/)
  check([good, { index: 0, embedding: [1] }], /not there, or has one/)
  check([good, { index: 2, embedding: [1] }], /not there, or has one/)
  check([good, { index: -1, embedding: [1] }], /not there, or has one/)
  check([good, null], /not there, or has one/)
  check([good, { index: 1, embedding: [1, 2] }], /different lengths/)
  check([good, { index: 1, embedding: [] }], /no list of finite numbers/)
  check([good, { index: 1, embedding: ['1'] }], /no list of finite numbers/)
  check([good, { index: 1, embedding: [null] }], /no list of finite numbers/)
  check([good, { index: 1, embedding: [1e300] }], /no list of finite numbers/)
  check([good, { index: 1, embedding: 'AAA=' }], /no list of finite numbers/)
  check([good, { index: 1, embedding: 'AAAA?A==' }], /no list of finite numbers/)
  check([good, { index: 1, embedding: Buffer.from([0, 0, 0xc0, 0x7f]).toString('base64') }], /no list of finite/)
  assert.equal(read(TWO, '{"data":').failure?.reason, 'protocol')
  assert.equal(read(TWO, '').failure?.reason, 'protocol')
})

test('an error in a good answer is the failure that it says', () => {
  const { failure } = read(TWO, { error: { message: 'too long: maximum context is 512', code: 400 } })
  assert.equal(failure?.reason, 'context_length')
})

test('an answer beyond its bound is cut off', () => {
  const decoder = new JsonAnswerDecoder({ kind: 'embed', inputs: ['a'] })
  const piece = Buffer.alloc(1 << 20)
  assert.equal(decoder.push(piece), null)
  assert.match(decoder.push(piece)?.message ?? '', /longer than/)
})

test('scores come as results or as a bare list', () => {
  const expected = [
    { type: 'score', index: 0, score: -1.5 },
    { type: 'score', index: 1, score: 0.25 },
  ]
  const check = (answer: unknown, inputTokens?: number) => {
    const { events, failure } = read(RANK, answer)
    assert.equal(failure, null)
    assert.deepEqual(
      events.filter(event => event.type === 'score'),
      expected,
    )
    const usage = usageOf(events)
    assert.equal(usage?.type === 'usage' ? usage.usage.inputTokens : undefined, inputTokens)
  }
  const results = [
    { index: 1, relevance_score: 0.25 },
    { index: 0, relevance_score: -1.5 },
  ]
  check({ results, usage: { total_tokens: 12 } }, 12)
  check({ results, usage: { prompt_tokens: 11, total_tokens: 12 } }, 11)
  check({ results, meta: { tokens: { input_tokens: 30 }, billed_units: { search_units: 1 } } }, 30)
  check({ results })
  check([
    { index: 1, score: 0.25 },
    { index: 0, score: -1.5 },
  ])
})

test('wrong scores are a failure', () => {
  const check = (results: unknown, message: RegExp) =>
    assert.match(read(RANK, { results }).failure?.message ?? '', message)
  const good = { index: 0, relevance_score: 1 }
  check([good], /1 scores to 2/)
  check([good, good], /not there, or has one/)
  check([good, { relevance_score: 1 }], /not there, or has one/)
  check([good, { index: 1, relevance_score: '1' }], /no number/)
  check([good, { index: 1 }], /no number/)
})

test('what an upstream takes is read, and told to no client', () => {
  const { events } = read(TWO, {
    data: [
      { index: 0, embedding: [1] },
      { index: 1, embedding: [1] },
    ],
    usage: { prompt_tokens: 2, total_tokens: 2, cost: 0.00001, audio_seconds: 3 },
  })
  const usage = usageOf(events)
  assert.ok(usage?.type === 'usage')
  assert.equal(usage.reportedCostNanodollars, 10_000n)
  assert.deepEqual(usage.extra, { audio_seconds: 3 })
})
