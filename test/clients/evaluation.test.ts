import assert from 'node:assert/strict'
import { test } from 'node:test'
import OpenAI from 'openai'
import { buildVocabulary } from '../../src/testing/fixtures-vocabulary.ts'
import { ReferenceLlama } from '../engine/reference-llama.ts'
import { ledgerRow, type PriceText } from '../support/money.ts'
import { newHome, pullFixture, startServer } from '../support/server.ts'

/** What evaluation harnesses ask of text completions, sent as lm-eval 0.4.13 sends it and read as it reads the answer. */

const PRICE: PriceText = { input: '1.3005', cached: '0.1005', output: '2.6' }
const home = newHome()
await pullFixture(home, 'llama', PRICE)
await pullFixture(home, 'fim', PRICE)
const server = await startServer(home, { engine: { parallel: 2 } })
const client = new OpenAI({ apiKey: server.key, baseURL: `${server.url}/v1`, maxRetries: 0 })

const vocabulary = buildVocabulary([])
const ids = (text: string): number[] => text.split(' ').map(word => vocabulary.idOf(`Ġ${word}`))

const CONTEXT = ids('the river wheel turns under the')
const CHOICES = ['bridge', 'green morning', 'wind', 'light runs through'].map(ids)

/** The sum over the choice's tokens, and whether each was the likeliest: the last entry is the generated token, which is cut off. */
function read(choice: OpenAI.CompletionChoice): { logLikelihood: number; greedy: boolean; entries: number } {
  const { token_logprobs: all = [], top_logprobs: tops = [], tokens = [] } = choice.logprobs ?? {}
  const logprobs = all.slice(CONTEXT.length, -1)
  return {
    logLikelihood: logprobs.reduce((sum, one) => sum + one, 0),
    greedy: logprobs.every((one, index) => one === Math.max(...Object.values(tops[CONTEXT.length + index] ?? {}))),
    entries: tokens.length,
  }
}

test('log likelihoods of choices, sent as token ids, are the model’s own', async () => {
  const prompts = CHOICES.map(choice => [...CONTEXT, ...choice])
  const { data: answer, request_id } = await client.completions
    .create({ model: 'llama', prompt: prompts, temperature: 0, max_tokens: 1, logprobs: 1, seed: 1234, echo: true })
    .withResponse()
  const reference = new ReferenceLlama()
  for (const [index, choice] of answer.choices.entries()) {
    const prompt = prompts[index] as number[]
    assert.equal(choice.index, index)
    assert.equal(choice.logprobs?.token_logprobs?.[0], null)
    assert.equal(choice.logprobs?.top_logprobs?.[0], null)
    const { logLikelihood, greedy, entries } = read(choice)
    assert.equal(entries, prompt.length + 1)
    const rows = reference.logprobs(prompt)
    const expected = prompt.map((token, place) => rows[place - 1]?.[token] ?? 0).slice(CONTEXT.length)
    const sum = expected.reduce((total, one) => total + one, 0)
    assert.ok(Math.abs(logLikelihood - sum) < 0.05, `${index}: ${logLikelihood} and ${sum}`)
    const likeliest = expected.every((one, at) => one === Math.max(...(rows[CONTEXT.length + at - 1] ?? [])))
    assert.equal(greedy, likeliest)
    const text = choice.text
    choice.logprobs?.tokens?.forEach((token, place) => {
      const offset = choice.logprobs?.text_offset?.[place] as number
      assert.equal(text.slice(offset, offset + token.length), token)
    })
  }
  const row = await ledgerRow(server, request_id as string, PRICE)
  const tokens = prompts.reduce((total, prompt) => total + prompt.length, 0)
  assert.deepEqual([row.counts.input, row.ending], [tokens, 'completed'])
  assert.equal(answer.usage?.prompt_tokens, tokens)
})

test('the same as text, in a stream too, and without an answer', async () => {
  const prompt = ' the river wheel turns'
  const whole = await client.completions.create({ model: 'llama', prompt, max_tokens: 0, logprobs: 2, echo: true })
  const [choice] = whole.choices
  assert.equal(choice?.text, prompt)
  assert.equal(choice?.finish_reason, 'length')
  assert.equal(choice?.logprobs?.tokens?.length, 4)
  const stream = await client.completions.create({
    ...{ model: 'llama', prompt, max_tokens: 0, logprobs: 2, echo: true },
    stream: true,
  })
  const parts: OpenAI.CompletionChoice.Logprobs[] = []
  for await (const chunk of stream) if (chunk.choices[0]?.logprobs) parts.push(chunk.choices[0].logprobs)
  assert.deepEqual(
    parts.flatMap(part => part.token_logprobs ?? []),
    choice?.logprobs?.token_logprobs,
  )
})

test('a suffix is for models that can fill in before it', async () => {
  const filled = await client.completions.create({
    model: 'fim',
    prompt: 'the river',
    suffix: ' bridge',
    max_tokens: 4,
  })
  assert.ok((filled.usage?.prompt_tokens as number) > 4)
  await assert.rejects(client.completions.create({ model: 'llama', prompt: 'the', suffix: 'x' }), error => {
    assert.ok(error instanceof OpenAI.BadRequestError)
    assert.deepEqual([error.code, error.param], ['unsupported_parameter', 'suffix'])
    return true
  })
})
