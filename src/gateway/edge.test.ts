import assert from 'node:assert/strict'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { clientAddressReader } from './client-address.ts'
import { fetchListener } from './fetch-listener.ts'
import { hostAllowed, originAllowed } from './origin.ts'
import { methodsOf, routeOf } from './routes.ts'

test('paths find their routes under every base, and unknown ones find none', () => {
  const check = (path: string, expected: string | undefined) => {
    const route = routeOf(path)
    const found = route === undefined ? undefined : Object.values(route).join(' ')
    assert.equal(found, expected, path)
  }
  check('/v1/chat/completions', 'generate openai-chat openai')
  check('/v1/openai/chat/completions', 'generate openai-chat openai')
  check('/v1/chat/completions/', 'generate openai-chat openai')
  check('/v1/completions', 'generate openai-completions openai')
  check('/v1/models', undefined)
  check('/chat/completions', 'generate openai-chat openai')
  check('/beta/completions', 'generate openai-completions openai')
  check('/api/v1/chat/completions', 'generate openai-chat openrouter')
  for (const base of ['/v1', '/anthropic/v1', '/anthropic', '', '/api/v1'])
    check(`${base}/messages`, 'generate anthropic-messages anthropic')
  check('/v1/messages/count_tokens', undefined)
  check('/v1/usage/req_1', undefined)
  check('/health', 'health')
  check('/metrics', 'metrics')
  check('/webhooks/acme', 'payment-event acme')
  check('/webhooks/acme/', 'payment-event acme')
  check('/webhooks/', undefined)
  check('/webhooks/a/b', undefined)
  check('/control/v1/orgs', 'control')
  check('/control/v1', 'control')
  check('/control/v10', undefined)
  check('/v1', undefined)
  check('/v1/v1/models', undefined)
  check('/', undefined)
  assert.deepEqual(methodsOf({ kind: 'generate', protocol: 'openai-chat', surface: 'openai' }), ['POST'])
})

test('only our own names pass the Host check', () => {
  const check = (header: string | undefined, expected: boolean) =>
    assert.equal(hostAllowed(header, '0.0.0.0', ['api.example.com', '*.corp.example']), expected, String(header))
  check(undefined, true)
  check('localhost:8080', true)
  check('127.0.0.1', true)
  check('[::1]:8080', true)
  check('192.168.1.4:8080', true)
  check('API.example.com:443', true)
  check('a.corp.example', true)
  check('corp.example', false)
  check('evilcorp.example', false)
  check('evil.example', false)
  check('localhost.evil.example', false)
})

test('only listed origins may call from a page', () => {
  assert.equal(originAllowed('https://a.example', ['https://a.example']), true)
  assert.equal(originAllowed('https://b.example', ['https://a.example']), false)
  assert.equal(originAllowed('https://b.example', ['*']), true)
  assert.equal(originAllowed('https://b.example', []), false)
})

test('the client is whom a trusted proxy names, and nobody else', () => {
  const check = (trusted: string[], peer: string, forwarded: string | undefined, expected: string) => {
    const request = {
      socket: { remoteAddress: peer },
      headers: { 'x-forwarded-for': forwarded },
    } as unknown as IncomingMessage
    assert.equal(clientAddressReader(trusted)(request), expected)
  }
  check([], '203.0.113.9', '1.1.1.1', '203.0.113.9')
  check(['10.0.0.0/8'], '10.1.2.3', '1.1.1.1', '1.1.1.1')
  check(['10.0.0.0/8'], '::ffff:10.1.2.3', 'spoofed, 1.1.1.1, 10.9.9.9', '1.1.1.1')
  check(['10.0.0.0/8'], '10.1.2.3', undefined, '10.1.2.3')
  check(['fd00::/8'], 'fd00::1', '2001:db8::1', '2001:db8::1')
})

test('a function from Request to Response is served with any method and body', async () => {
  const server = createServer(
    fetchListener(async request =>
      Response.json({ method: request.method, path: new URL(request.url).pathname, body: await request.text() }),
    ),
  )
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const ask = async (method: string, body?: string) =>
    (await fetch(`http://127.0.0.1:${port}/a/b?c`, { method, body })).json()
  assert.deepEqual(await ask('GET'), { method: 'GET', path: '/a/b', body: '' })
  assert.deepEqual(await ask('DELETE'), { method: 'DELETE', path: '/a/b', body: '' })
  assert.deepEqual(await ask('POST', '{"x":1}'), { method: 'POST', path: '/a/b', body: '{"x":1}' })
  const large = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: 'x'.repeat((1 << 20) + 1) })
  assert.equal(large.status, 413)
  server.closeAllConnections()
  server.close()
})
