import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { GenerationInput } from '../../src/inference/request.ts'
import { buildWordPieces } from '../../src/testing/fixtures-word-pieces.ts'
import { ReferenceBert } from './reference-bert.ts'
import { chat, embed, engineWith, rank, request, run, text, words } from './support.ts'

const embedder = await engineWith('embedding', { slots: 8, contextTokens: 256 })
const reranker = await engineWith('reranker', { slots: 8, contextTokens: 256 })

/** Cosine of the angle between vectors of length 1. */
function alike(a: Float32Array | undefined, b: Float32Array | undefined): number {
  assert.ok(a !== undefined && b !== undefined && a.length === b.length)
  return a.reduce((sum, value, index) => sum + value * (b[index] as number), 0)
}

async function vector(input: string | readonly number[]): Promise<Float32Array | undefined> {
  return (await run(embedder, { input: embed(input) })).vectors[0]
}

async function refusal(engine: typeof embedder, input: GenerationInput): Promise<string> {
  const { end, events } = await run(engine, { input })
  assert.equal(events.length, 0)
  assert.equal(end.kind, 'failed')
  return end.kind === 'failed' ? `${end.failure.reason}: ${end.failure.message}` : ''
}

test('a vector for each input, then one finish, then the usage', async () => {
  const answer = await run(embedder, { input: embed('the river wheel', 'the river mill', 'quiet morning light') })
  assert.equal(answer.end.kind, 'completed')
  assert.deepEqual(
    answer.events.map(event => event.type).filter(type => type !== 'embedding'),
    ['started', 'finish', 'usage'],
  )
  assert.deepEqual(answer.events.at(-2), { type: 'finish', choice: 0, reason: 'stop' })
  assert.equal(answer.vectors.length, 3)
  for (const one of answer.vectors) {
    assert.equal(one.length, 64)
    assert.ok(Math.abs(alike(one, one) - 1) < 1e-5, 'a vector has length 1')
  }
  // Three words each, and the two marks around them.
  const { usage } = answer
  assert.deepEqual([usage?.inputTokens, usage?.inputSource, usage?.outputTokens], [15, 'reported', 0])
  assert.deepEqual(answer.events[0], { type: 'started', inputTokens: 15 })
  const [river, mill, morning] = answer.vectors
  assert.ok(alike(river, mill) > alike(river, morning) + 0.1, 'texts that share words are closer')
})

const { idOf } = buildWordPieces()
const idsOf = (words: string): number[] => words.split(' ').map(word => idOf(`▁${word}`))

test('vectors and scores are those that the model computes, by a second computation', async () => {
  const [cls, sep] = [idOf('[CLS]'), idOf('[SEP]')]
  const texts = ['the river wheel', 'quiet', words(120)]
  const { vectors } = await run(embedder, { input: embed(...texts) })
  const bert = new ReferenceBert('embedding')
  texts.forEach((one, index) => {
    const expected = Float32Array.from(bert.vector([cls, ...idsOf(one), sep]))
    // llama.cpp multiplies in 16 bits.
    assert.ok(alike(vectors[index], expected) > 0.9999, one.slice(0, 20))
  })
  const documents = ['wheel stone mill', 'quiet morning', words(120)]
  const { scores } = await run(reranker, { input: rank('the river', ...documents) })
  const ranker = new ReferenceBert('reranker')
  documents.forEach((document, index) => {
    const expected = ranker.score([cls, cls, ...idsOf('the river'), sep, ...idsOf(document), sep])
    assert.ok(Math.abs((scores[index] as number) - expected) < 0.03, `${scores[index]} and ${expected}`)
  })
})

test('a vector is the same alone and among others, short and as long as the context', async () => {
  // 254 words and two marks fill a step, so that the long one shares none; the short ones share theirs.
  const inputs = [words(254), ...Array.from({ length: 40 }, (_, index) => words(3 + index, index)), words(250, 1)]
  const together = await run(embedder, { input: embed(...inputs) })
  assert.equal(together.vectors.length, inputs.length)
  for (const [index, input] of inputs.entries()) {
    assert.ok(Math.abs(alike(await vector(input), together.vectors[index]) - 1) < 1e-5, `input ${index}`)
  }
})

test('requests at the same time do not disturb each other', async () => {
  const inputs = Array.from({ length: 12 }, (_, index) => words(5 + 17 * index, index))
  const expected = await Promise.all(inputs.map(input => vector(input)))
  const answers = await Promise.all([inputs, inputs.toReversed()].map(list => run(embedder, { input: embed(...list) })))
  expected.forEach((one, index) => {
    assert.ok(Math.abs(alike(one, answers[0]?.vectors[index]) - 1) < 1e-5)
    assert.ok(Math.abs(alike(one, answers[1]?.vectors[inputs.length - 1 - index]) - 1) < 1e-5)
  })
})

test('fewer dimensions are the first ones at length 1; more are left to whom asks', async () => {
  const input = embed('the river wheel')
  const whole = (await run(embedder, { input })).vectors[0] as Float32Array
  const cut = (await run(embedder, { input: { ...input, dimensions: 16 } })).vectors[0] as Float32Array
  const norm = Math.hypot(...whole.subarray(0, 16))
  assert.equal(cut.length, 16)
  cut.forEach((value, index) => {
    assert.ok(Math.abs(value - (whole[index] as number) / norm) < 1e-6)
  })
  const more = (await run(embedder, { input: { ...input, dimensions: 100 } })).vectors[0]
  assert.deepEqual(more, whole)
})

test('token ids are read as the text that they are, with or without the marks around', async () => {
  const expected = await vector('the river wheel')
  const ids = idsOf('the river wheel')
  assert.ok(Math.abs(alike(await vector(ids), expected) - 1) < 1e-5)
  assert.ok(Math.abs(alike(await vector([idOf('[CLS]'), ...ids, idOf('[SEP]')]), expected) - 1) < 1e-5)
  assert.match(await refusal(embedder, embed([999_999])), /^bad_request: One of these token ids is not in/)
  assert.match(await refusal(embedder, embed([idOf('z')])), /^bad_request: These token ids are not what/)
})

test('what does not fit is refused with both numbers and its place', async () => {
  const reason = await refusal(embedder, embed('short', words(255)))
  assert.match(reason, /^context_length: The input at position 1 has 257 tokens; this model reads at most 256/)
  assert.match(
    await refusal(reranker, rank('river', 'short', words(260))),
    /^context_length: The query with document at position 1 has \d+ tokens/,
  )
})

test('each purpose refuses what is not its own', async () => {
  const llama = await engineWith('llama')
  assert.match(await refusal(llama, embed('x')), /^bad_request: This model generates text/)
  assert.match(await refusal(llama, rank('x', 'y')), /^bad_request: This model generates text/)
  assert.match(await refusal(embedder, chat('x')), /^bad_request: This model makes embeddings/)
  assert.match(await refusal(embedder, rank('x', 'y')), /^bad_request: This model makes embeddings/)
  assert.match(await refusal(reranker, text('x')), /^bad_request: This model ranks documents/)
})

test('a score for each document, the same in any company', async () => {
  const documents = ['wheel stone mill', 'quiet morning', 'the river runs under the bridge', words(200)]
  const answer = await run(reranker, { input: rank('the river', ...documents) })
  assert.equal(answer.end.kind, 'completed')
  assert.deepEqual(answer.events.at(-2), { type: 'finish', choice: 0, reason: 'stop' })
  assert.equal(new Set(answer.scores).size, documents.length)
  for (const [index, document] of documents.entries()) {
    const alone = await run(reranker, { input: rank('the river', document) })
    assert.ok(Math.abs((alone.scores[0] as number) - (answer.scores[index] as number)) < 1e-4)
  }
  const { usage } = answer
  // As the binding writes it: the mark of the beginning twice, query, separator, document, separator.
  assert.equal(
    usage?.inputTokens,
    [3, 2, 6, 200].reduce((sum, count) => sum + 2 + 2 + 1 + count + 1, 0),
  )
  assert.equal(usage?.outputTokens, 0)
  assert.equal(await reranker.countInput(request({ input: rank('the river', ...documents) }), 'm'), usage?.inputTokens)
})

test('a cancel ends at once and owes what was read', async () => {
  const inputs = Array.from({ length: 400 }, (_, index) => words(200, index))
  let seen = 0
  const answer = await run(embedder, {
    input: embed(...inputs),
    watch(event, handle) {
      if (event.type === 'embedding' && ++seen === 3) handle.cancel()
    },
  })
  assert.equal(answer.end.kind, 'cancelled')
  const read = answer.usage?.inputTokens ?? 0
  assert.ok(read >= 3 * 202 && read < 400 * 202, `${read}`)
  assert.equal(embedder.load().running, 0)
  assert.equal((await run(embedder, { input: embed('the river') })).usage?.inputTokens, 4)
})

test('the status says what the model is for', async () => {
  assert.equal(embedder.status().models[0]?.loaded?.purpose, 'embed')
  assert.equal(reranker.status().models[0]?.loaded?.purpose, 'rerank')
})
