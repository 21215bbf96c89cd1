import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { bounded, newHome, startServer } from '../support/server.ts'
import { paced, startUpstream, upstreamConfig } from '../support/upstream.ts'

/** What hostile or broken clients do to a real server: each gets a clear error or a closed connection, and everybody else goes on. */

const BODY_BYTES_MAX = 64 * 1024
const REQUEST_TIMEOUT_MS = 1500
const CONNECTIONS_MAX = 2500
/** More than the server admits. */
const IDLE_CONNECTIONS = 3000
const GROWTH_BYTES_MAX = 128 * 2 ** 20

const { baseUrl } = await startUpstream(paced)
const server = await startServer(newHome(), {
  upstreams: upstreamConfig(baseUrl, { input: '0.01', cachedInput: '0.01', output: '0.02' }),
  server: {
    bodyBytesMax: BODY_BYTES_MAX,
    headerBytesMax: 16_384,
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
    connectionsMax: CONNECTIONS_MAX,
  },
  log: { level: 'error' },
})
const { hostname, port } = new URL(server.url)
const sockets = new Set<Socket>()
after(() => {
  for (const socket of sockets) socket.destroy()
})

function open(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => resolve(socket))
    sockets.add(socket)
    socket.on('error', reject)
    socket.on('close', () => sockets.delete(socket))
  })
}

/** All that the server says to some bytes, until it closes; `more` writes the rest in its own time. */
async function said(
  bytes: string | Uint8Array,
  more: (socket: Socket) => Promise<void> = async () => {},
): Promise<string> {
  const socket = await open()
  let answer = ''
  socket.on('data', chunk => {
    answer += chunk
  })
  const closed = new Promise<void>(resolve => socket.on('close', () => resolve()))
  socket.write(bytes)
  await more(socket)
  await bounded(closed, 'the end of a connection', () => socket.destroy(), 20_000)
  return answer
}

const HEAD = `Host: ${hostname}\r\nAuthorization: Bearer ${server.key}\r\nContent-Type: application/json\r\nConnection: close\r\n`
const CHAT = '{"model":"paced","messages":[{"role":"user","content":"hi"}],"max_tokens":3}'

function post(body: string | Uint8Array, path = '/v1/chat/completions', extra = ''): Buffer {
  const bytes = Buffer.from(body)
  return Buffer.concat([
    Buffer.from(`POST ${path} HTTP/1.1\r\n${HEAD}${extra}Content-Length: ${bytes.length}\r\n\r\n`),
    bytes,
  ])
}

function answers(text: string): number {
  return text.match(/^HTTP\/1\.1 \d/gm)?.length ?? 0
}

function check(answer: string, status: number, code: string): void {
  assert.match(answer, new RegExp(`^HTTP/1.1 ${status} `), answer.slice(0, 200))
  assert.equal(answers(answer), 1, `more than one answer: ${answer}`)
  assert.equal(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))).error.code, code)
}

async function works(): Promise<void> {
  const answer = await said(post(CHAT))
  assert.match(answer, /^HTTP\/1.1 200 /, answer)
}

test('a body that is too large is refused, at once where its length is announced, and on every path', async () => {
  const large = JSON.stringify({ model: 'paced', messages: [{ role: 'user', content: 'x'.repeat(BODY_BYTES_MAX) }] })
  check(
    await said(`POST /v1/chat/completions HTTP/1.1\r\n${HEAD}Content-Length: 1000000000\r\n\r\n`),
    413,
    'request_too_large',
  )
  const chunked = `POST /v1/chat/completions HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n${large.length.toString(16)}\r\n${large}\r\n0\r\n\r\n`
  check(await said(chunked), 413, 'request_too_large')
  check(await said(post(large, '/v1/nowhere')), 413, 'request_too_large')
  await works()
})

test('what is no JSON object in UTF-8 is refused for the reason, and of a key that comes twice the last one counts', async () => {
  check(await said(post(CHAT.slice(0, 30))), 400, 'invalid_json')
  check(await said(post(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))), 400, 'invalid_json')
  check(await said(post('['.repeat(60_000))), 400, 'invalid_json')
  check(await said(post(`{"model":"paced","messages":${'[{"a":'.repeat(9000)}`)), 400, 'invalid_json')
  check(await said(post(`{"model":"nothing",${CHAT.slice(1, -1)},"model":"nothing"}`)), 404, 'model_not_found')
  assert.match(await said(post(`{"model":"nothing",${CHAT.slice(1)}`)), /^HTTP\/1.1 200 /)
  check(await said(post('{"model":"paced","messages":[],"__proto__":{"messages":[1]}}')), 400, 'invalid_value')
})

test('who is slow is let go of: with the head, with the body, and saying nothing at all', async () => {
  const drip = async (socket: Socket) => {
    for (let i = 0; i < 100 && !socket.destroyed; i++) {
      if (socket.writable) socket.write('x')
      await sleep(100)
    }
  }
  const slowHead = said(`POST /v1/chat/completions HTTP/1.1\r\nX-Slow: `, drip)
  const slowBody = said(`POST /v1/chat/completions HTTP/1.1\r\n${HEAD}Content-Length: 5000\r\n\r\n{"model":"`, drip)
  const silent = said('')
  check(await slowHead, 408, 'request_timeout')
  check(await slowBody, 408, 'request_timeout')
  assert.ok(['', '408'].includes((await silent).slice(9, 12)))
})

test('a request that two programs could read differently is refused, and nothing after it is read', async () => {
  const inner = `GET /health HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`
  const ambiguous = [
    `POST /v1/chat/completions HTTP/1.1\r\n${HEAD}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${inner}`,
    `POST /v1/chat/completions HTTP/1.1\r\n${HEAD}Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}${inner}`,
    `POST /v1/chat/completions HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${inner}`,
    `POST /v1/chat/completions HTTP/1.1\r\n${HEAD}Content-Length: +2\r\n\r\n{}${inner}`,
    `POST /v1/chat/completions HTTP/1.1\r\n${HEAD}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${inner}`,
    `POST /v1/chat/completions HTTP/1.1\r\n${HEAD}X-Folded: a\r\n b\r\nContent-Length: 2\r\n\r\n{}${inner}`,
    `POST /v1/chat/completions HTTP/1.1\n${HEAD.replaceAll('\r\n', '\n')}Content-Length: 2\n\n{}${inner}`,
    `POST /v1/chat/completions HTTP/1.1\r\n${HEAD}X-Null: a\u0000b\r\nContent-Length: 2\r\n\r\n{}${inner}`,
    `POST /v1/chat/completions HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n${inner}`,
  ]
  for (const bytes of ambiguous) {
    const answer = await said(bytes)
    assert.match(answer, /^HTTP\/1.1 400 /, bytes)
    assert.equal(answers(answer), 1, `more than one answer to ${bytes}: ${answer}`)
  }
  await works()
})

test('thousands of idle connections cost little, are closed, and keep nobody out for long', async () => {
  const resident = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1]) * 1024
  const before = resident()
  const idle: Socket[] = []
  // In crowds that fit the queue of connections not yet accepted, beyond which the kernel tells a client of none that there is.
  while (idle.length < IDLE_CONNECTIONS) idle.push(...(await Promise.all(Array.from({ length: 100 }, () => open()))))
  for (const socket of idle) socket.on('error', () => undefined)
  assert.ok(resident() - before < GROWTH_BYTES_MAX, `${Math.round((resident() - before) / 2 ** 20)} MiB for them`)
  const gone = Promise.all(idle.map(socket => socket.destroyed || new Promise(resolve => socket.on('close', resolve))))
  for (const socket of idle) socket.resume()
  await bounded(gone, 'the end of the idle connections')
  await works()
})

test('nothing of all that is left: no request, no hold, books that balance', async () => {
  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  assert.match(metrics, /^headrace_requests_running 0$/m)
  assert.match(metrics, /^headrace_holds_open 0$/m)
  assert.deepEqual((await server.control.verifyLedger()).problems, [])
  await server.stop()
})
