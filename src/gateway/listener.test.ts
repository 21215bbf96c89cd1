import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import { ApiError } from '../errors.ts'
import { type ListenerParts, listen } from './listener.ts'

/** Bytes of a path that is longer than any real one. */
const LONG = 1_000_000

/** A listener of which only the edge is used, and what it says to bytes of all kinds. */
async function check(cases: readonly (readonly [sent: string, status: number, code: string])[]): Promise<void> {
  const listener = await listen({
    newId: (prefix: string) => `${prefix}1`,
    codecs: new Map(),
    pipeline: { serve: async () => undefined },
    api: () => Response.json({ error: { code: 'not_found', message: '', type: '' } }, { status: 404 }),
    control: (_request: unknown, response: { writeHead(status: number): void; end(body: string): void }) => {
      response.writeHead(401)
      response.end('{"error":{"code":"from_control"}}')
    },
    paymentReceivers: new Map([
      [
        'acme',
        async (headers: Record<string, string>, body: Uint8Array) => {
          if (headers.sign !== String(body.length)) throw new ApiError('invalid_signature', 'not signed')
        },
      ],
    ]),
    settings: {
      ...{ host: '127.0.0.1', port: 0, tls: null, allowedHosts: [], corsOrigins: [], clientAddress: () => '' },
      ...{ bodyBytesMax: 1000, headerBytesMax: LONG + 2048, connectionsMax: 10, requestTimeoutMs: 60_000 },
    },
  } as unknown as ListenerParts)
  try {
    for (const [sent, status, code] of cases) {
      const answer = await exchange(listener.address.port, sent)
      assert.match(answer, new RegExp(`^HTTP/1.1 ${status} `), sent.slice(0, 40))
      assert.match(answer, /^x-request-id: req_1\r$/im, sent.slice(0, 40))
      const body = JSON.parse(answer.slice(answer.indexOf('{'), answer.lastIndexOf('}') + 1))
      if (status === 200) assert.deepEqual(body, { [code]: true }, sent.slice(0, 40))
      else assert.equal(body.error.code, code, sent.slice(0, 40))
    }
  } finally {
    await listener.close(0)
  }
}

function exchange(port: number, sent: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1', () => socket.end(sent))
    socket.on('data', chunk => {
      answer += chunk
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(answer))
  })
}

test('every answer has an id and an error in JSON, also to what is no request', () =>
  check([
    ['what is this\r\n\r\n', 400, 'invalid_request'],
    ['POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"m', 400, 'invalid_request'],
    [`GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(LONG + 4000)}\r\n\r\n`, 431, 'request_headers_too_large'],
    ['GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n', 404, 'not_found'],
    ['GET /v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n', 403, 'forbidden_host'],
    ['TRACE /v1/files HTTP/1.1\r\nHost: localhost\r\n\r\n', 400, 'invalid_request'],
    ['GET :99999/v1/files HTTP/1.1\r\nHost: localhost\r\n\r\n', 400, 'invalid_request'],
    // A pattern that looks for the slashes at the end from each of them takes hours here.
    [`GET /${'/'.repeat(LONG)}x HTTP/1.1\r\nHost: localhost\r\n\r\n`, 404, 'not_found'],
    [`GET /${'/'.repeat(LONG)}x/ HTTP/1.1\r\nHost: localhost\r\n\r\n`, 404, 'not_found'],
    ['GET /control/v1/orgs HTTP/1.1\r\nHost: localhost\r\n\r\n', 401, 'from_control'],
  ]))

/** An event of a payment as it is sent. */
const paymentEvent = (path: string, body: string, headers = '') =>
  `POST ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`

test('events of payments reach the provider that they name, whole or not at all', () =>
  check([
    [paymentEvent('/webhooks/acme', '{}', 'Sign: 2\r\n'), 200, 'received'],
    [paymentEvent('/webhooks/acme', '{ }', 'Sign: 2\r\n'), 400, 'invalid_signature'],
    [paymentEvent('/webhooks/other', '{}'), 404, 'not_found'],
    [paymentEvent('/webhooks/acme', 'x'.repeat(256 * 1024 + 1)), 413, 'request_too_large'],
    ['GET /webhooks/acme HTTP/1.1\r\nHost: localhost\r\n\r\n', 405, 'method_not_allowed'],
  ]))
