import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TokenLogprob } from '../../src/inference/event.ts'
import type { GenerationInput } from '../../src/inference/request.ts'
import { buildVocabulary } from '../../src/testing/fixtures-vocabulary.ts'
import { ReferenceLlama } from './reference-llama.ts'
import { type Answer, engineWith, run, text, words } from './support.ts'

const llama = await engineWith('llama')

type Text = Extract<GenerationInput, { kind: 'text' }>

function echo(...prompts: (string | readonly number[])[]): Text {
  return { kind: 'text', prompts, echo: true }
}

/** Log probabilities of one choice: of the prompt and then of the answer. */
function logprobsOf(answer: Answer, choice = 0): TokenLogprob[] {
  return answer.events.flatMap(event =>
    event.type === 'delta' && event.choice === choice ? (event.logprobs ?? []) : [],
  )
}

async function score(prompt: string, outputTokensMax = 0): Promise<TokenLogprob[]> {
  const answer = await run(llama, { input: echo(prompt), outputTokensMax, sampling: { topLogprobs: 2 } })
  assert.equal(answer.end.kind, 'completed')
  return logprobsOf(answer)
}

const vocabulary = buildVocabulary([])

/** A word of the fixtures' vocabulary as its token is spelled. */
function wordToken(word: string): string {
  return `Ġ${word}`
}

const SENTENCE = ' the river wheel turns under the bridge, and "the mill" runs; 12 lights.'

test('every token of the prompt has its log probability, but the first', async () => {
  const answer = await run(llama, { input: echo(SENTENCE), outputTokensMax: 0, sampling: { topLogprobs: 2 } })
  const list = logprobsOf(answer)
  assert.equal(answer.texts[0], SENTENCE)
  assert.equal(list.map(one => one.token).join(''), SENTENCE)
  assert.ok(Number.isNaN(list[0]?.logprob))
  assert.equal(list[0]?.top.length, 0)
  for (const one of list.slice(1)) {
    assert.ok(one.logprob < 0 && one.logprob > -40, `${one.token}: ${one.logprob}`)
    assert.equal(one.top.length, 2)
    assert.ok((one.top[0]?.logprob as number) >= (one.top[1]?.logprob as number))
    assert.ok((one.top[0]?.logprob as number) >= one.logprob - 1e-6)
  }
  assert.equal(answer.reasons[0], 'length')
  assert.deepEqual([answer.usage?.inputTokens, answer.usage?.outputTokens], [list.length, 0])
})

test('the numbers are those that the model computes, by a second computation', async () => {
  const ids = Array.from({ length: 60 }, (_, index) =>
    vocabulary.idOf(wordToken(words(60).split(' ')[index] as string)),
  )
  const answer = await run(llama, { input: echo(ids), outputTokensMax: 0, sampling: { topLogprobs: 3 } })
  const list = logprobsOf(answer)
  assert.equal(list.length, ids.length)
  const expected = new ReferenceLlama().logprobs(ids)
  for (let place = 1; place < ids.length; place++) {
    const row = expected[place - 1] as number[]
    const one = list[place] as TokenLogprob
    // llama.cpp multiplies in 16 bits.
    assert.ok(Math.abs(one.logprob - (row[ids[place] as number] as number)) < 0.03, `${place}: ${one.logprob}`)
    row.sort((a, b) => b - a)
    for (const [rank, top] of one.top.entries()) assert.ok(Math.abs(top.logprob - (row[rank] as number)) < 0.03)
  }
})

test('asked again it costs nothing, and another ending only its own tokens', async () => {
  const head = words(60)
  const ask = (prompt: string) => run(llama, { input: echo(prompt), outputTokensMax: 0, sampling: { topLogprobs: 1 } })
  const first = await ask(`${head} river`)
  const tokens = first.usage?.inputTokens as number
  assert.equal(first.usage?.cachedInputTokens, 0)
  const again = await ask(`${head} river`)
  assert.deepEqual(logprobsOf(again), logprobsOf(first))
  assert.equal(again.usage?.cachedInputTokens, tokens - 1)
  const other = await ask(`${head} wheel`)
  assert.equal(other.usage?.cachedInputTokens, tokens - 2)
  assert.deepEqual(logprobsOf(other).slice(0, -1), logprobsOf(first).slice(0, -1))
  const stranger = await run(llama, {
    input: echo(`${head} river`),
    outputTokensMax: 0,
    sampling: { topLogprobs: 1 },
    salt: 'org-b',
  })
  assert.equal(stranger.usage?.cachedInputTokens, 0)
})

test('token ids give what their text gives', async () => {
  const list = await score(SENTENCE)
  const { events } = await run(llama, { input: echo(SENTENCE), outputTokensMax: 0 })
  assert.equal(events.filter(event => event.type === 'delta').length, 1)
  // Bytes are the first 256 tokens of the fixtures.
  const ids = [...Buffer.from('abc,xyz')]
  const byIds = await run(llama, { input: echo(ids), outputTokensMax: 0, sampling: { topLogprobs: 2 } })
  assert.equal(byIds.end.kind, 'completed')
  assert.deepEqual(logprobsOf(byIds), await score('abc,xyz'))
  assert.ok(list.length > 10)
})

test('the answer goes on behind the prompt, with at least one token of its own in the list', async () => {
  const prompt = ' the river wheel'
  const plain = await run(llama, { input: text(prompt), outputTokensMax: 5 })
  const answer = await run(llama, { input: echo(prompt), outputTokensMax: 5, sampling: { topLogprobs: 1 } })
  assert.equal(answer.texts[0], prompt + plain.texts[0])
  assert.equal(logprobsOf(answer).length, (await score(prompt)).length + 5)
  assert.equal(answer.usage?.outputTokens, 5)
  assert.equal(answer.usage?.inputTokens, plain.usage?.inputTokens)
  // A closed tool call is all but surely followed by the end of the answer.
  const ended = await run(llama, {
    input: echo(' wheel</tool_call>'),
    outputTokensMax: 1,
    sampling: { topLogprobs: 1 },
  })
  const list = logprobsOf(ended)
  assert.equal(ended.usage?.outputTokens, 0)
  assert.equal(ended.texts[0], ' wheel</tool_call>')
  assert.deepEqual(
    list.map(one => one.token),
    [' wheel', '</tool_call>', '<|im_end|>'],
  )
  assert.ok((list[2]?.logprob as number) > -0.1, `${list[2]?.logprob}`)
})

test('a token after the likely end of the answer is scored too', async () => {
  const list = await score(' wheel</tool_call> river')
  assert.deepEqual(
    list.map(one => one.token),
    [' wheel', '</tool_call>', ' river'],
  )
  assert.ok((list[2]?.logprob as number) < -10)
  assert.equal(list[2]?.top[0]?.token, '<|im_end|>')
  assert.ok((list[2]?.top[0]?.logprob as number) > -0.1)
})

test('inside a character that is several tokens nothing is known; around it everything is', async () => {
  const list = await score(' the ŧ river')
  const unknown = list.map(one => Number.isNaN(one.logprob))
  assert.deepEqual(
    list.map(one => one.token),
    [' the', ' ', '\ufffd', '\ufffd', ' river'],
  )
  assert.deepEqual(unknown, [true, false, false, true, false])
})

test('prompts and choices in one request, and other requests beside them', async () => {
  const prompts = [words(20), words(30, 1), words(25, 2)]
  const alone = await Promise.all(prompts.map(prompt => score(prompt)))
  const [answer, other] = await Promise.all([
    run(llama, { input: echo(...prompts), n: 2, outputTokensMax: 1, salt: 'org-c', sampling: { topLogprobs: 2 } }),
    run(llama, { outputTokensMax: 40 }),
  ])
  assert.equal(other.usage?.outputTokens, 40)
  for (let choice = 0; choice < 6; choice++) {
    const expected = alone[Math.floor(choice / 2)] as TokenLogprob[]
    const list = logprobsOf(answer, choice)
    assert.equal(list.length, expected.length + 1)
    for (const [index, one] of expected.entries()) {
      const got = list[index] as TokenLogprob
      assert.equal(got.token, one.token)
      assert.ok(index === 0 || Math.abs(got.logprob - one.logprob) < 0.02, `${choice} ${index}`)
    }
  }
})

test('a cancel in the middle of scoring ends at once and leaves the slot usable', async () => {
  const running = run(llama, {
    input: echo(words(900, 5)),
    outputTokensMax: 1,
    salt: 'org-d',
    sampling: { topLogprobs: 1 },
    watch(event, handle) {
      if (event.type === 'started') setImmediate(() => handle.cancel())
    },
  })
  const answer = await running
  assert.equal(answer.end.kind, 'cancelled')
  assert.equal(answer.usage?.outputTokens, 0)
  assert.equal(llama.load().running, 0)
  assert.equal((await run(llama)).usage?.outputTokens, 16)
})

test('the same numbers come out where no state can be saved', async () => {
  const without = await engineWith('llama', { cacheBytesMax: 0 })
  const answer = await run(without, { input: echo(SENTENCE), outputTokensMax: 0, sampling: { topLogprobs: 2 } })
  const expected = await score(SENTENCE)
  for (const [index, one] of logprobsOf(answer).entries()) {
    const other = expected[index] as TokenLogprob
    assert.ok(index === 0 || Math.abs(one.logprob - other.logprob) < 0.02)
  }
  const long = await run(without, { input: echo(words(300)), outputTokensMax: 0, sampling: { topLogprobs: 2 } })
  assert.match(long.end.kind === 'failed' ? long.end.failure.message : '', /found for at most 256 here/)
})

test('models whose state cannot be cut back are scored from the beginning each time', async () => {
  const deepseek = await engineWith('deepseek4')
  const answer = await run(deepseek, { input: echo(SENTENCE), outputTokensMax: 1, sampling: { topLogprobs: 2 } })
  const list = logprobsOf(answer)
  assert.equal(answer.end.kind, 'completed')
  // The mark of the beginning, which the engine added, is not in the list.
  assert.equal(
    list
      .slice(0, -1)
      .map(one => one.token)
      .join(''),
    SENTENCE,
  )
  assert.ok(Number.isNaN(list[0]?.logprob))
  assert.ok(list.slice(1).every(one => one.logprob <= 0))
})

test('echo with a suffix has no log probabilities', async () => {
  const fim = await engineWith('fim')
  const { end } = await run(fim, { input: { ...echo('a'), suffix: 'b' }, sampling: { topLogprobs: 1 } })
  assert.match(end.kind === 'failed' ? end.failure.message : '', /suffix cannot be combined with echo and logprobs/)
})
