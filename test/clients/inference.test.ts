import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { Webhook } from 'standardwebhooks'
import { parseDollars } from '../../src/ledger/money.ts'
import { resultSecretOf } from '../../src/webhooks/result-webhooks.ts'
import { startPlainUpstream } from '../support/plain-upstream.ts'
import { bounded, newHome, startServer } from '../support/server.ts'

/** DeepInfra's native inference on the real server: what its clients send and read, webhooks and what they survive. */

const PRICE = { input: '2', cachedInput: '2', output: '4' }
/** Streams that wait for this before they begin, when the prompt asks for it. */
let gate = Promise.withResolvers<void>()
const upstream = await startPlainUpstream(async ({ path, body }) => {
  if (path === '/v1/embeddings') {
    const data = body.input.map((text: string, index: number) => ({ index, embedding: [text.length, 0] }))
    return { json: { data, usage: { prompt_tokens: 5, total_tokens: 5 } } }
  }
  if (path === '/v1/rerank') {
    const results = body.documents.map((text: string, index: number) => ({ index, relevance_score: text.length / 10 }))
    return { json: { results, usage: { total_tokens: 8 } } }
  }
  if (body.prompt === 'wait') await gate.promise
  if (body.prompt === 'break') return { status: 500, json: { error: { message: 'broken' } } }
  return response => {
    const frame = (fields: object) =>
      response.write(
        `data: ${JSON.stringify({ id: 'cmpl-1', object: 'text_completion', created: 1, model: 'm', ...fields })}\n\n`,
      )
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const text of [' where', ' every'])
      frame({ choices: [{ index: 0, text, logprobs: null, finish_reason: null }] })
    frame({ choices: [{ index: 0, text: '', logprobs: null, finish_reason: 'stop' }] })
    frame({ choices: [], usage: { prompt_tokens: 4, completion_tokens: 2, total_tokens: 6 } })
    response.end('data: [DONE]\n\n')
  }
})
const CONFIG = {
  server: { drainTimeoutMs: 200 },
  egress: { allowPrivate: true, ports: 'all' },
  upstreams: [
    {
      id: 'plain',
      baseUrl: `${upstream.origin}/v1`,
      allowPrivate: true,
      models: [
        { model: 'meta/text', capabilities: { completion: true } },
        { model: 'qwen/embed', capabilities: { chat: false, embeddings: true } },
        { model: 'qwen/rank', capabilities: { chat: false, rerank: true } },
      ].map(each => ({ ...each, name: each.model, contextTokens: 512, price: PRICE })),
    },
  ],
}
const home = newHome()
let server = await startServer(home, CONFIG)
const { key } = server

async function infer(path: string, body: object, headers: Record<string, string> = {}) {
  const answer = await fetch(`${server.url}/v1/inference/${path}`, {
    method: 'POST',
    headers: { authorization: `bearer ${key}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
  const text = await answer.text()
  // biome-ignore lint/suspicious/noExplicitAny: the answer is what is under test
  const json = (answer.headers.get('content-type') === 'application/json' ? JSON.parse(text) : null) as any
  return { status: answer.status, headers: answer.headers, text, json }
}

async function rowOf(requestId: string) {
  return (await server.control.getUsage(requestId)).row
}

/** A client's endpoint, which takes what is sent to it and answers as told. */
async function startEndpoint(statuses: number[] = []) {
  const received: { id: string; body: string; headers: Record<string, string> }[] = []
  let waiting: (() => void)[] = []
  const endpoint = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const headers = request.headers as Record<string, string>
    received.push({ id: headers['webhook-id'] as string, body, headers })
    response.writeHead(statuses.shift() ?? 204)
    response.end()
    for (const wake of waiting) wake()
    waiting = []
  })
  endpoint.listen(0, '127.0.0.1')
  await once(endpoint, 'listening')
  after(() => {
    endpoint.closeAllConnections()
    endpoint.close()
  })
  return {
    url: `http://127.0.0.1:${(endpoint.address() as AddressInfo).port}/hook`,
    received,
    async next(count: number) {
      while (received.length < count)
        await bounded(new Promise<void>(resolve => waiting.push(resolve)), 'a result at the webhook')
      return received[count - 1] as (typeof received)[0]
    },
  }
}

test('a raw prompt is gone on from, and told with its cost', async () => {
  const { status, json, headers } = await infer('meta/text?version=abc', {
    input: 'I have this dream',
    max_new_tokens: 9,
  })
  assert.equal(status, 200, JSON.stringify(json))
  assert.deepEqual(json.results, [{ generated_text: ' where every' }])
  assert.deepEqual([json.num_tokens, json.num_input_tokens, json.inference_status.cost], [2, 4, 0.000016])
  assert.equal(json.request_id, headers.get('x-request-id'))
  const { prompt, max_tokens, model } = upstream.requests.at(-1)?.body ?? {}
  assert.deepEqual([prompt, max_tokens, model], ['I have this dream', 9, 'meta/text'])
  const row = await rowOf(json.request_id)
  assert.deepEqual([row.protocol, row.ending, parseDollars(row.charge)], ['deepinfra-inference', 'completed', 16_000n])
})

test('a stream is told token by token', async () => {
  const { text, headers } = await infer('meta%2Ftext', { input: 'x', stream: true })
  assert.equal(headers.get('content-type'), 'text/event-stream; charset=utf-8')
  const events = text
    .trim()
    .split('\n\n')
    .map(frame => JSON.parse(frame.replace(/^data: /, '')))
  assert.deepEqual(
    events.map(event => event.token.text),
    [' where', ' every', ''],
  )
  assert.deepEqual(
    events.map(event => event.generated_text),
    [null, null, ' where every'],
  )
  assert.deepEqual(events.at(-1).details, { finish_reason: 'stop', generated_tokens: 2, input_tokens: 4, seed: null })
})

test('embeddings and scores come by the same path', async () => {
  const embedded = await infer('qwen/embed', { inputs: ['ab', 'abcd'], normalize: true })
  assert.deepEqual(
    [embedded.json.embeddings, embedded.json.input_tokens],
    [
      [
        [1, 0],
        [1, 0],
      ],
      5,
    ],
  )
  const ranked = await infer('qwen/rank', { queries: ['q'], documents: ['a', 'aaa'] })
  assert.deepEqual([ranked.json.scores, ranked.json.input_tokens], [[0.1, 0.3], 8])
})

test('errors have the form that its clients read', async () => {
  const check = async (path: string, body: object, status: number, message: RegExp) => {
    const answer = await infer(path, body)
    assert.equal(answer.status, status, answer.text)
    assert.match(answer.json.detail.error, message)
  }
  await check('deploy/abc', { input: 'x' }, 404, /no deployments/)
  await check('meta/other', { input: 'x' }, 404, /not offered/)
  await check('meta/text', {}, 400, /'input' is missing/)
  await check('meta/text', { inputs: ['x'] }, 400, /does not do embeddings/)
  await check('meta/text', { input: 'break' }, 502, /failed/)
  const other = await fetch(`${server.url}/v1/inference/meta/text`, { method: 'POST', body: '{}' })
  assert.equal(other.status, 401)
})

test('with a webhook the answer comes at once and the result to the webhook, signed', async () => {
  const endpoint = await startEndpoint()
  gate = Promise.withResolvers()
  const queued = await infer('meta/text', { input: 'wait', webhook: endpoint.url })
  assert.deepEqual([queued.status, queued.json.inference_status.status], [200, 'queued'])
  assert.equal(endpoint.received.length, 0)
  gate.resolve()
  const { id, body, headers } = await endpoint.next(1)
  assert.equal(id, queued.json.request_id)
  const told = new Webhook(resultSecretOf(key)).verify(body, headers) as {
    results: object
    inference_status: { status: string }
  }
  assert.deepEqual(told.results, [{ generated_text: ' where every' }])
  assert.equal(told.inference_status.status, 'succeeded')
  const row = await rowOf(id)
  assert.deepEqual([row.ending, parseDollars(row.charge)], ['completed', 16_000n])
})

test('failures go to the webhook too, and cost nothing', async () => {
  const endpoint = await startEndpoint()
  const { json } = await infer('meta/text', { input: 'break', webhook: endpoint.url })
  const { id, body } = await endpoint.next(1)
  assert.equal(id, json.request_id)
  const told = JSON.parse(body)
  assert.deepEqual(
    [told.inference_status.status, told.inference_status.cost, told.code],
    ['failed', 0, 'upstream_error'],
  )
  assert.equal((await rowOf(id)).charge, '0.00')
})

test('what cannot be served is refused at once', async () => {
  const check = async (body: object, message: RegExp, headers = {}) => {
    const { status, json } = await infer('meta/text', body, headers)
    assert.equal(status, 400)
    assert.match(json.detail.error, message)
  }
  const webhook = 'http://127.0.0.1:9/hook'
  await check({ input: 'x', webhook: 'nonsense' }, /no URL/)
  await check({ input: 'x', webhook: 'http://user:secret@example.com/' }, /credentials/)
  await check({ webhook }, /'input' is missing/)
  await check({ input: 'x', stream: true, webhook }, /cannot be combined with webhook/)
  await check({ input: 'x', webhook }, /cannot be combined/, { 'idempotency-key': 'once' })
  const poor = await startServer(newHome(), { ...CONFIG, money: { startingCredit: '0' } })
  const answer = await fetch(`${poor.url}/v1/inference/meta/text`, {
    method: 'POST',
    headers: { authorization: `Bearer ${poor.key}` },
    body: JSON.stringify({ input: 'x', webhook }),
  })
  assert.equal(answer.status, 402, await answer.text())
})

test('a server that is stopped tells after its next start what it could not before', async () => {
  const endpoint = await startEndpoint([500])
  // Charged, and not taken by the endpoint.
  const charged = await infer('qwen/embed', { inputs: ['abc'], webhook: endpoint.url })
  await endpoint.next(1)
  // Killed in the middle.
  gate = Promise.withResolvers()
  const cut = await infer('meta/text', { input: 'wait', webhook: endpoint.url })
  await server.kill()
  gate.resolve()
  server = await startServer(home, CONFIG)
  await endpoint.next(3)
  const [, ...after] = endpoint.received.toSorted((a, b) => a.id.localeCompare(b.id) || 0)
  const byId = new Map(after.map(each => [each.id, JSON.parse(each.body)]))
  assert.deepEqual(byId.get(charged.json.request_id)?.embeddings, [[3, 0]])
  const failed = byId.get(cut.json.request_id)
  assert.deepEqual([failed?.inference_status.status, failed?.code], ['failed', 'server_error'])
  assert.match(failed?.error, /nothing was charged/)
  assert.equal((await server.control.listUsage({ limit: 1 })).data[0]?.request, charged.json.request_id)
})
