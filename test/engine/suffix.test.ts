import assert from 'node:assert/strict'
import { test } from 'node:test'
import { engineWith, run, text } from './support.ts'

const fim = await engineWith('fim')

function between(prompt: string | readonly number[], suffix: string) {
  return { kind: 'text', prompts: [prompt], echo: false, suffix } as const
}

test('a suffix is written behind the prompt, with the marks that the file names', async () => {
  const answer = await run(fim, { input: between('the river', ' under the bridge') })
  const written = '<|fim_prefix|>the river<|fim_suffix|> under the bridge<|fim_middle|>'
  const plain = await run(fim, { input: text(written) })
  assert.equal(answer.end.kind, 'completed')
  assert.equal(answer.texts[0], plain.texts[0])
  assert.equal(answer.usage?.inputTokens, plain.usage?.inputTokens)
  assert.notEqual(answer.texts[0], (await run(fim, { input: between('the river', ' in the valley') })).texts[0])
})

test('echo brings back the prompt alone', async () => {
  const plain = await run(fim, { input: between('the river', ' under the bridge') })
  const echoed = await run(fim, { input: { ...between('the river', ' under the bridge'), echo: true } })
  assert.equal(echoed.texts[0], `the river${plain.texts[0]}`)
})

test('models without the marks, and token ids, are told what to do instead', async () => {
  const check = async (engine: typeof fim, prompt: string | readonly number[], message: RegExp) => {
    const { end } = await run(engine, { input: between(prompt, 'after') })
    assert.equal(end.kind === 'failed' && end.failure.reason, 'bad_request')
    assert.match(end.kind === 'failed' ? end.failure.message : '', message)
  }
  await check(await engineWith('llama'), 'before', /no tokens for filling in the middle/)
  await check(fim, [1, 2, 3], /suffix needs a prompt of text/)
})
