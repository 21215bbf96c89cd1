import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ledgerRow, type PriceText } from '../support/money.ts'
import { newHome, pullFixture, startServer } from '../support/server.ts'

/** What DeepSeek's clients do beyond OpenAI's wire, on its own paths, against the real server with a real engine. */

const PRICE: PriceText = { input: '1.3005', cached: '0.1005', output: '2.6' }
const home = newHome()
await pullFixture(home, 'deepseek4', PRICE)
const server = await startServer(home, {
  engine: { contextTokens: 4096, parallel: 1, promptCacheBytesMax: 64 * 2 ** 20 },
})

const VOCABULARY = 'river wheel stone mill light turns runs under bridge green morning quiet through valley'.split(' ')
const words = (count: number) =>
  Array.from({ length: count }, (_, i) => VOCABULARY[(i * 5 + (i >> 3)) % VOCABULARY.length]).join(' ')

async function chat(fields: object, path = '/chat/completions') {
  const response = await fetch(server.url + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${server.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      ...{ model: 'deepseek4', max_tokens: 8, temperature: 0, messages: [{ role: 'user', content: words(20) }] },
      ...fields,
    }),
  })
  // biome-ignore lint/suspicious/noExplicitAny: answers of many shapes
  const json = (await response.json()) as any
  const row = response.ok ? await ledgerRow(server, response.headers.get('x-request-id') ?? '', PRICE) : null
  return { status: response.status, json, row }
}

test('caches of two users of one org are kept apart, and hits and misses sum to the prompt', async () => {
  const ask = async (user_id?: string) => {
    const { json, row } = await chat({ messages: [{ role: 'user', content: words(150) }], user_id })
    const { prompt_tokens, prompt_cache_hit_tokens, prompt_cache_miss_tokens } = json.usage
    assert.equal(prompt_cache_hit_tokens + prompt_cache_miss_tokens, prompt_tokens)
    assert.deepEqual([row?.counts.cached, row?.end_user], [prompt_cache_hit_tokens, user_id ?? null])
    return prompt_cache_hit_tokens > 0
  }
  assert.deepEqual([await ask('ada'), await ask('ada')], [false, true])
  assert.deepEqual([await ask('bob'), await ask('bob')], [false, true])
  assert.deepEqual([await ask(), await ask()], [false, true])
  const long = await chat({ user_id: 'x'.repeat(513) })
  assert.deepEqual([long.status, long.json.error.param], [400, 'user_id'])
})

test('an answer that was begun goes on, thinking or not', async () => {
  const begun = (message: object) =>
    chat(
      {
        messages: [
          { role: 'user', content: words(20) },
          { role: 'assistant', prefix: true, ...message },
        ],
      },
      '/beta/chat/completions',
    )
  const plain = await chat({ thinking: { type: 'disabled' } })
  const prefixed = await begun({ content: words(5) })
  assert.equal(prefixed.status, 200)
  assert.ok(prefixed.json.usage.prompt_tokens > plain.json.usage.prompt_tokens)
  assert.equal(prefixed.json.choices[0].message.reasoning_content, undefined)
  // Without content the model goes on thinking, which comes apart.
  const thinking = await begun({ content: '', reasoning_content: words(5) })
  assert.notEqual(thinking.json.choices[0].message.reasoning_content ?? '', '')
  const tools = await chat({
    messages: [
      { role: 'user', content: 'x' },
      { role: 'assistant', content: 'y', prefix: true },
    ],
    tools: [{ type: 'function', function: { name: 'f' } }],
  })
  assert.deepEqual([tools.status, tools.json.error.code], [400, 'upstream_rejected'])
})

test('thinking is on unless it is switched off', async () => {
  const reasoning = async (fields: object) => (await chat(fields)).json.choices[0].message.reasoning_content ?? ''
  assert.notEqual(await reasoning({}), '')
  assert.notEqual(await reasoning({ thinking: { type: 'enabled' } }), '')
  assert.equal(await reasoning({ thinking: { type: 'disabled' } }), '')
})

test('who asks at the bare host is answered in OpenAI’s form', async () => {
  const response = await fetch(`${server.url}/models`, { headers: { authorization: 'Bearer sk-wrong' } })
  const { error } = (await response.json()) as { error: { code: string } }
  assert.deepEqual([response.status, error.code], [401, 'invalid_api_key'])
})
