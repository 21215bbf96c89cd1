import assert from 'node:assert/strict'
import { test } from 'node:test'
import OpenAI, { APIError } from 'openai'
import { parseDollars } from '../../src/ledger/money.ts'
import { startPlainUpstream } from '../support/plain-upstream.ts'
import { newHome, startServer } from '../support/server.ts'

/** Embeddings and reranks of the real server, asked by the official client, from an upstream that answers as vLLM does. */

const PRICE = { input: '2', cachedInput: '2', output: '0' }
const upstream = await startPlainUpstream(({ path, body }) => {
  const texts: unknown[] = path === '/v1/rerank' ? body.documents : [body.input].flat()
  if (texts.includes('too few')) return { json: { data: [], results: [] } }
  if (texts.includes('too long'))
    return { status: 400, json: { error: { message: 'maximum context length is 512 tokens', code: 400 } } }
  if (path === '/v1/rerank') {
    const results = texts.map((text, index) => ({ index, relevance_score: String(text).length / 10 }))
    return { json: { results, usage: { total_tokens: 40 } } }
  }
  if (body.model === 'floats-only' && body.encoding_format !== 'float')
    return { status: 400, json: { error: { message: 'encoding_format base64 is not supported', code: 400 } } }
  const data = texts.map((text, index) => {
    const vector = Float32Array.from([String(text).length, 0.1, -1.5])
    const embedding =
      body.encoding_format === 'base64' ? Buffer.from(vector.buffer).toString('base64') : Array.from(vector)
    return { object: 'embedding', index, embedding }
  })
  return { json: { object: 'list', data, model: body.model, usage: { prompt_tokens: 5, total_tokens: 5 } } }
})
const home = newHome()
const model = (id: string, more: object) => ({ model: id, name: id, contextTokens: 512, price: PRICE, ...more })
const server = await startServer(home, {
  upstreams: [
    {
      id: 'plain',
      baseUrl: `${upstream.origin}/v1`,
      allowPrivate: true,
      models: [
        model('embed', { dimensions: 3, capabilities: { chat: false, embeddings: true } }),
        model('floats-only', { capabilities: { chat: false, embeddings: true } }),
        model('rank', {
          price: { ...PRICE, searchUnit: '0.002' },
          capabilities: { chat: false, rerank: true },
        }),
      ],
    },
  ],
})
const client = new OpenAI({ apiKey: server.key, baseURL: `${server.url}/v1`, maxRetries: 0 })

async function newestRow() {
  const row = (await server.control.listUsage({ limit: 1 })).data[0]
  assert.ok(row !== undefined)
  return row
}

test('the client decodes the base64 that it asks for by itself', async () => {
  const { data, usage, model: served } = await client.embeddings.create({ model: 'embed', input: ['ab', 'abcd'] })
  assert.deepEqual(
    data.map(({ index, embedding }) => [index, embedding]),
    [
      [0, [2, Math.fround(0.1), -1.5]],
      [1, [4, Math.fround(0.1), -1.5]],
    ],
  )
  assert.equal(served, 'embed')
  assert.deepEqual(usage, { prompt_tokens: 5, total_tokens: 5, estimated_cost: 0.00001 })
  const row = await newestRow()
  assert.deepEqual(
    [row.ending, row.protocol, row.usage.input_tokens, row.usage.output_tokens],
    ['completed', 'openai-embeddings', 5, 0],
  )
  assert.equal(parseDollars(row.charge), 10_000n)
})

test('numbers, and vectors longer than the model makes them', async () => {
  const { data } = await client.embeddings.create({
    model: 'embed',
    input: 'abc',
    encoding_format: 'float',
    dimensions: 5,
  })
  assert.deepEqual(data[0]?.embedding, [3, Math.fround(0.1), -1.5, 0, 0])
  assert.equal(upstream.requests.at(-1)?.body.dimensions, undefined, 'the upstream is not asked for what it cannot do')
  const shorter = await client.embeddings.create({
    model: 'embed',
    input: 'abc',
    encoding_format: 'float',
    dimensions: 1,
  })
  assert.deepEqual(shorter.data[0]?.embedding, [1])
  assert.equal(upstream.requests.at(-1)?.body.dimensions, 1)
})

test('a server without base64 is asked for numbers, and once it has said so at once', async () => {
  const before = upstream.requests.length
  for (let i = 0; i < 2; i++) {
    const { data } = await client.embeddings.create({ model: 'floats-only', input: 'ab' })
    assert.deepEqual(data[0]?.embedding, [2, Math.fround(0.1), -1.5])
  }
  assert.deepEqual(
    upstream.requests.slice(before).map(({ body }) => body.encoding_format),
    ['base64', 'float', 'float'],
  )
})

test('every base has them, and failures cost nothing', async () => {
  const headers = { authorization: `Bearer ${server.key}`, 'content-type': 'application/json' }
  for (const base of ['/v1', '/v1/openai', '', '/api/v1']) {
    const answer = await fetch(`${server.url}${base}/embeddings`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ model: 'embed', input: 'x' }),
    })
    assert.equal(answer.status, 200, base)
  }
  await assert.rejects(client.embeddings.create({ model: 'embed', input: 'too few' }), (error: unknown) => {
    assert.ok(error instanceof APIError)
    assert.equal(error.status, 502)
    return true
  })
  const row = await newestRow()
  assert.deepEqual([row.ending, row.charge], ['failed', '0.00'])
  await assert.rejects(client.embeddings.create({ model: 'embed', input: 'too long' }), {
    status: 400,
    code: 'context_length_exceeded',
  })
  await assert.rejects(client.embeddings.create({ model: 'rank', input: 'x' }), { status: 400, param: 'model' })
  await assert.rejects(client.chat.completions.create({ model: 'embed', messages: [{ role: 'user', content: 'x' }] }), {
    status: 400,
  })
})

test('a rerank is sorted, and pays for tokens and search units', async () => {
  for (const base of ['/v1', '/v1/openai', '', '/api/v1', '/v2']) {
    const answer = await fetch(`${server.url}${base}/rerank`, {
      method: 'POST',
      headers: { authorization: `Bearer ${server.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'rank',
        query: 'q',
        documents: ['a', { text: 'aaa' }, 'aa'],
        top_n: 2,
        return_documents: true,
      }),
    })
    // biome-ignore lint/suspicious/noExplicitAny: the answer is what is under test
    const told = (await answer.json()) as any
    assert.equal(answer.status, 200, JSON.stringify(told))
    assert.deepEqual(told.results, [
      { index: 1, relevance_score: 0.3, document: { text: 'aaa' } },
      { index: 2, relevance_score: 0.2, document: { text: 'aa' } },
    ])
    assert.deepEqual([told.usage.total_tokens, told.usage.search_units, told.usage.estimated_cost], [40, 1, 0.00208])
  }
  const row = await newestRow()
  assert.equal(parseDollars(row.charge), 2_080_000n)
  assert.equal(row.usage.search_units, 1)
  const { arithmetic } = await server.control.getUsage(row.request)
  assert.equal(arithmetic?.explanation, 'The usage at its price, rounded once.')
  assert.deepEqual(
    arithmetic?.lines.map(line => [line.class, line.quantity]),
    [
      ['input', 40],
      ['cached_input', 0],
      ['output', 0],
      ['request', 1],
      ['search_unit', 1],
    ],
  )
  const { problems } = await server.control.verifyLedger()
  assert.deepEqual(problems, [])
})
