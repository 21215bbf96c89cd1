import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import OpenAI from 'openai'
import { parseDollars } from '../../src/ledger/money.ts'
import { bounded, newHome, type ServerProcess, startServer } from '../support/server.ts'
import { type Exchange, startUpstream, upstreamConfig } from '../support/upstream.ts'

/** Requests that are sent again with their `Idempotency-Key`, against real servers that are killed in between. */

const PRICE = { input: '1.30', cachedInput: '0.10', output: '2.60' }
const TOKENS = 3
/** More than the kernel takes for a client that does not read, so that most of it is still in the server when that dies. */
const LONG_PIECES = 32
const LONG_PIECE = 'word '.repeat(100_000)

/** An answer as it came over the wire. */
interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: string
}

async function ask(
  server: { readonly url: string; readonly key: string },
  idempotencyKey: string | null,
  fields: object = {},
): Promise<Answer> {
  const response = await fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${server.key}`,
      'content-type': 'application/json',
      ...(idempotencyKey !== null && { 'idempotency-key': idempotencyKey }),
    },
    body: bodyOf(fields),
  })
  return { status: response.status, headers: response.headers, body: await response.text() }
}

function bodyOf(fields: object): string {
  return JSON.stringify({ model: 'paced', messages: [{ role: 'user', content: 'Hello' }], ...fields })
}

async function charged(server: ServerProcess): Promise<{ requests: number; nanodollars: bigint }> {
  const { data } = await server.control.listUsage({ limit: 100 })
  return { requests: data.length, nanodollars: data.reduce((sum, row) => sum + parseDollars(row.charge), 0n) }
}

function errorOf({ body }: Answer): string {
  return JSON.parse(body).error.code
}

/** The same answer, but for what belongs to the repetition. */
function checkReplay(first: Answer, again: Answer): void {
  assert.deepEqual([first.status, again.status], [200, 200], again.body)
  assert.equal(again.body, first.body)
  assert.equal(first.headers.get('idempotent-replayed'), null)
  assert.equal(again.headers.get('idempotent-replayed'), 'true')
  for (const name of ['x-request-id', 'content-type', 'x-headrace-upstream', 'x-headrace-cost'])
    assert.equal(again.headers.get(name), first.headers.get(name), name)
}

test('a repetition gets the stored answer, and nothing is charged again, also by the next process', async () => {
  let calls = 0
  const { baseUrl } = await startUpstream(exchange => {
    calls++
    exchange.tokens(TOKENS)
    exchange.finish()
  })
  const home = newHome()
  const config = { upstreams: upstreamConfig(baseUrl, PRICE), log: { level: 'error' } }
  const server = await startServer(home, config)
  const streamed = await ask(server, 'key-1', { stream: true })
  const buffered = await ask(server, 'key-2')
  const before = await charged(server)
  assert.equal(before.requests, 2)
  checkReplay(streamed, await ask(server, 'key-1', { stream: true }))
  checkReplay(buffered, await ask(server, 'key-2'))

  const other = await ask(server, 'key-1', { stream: true, max_tokens: 5 })
  assert.deepEqual([other.status, errorOf(other)], [422, 'idempotency_key_reused'])
  assert.equal(other.headers.get('x-should-retry'), 'false')
  for (const bad of ['two words', 'x'.repeat(256)]) {
    const refused = await ask(server, bad)
    assert.deepEqual([refused.status, errorOf(refused)], [400, 'invalid_value'])
  }
  assert.deepEqual(await charged(server), before)

  await server.kill()
  const again = { ...(await startServer(home, config)), key: server.key }
  checkReplay(streamed, await ask(again, 'key-1', { stream: true }))
  assert.deepEqual(await charged(again), before)
  assert.equal(calls, 2)

  // A key is its API key's own.
  const orgId = (await again.control.listOrgs()).data[0]?.id ?? ''
  const { secret } = await again.control.createKey({ org: orgId, name: 'second' })
  const own = await ask({ url: again.url, key: secret }, 'key-1', { stream: true })
  assert.equal(own.headers.get('idempotent-replayed'), null)
  assert.equal((await charged(again)).requests, 3)
  const { ok, problems } = await again.control.verifyLedger()
  assert.ok(ok, problems.join('\n'))
  await again.stop()
})

test('of two at once one runs, and what failed before anything was charged runs again', async () => {
  const waiting: Exchange[] = []
  const arrived: (() => void)[] = []
  const { baseUrl } = await startUpstream(exchange => {
    waiting.push(exchange)
    arrived.shift()?.()
  })
  const next = () => new Promise<void>(resolve => arrived.push(resolve))
  const server = await startServer(newHome(), { upstreams: upstreamConfig(baseUrl, PRICE), log: { level: 'error' } })
  const arrival = next()
  const first = ask(server, 'key-1')
  await bounded(arrival, 'the first request')
  const second = await ask(server, 'key-1')
  assert.deepEqual([second.status, errorOf(second)], [409, 'idempotency_in_progress'])
  assert.deepEqual([second.headers.get('x-should-retry'), second.headers.get('retry-after')], ['true', '1'])
  waiting[0]?.refuse(500)
  assert.equal((await first).status, 502)
  assert.equal((await charged(server)).nanodollars, 0n)

  const retrial = next()
  const retried = ask(server, 'key-1')
  await bounded(retrial, 'the request that was sent again')
  waiting[1]?.tokens(TOKENS)
  waiting[1]?.finish()
  const answer = await retried
  assert.equal(answer.status, 200)
  checkReplay(answer, await ask(server, 'key-1'))
  assert.equal(waiting.length, 2)
  await server.stop()
})

test('an answer that is too long to be stored says so, and runs again', async () => {
  let calls = 0
  const { baseUrl } = await startUpstream(exchange => {
    calls++
    exchange.tokens(400)
    exchange.finish()
  })
  const server = await startServer(newHome(), {
    upstreams: upstreamConfig(baseUrl, PRICE),
    money: { idempotency: { answerBytesMax: 1024 } },
    log: { level: 'error' },
  })
  for (let times = 1; times <= 2; times++) {
    const buffered = await ask(server, 'key-1')
    assert.equal(buffered.headers.get('x-headrace-idempotency'), 'not stored')
    const streamed = await ask(server, 'key-2', { stream: true })
    assert.match(streamed.body, /"notice":"The answer was too long to be stored for its Idempotency-Key/)
    assert.equal(calls, 2 * times)
  }
  await server.stop()
})

test('kill -9 after the settlement and before the last byte: the answer comes when it is asked for again', async () => {
  let calls = 0
  const upstream = createServer((_, response) => {
    calls++
    const frame = (fields: object) =>
      `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'paced', ...fields })}\n\n`
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (let i = 0; i < LONG_PIECES; i++)
      response.write(frame({ choices: [{ index: 0, delta: { content: LONG_PIECE }, finish_reason: null }] }))
    response.write(frame({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }))
    const usage = { prompt_tokens: 20, completion_tokens: 700, total_tokens: 720 }
    response.end(`${frame({ choices: [], usage })}data: [DONE]\n\n`)
  }).listen(0, '127.0.0.1')
  after(() => {
    upstream.closeAllConnections()
    upstream.close()
  })
  await once(upstream, 'listening')
  const [outside] = upstreamConfig(`http://127.0.0.1:${(upstream.address() as AddressInfo).port}/v1`, PRICE) as [
    { readonly models: readonly object[] },
  ]
  const models = outside.models.map(model => ({ ...model, contextTokens: 16_000_000 }))
  const price = { input: '0.001', cachedInput: '0.001', output: '0.001' }
  const config = {
    upstreams: [{ ...outside, models: models.map(model => ({ ...model, price })) }],
    money: { idempotency: { answerBytesMax: 64 << 20 } },
    log: { level: 'error' },
  }
  const home = newHome()
  const server = await startServer(home, config)

  // The head of a JSON answer leaves once it is settled, and nothing is read behind it.
  const sending = request(`${server.url}/v1/chat/completions`, {
    agent: false,
    method: 'POST',
    headers: { authorization: `Bearer ${server.key}`, 'content-type': 'application/json', 'idempotency-key': 'long' },
  })
  sending.on('error', () => undefined)
  sending.end(bodyOf({}))
  const [response] = (await bounded(once(sending, 'response'), 'the head')) as [IncomingMessage]
  await server.kill()
  const announced = Number(response.headers['content-length'])
  let received = 0
  response.on('data', (bytes: Buffer) => {
    received += bytes.length
  })
  await new Promise<void>(resolve => response.on('error', () => resolve()).on('close', resolve))
  assert.ok(received < announced, `${received} of ${announced} bytes left a server that was killed`)

  const again = { ...(await startServer(home, config)), key: server.key }
  const before = await charged(again)
  assert.equal(before.requests, 1)
  assert.ok(before.nanodollars > 0n)
  const answer = await ask(again, 'long')
  assert.equal(answer.headers.get('idempotent-replayed'), 'true')
  assert.equal(answer.headers.get('x-request-id'), response.headers['x-request-id'])
  assert.equal(Buffer.byteLength(answer.body), announced)
  assert.equal(JSON.parse(answer.body).choices[0].message.content, LONG_PIECE.repeat(LONG_PIECES))
  assert.deepEqual(await charged(again), before)
  assert.equal(calls, 1)
  await again.stop()
})

test('the official client, told the name of the header, gets over a lost line by itself', async () => {
  const { baseUrl } = await startUpstream(exchange => {
    exchange.tokens(TOKENS)
    exchange.finish()
  })
  const server = await startServer(newHome(), { upstreams: upstreamConfig(baseUrl, PRICE), log: { level: 'error' } })
  class Client extends OpenAI {
    protected override idempotencyHeader = 'Idempotency-Key'
  }
  const seen: Answer[] = []
  const client = new Client({
    apiKey: server.key,
    baseURL: `${server.url}/v1`,
    maxRetries: 1,
    async fetch(url, init) {
      const response = await fetch(url, init)
      const body = await response.text()
      seen.push({ status: response.status, headers: response.headers, body })
      if (seen.length === 1) throw new TypeError('the line broke before the answer was read')
      return new Response(body, response)
    },
  })
  const answer = await client.chat.completions.create(
    { model: 'paced', messages: [{ role: 'user', content: 'Hello' }] },
    { idempotencyKey: 'from-the-client' },
  )
  assert.equal(answer.choices[0]?.message.content, ' token'.repeat(TOKENS))
  checkReplay(seen[0] as Answer, seen[1] as Answer)
  assert.equal((await charged(server)).requests, 1)
  await server.stop()
})
