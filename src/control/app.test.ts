import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ControlError, createControlClient } from './client.ts'
import { createHarness, OPERATOR_TOKEN } from './testing.ts'

for (const [name, authorization, message] of [
  ['none', '', /No operator token was sent/],
  ['an API key', 'Bearer sk-hr-abc', /not the operator token/],
  ['another scheme', `Basic ${OPERATOR_TOKEN}`, /No operator token was sent/],
  ['a longer one', `Bearer ${OPERATOR_TOKEN}x`, /not the operator token/],
] as const) {
  test(`without the operator token nothing is told: ${name}`, async () => {
    const { send } = await createHarness()
    for (const path of ['/status', '/orgs', '/nowhere']) {
      const response = await send('GET', path, undefined, { authorization })
      const body = (await response.json()) as { error: { code: string; message: string } }
      assert.equal(response.status, 401)
      assert.equal(response.headers.get('www-authenticate'), 'Bearer')
      assert.equal(body.error.code, 'invalid_operator_token')
      assert.match(body.error.message, message)
    }
  })
}

test('the description of the API is open to all', async () => {
  const { app, send } = await createHarness()
  const response = await send('GET', '/openapi.json', undefined, { authorization: '' })
  assert.equal(response.status, 200)
  assert.equal(response.headers.get('cache-control'), 'no-store')
  assert.deepEqual(await response.json(), JSON.parse(JSON.stringify(app.openapi())))
})

test('what is not a request of ours is refused with the cure', async () => {
  const { refused, send } = await createHarness()
  await refused('GET /nowhere', undefined, 404, 'not_found', /nothing at \/control\/v1\/nowhere/)
  const wrong = await refused('DELETE /orgs', undefined, 405, 'method_not_allowed', /Use GET or POST/)
  assert.equal(wrong.headers.get('allow'), 'GET, POST')
  await refused('POST /orgs', '{"name": ', 400, 'invalid_json', /not JSON/)
  await refused('POST /orgs', '[]', 400, 'invalid_value', /expected object/, null)
  await refused('POST /orgs', { nam: 'x' }, 400, 'unsupported_parameter', /nam: there is no such field/, 'nam')
  await refused('POST /orgs', { name: 'x'.repeat(2 << 20) }, 413, 'request_too_large', /at most 1048576 bytes/)
  const form = await send('POST', '/orgs', 'name=x', { 'content-type': 'application/x-www-form-urlencoded' })
  assert.equal(form.status, 415)
})

test('an error of ours is told to the log and not to the client', async () => {
  const { fake, errors, send } = await createHarness()
  fake.createOrg = () => Promise.reject(new Error('disk on fire'))
  const response = await send('POST', '/orgs', { name: 'x' })
  assert.equal(response.status, 500)
  assert.equal(response.headers.get('x-should-retry'), 'true')
  assert.doesNotMatch(await response.text(), /fire/)
  assert.match(String(errors[0]), /disk on fire/)
})

test('a change that failed does not stop the next', async () => {
  const { client, fake } = await createHarness()
  const { createOrg } = fake
  fake.createOrg = () => Promise.reject(new Error('disk on fire'))
  await assert.rejects(client.createOrg({ name: 'a' }), ControlError)
  fake.createOrg = createOrg
  assert.equal((await client.createOrg({ name: 'a' })).name, 'a')
})

test('the client explains answers that are not ours', async () => {
  const refusing = createControlClient(() => new Response('bad gateway', { status: 502 }), 'token')
  await assert.rejects(refusing.status(), { name: 'ControlError', status: 502, code: 'server_error' })
  const babbling = createControlClient(() => new Response('<html>'), 'token')
  await assert.rejects(babbling.status(), { name: 'ControlError', message: /not JSON/ })
})

test('status tells models by what they can do now', async () => {
  const { client } = await createHarness()
  const at = (upstream: string) => ({ context_tokens: 1_000, targets: [{ upstream, upstream_model: 'm' }] })
  await client.putModel('ready', at('engine'))
  await client.setPrice('ready', { input: '1', cached_input: '0.1', output: '2' })
  await client.putModel('unpriced', at('engine'))
  await client.putModel('unreachable', at('broken'))
  const status = await client.status()
  assert.deepEqual(
    status.models.map(({ id, state, detail }) => [id, state, detail]),
    [
      ['ready', 'ready', ''],
      ['unpriced', 'no_price', 'It has no price in force. Set one: headrace models price.'],
      ['unreachable', 'unavailable', 'broken: connection refused'],
    ],
  )
  assert.deepEqual(
    [status.version, status.uptime_s, status.open_holds, status.journal.healthy, status.upstreams.length],
    ['0.1.0', 90, 0, true, 2],
  )
})

test('without a server every model says so', async () => {
  const { client } = await createHarness({ offline: true })
  await client.putModel('m', { context_tokens: 1_000, targets: [{ upstream: 'engine', upstream_model: 'm' }] })
  assert.match((await client.status()).models[0]?.detail ?? '', /No server runs/)
})
