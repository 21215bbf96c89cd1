import assert from 'node:assert/strict'
import { existsSync, statSync } from 'node:fs'
import { test } from 'node:test'
import { GENERATING_FIXTURES } from '../../src/testing/fixtures.ts'
import { chat, engineWith, run, text, words } from './support.ts'

for (const fixture of GENERATING_FIXTURES) {
  const cached = await engineWith(fixture)
  const plain = await engineWith(fixture, { cacheBytesMax: 0 })

  test(`${fixture}: a repeated prompt comes from the cache, and its answer is the same`, async () => {
    const ask = { input: text(words(700)), outputTokensMax: 24 }
    const without = await run(plain, ask)
    const first = await run(cached, ask)
    const second = await run(cached, ask)
    assert.equal(without.usage?.cachedInputTokens, 0)
    assert.equal(first.usage?.cachedInputTokens, 0)
    assert.equal(second.usage?.cachedInputTokens, (second.usage?.inputTokens ?? 0) - 1)
    assert.equal(first.texts[0], without.texts[0])
    assert.equal(second.texts[0], without.texts[0])
  })

  test(`${fixture}: no org sees what another stored`, async () => {
    const ask = { input: text(words(300, 1)) }
    await run(cached, { ...ask, salt: 'org-a' })
    assert.equal((await run(cached, { ...ask, salt: 'org-b' })).usage?.cachedInputTokens, 0)
    assert.ok(((await run(cached, { ...ask, salt: 'org-a' })).usage?.cachedInputTokens ?? 0) > 250)
  })

  test(`${fixture}: the next turn of a chat reuses the turn before`, async () => {
    const question = { role: 'user' as const, content: words(200, 2) }
    const first = await run(cached, { input: chat('', { messages: [question], reasoningEffort: 'none' }) })
    const more = [
      question,
      { role: 'assistant' as const, content: first.texts[0] ?? '' },
      { role: 'user' as const, content: words(90, 4) },
    ]
    const ask = { input: chat('', { messages: more, reasoningEffort: 'none' }) }
    const second = await run(cached, ask)
    assert.ok((second.usage?.cachedInputTokens ?? 0) >= 200, `${second.usage?.cachedInputTokens} tokens`)
    assert.equal(second.texts[0], (await run(plain, ask)).texts[0])
  })

  test(`${fixture}: choices of one prompt at a time say the same`, async () => {
    const ask = { input: text(words(400, 5)), n: 3, outputTokensMax: 12 }
    const answer = await run(cached, ask)
    assert.equal(new Set(answer.texts).size, 1)
    assert.equal(answer.usage?.cachedInputTokens, 0, 'what is billed is the prompt once, and it was not stored')
  })

  test(`${fixture}: loading a state disturbs no answer that is being written`, async () => {
    const long = { input: text(words(50, 1)), outputTokensMax: 60, sampling: { ignoreEos: true } }
    const stored = { input: text(words(300, 6)), outputTokensMax: 12 }
    const alone = [await run(cached, long), await run(cached, stored)]
    let beside: ReturnType<typeof run> | undefined
    const written = await run(cached, {
      ...long,
      watch(event) {
        if (event.type === 'delta') beside ??= run(cached, stored)
      },
    })
    assert.equal(written.texts[0], alone[0]?.texts[0])
    assert.equal((await beside)?.texts[0], alone[1]?.texts[0])
  })
}

test('llama: the choices of one prompt share its prefill', async () => {
  const engine = await engineWith('llama')
  await run(engine, { input: text(words(400, 5)), n: 3, outputTokensMax: 4 })
  assert.equal(engine.status().models[0]?.cache?.hits, 2)
})

test('llama: a shared beginning is cut out of a longer stored prompt', async () => {
  const engine = await engineWith('llama')
  const plain = await engineWith('llama', { cacheBytesMax: 0 })
  await run(engine, { input: text(words(600)) })
  const ask = { input: text(`${words(300)} ${words(80, 7)}`), outputTokensMax: 24 }
  const answer = await run(engine, ask)
  assert.ok((answer.usage?.cachedInputTokens ?? 0) >= 295, `${answer.usage?.cachedInputTokens} tokens`)
  assert.equal(answer.texts[0], (await run(plain, ask)).texts[0])
})

test('states are private files, stay under the bound, and are wiped', async () => {
  const engine = await engineWith('llama', { cacheBytesMax: 900_000 })
  for (let variant = 0; variant < 6; variant++)
    await run(engine, { input: text(words(500, variant)), outputTokensMax: 1 })
  const status = engine.status()
  const cache = status.models[0]?.cache
  assert.ok(cache && cache.entries > 0 && cache.bytes <= 900_000, JSON.stringify(cache))
  assert.ok(cache.evictions > 0)
  assert.equal(statSync(status.cacheFolder).mode & 0o777, 0o700)
  assert.equal(statSync(`${status.cacheFolder}/m`).mode & 0o777, 0o700)
  await engine.close(0)
  assert.equal(existsSync(status.cacheFolder), false)
})
