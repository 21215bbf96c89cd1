import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatDollars, parseDollars } from '../../src/ledger/money.ts'
import { headrace, newHome, type ServerProcess, startServer } from '../support/server.ts'
import { type Exchange, paced, startUpstream } from '../support/upstream.ts'

/* Tokens derived from API keys, in a real server that is killed: their limits hold whoever asks at once, and what was spent is known. */

const held: Exchange[] = []
let hold = false
const { baseUrl } = await startUpstream(exchange => {
  if (hold) held.push(exchange)
  else paced(exchange)
})
const home = newHome()
const PRICE = { input: '1.00', cachedInput: '0.10', output: '2.00' }
/** 20 input tokens, 4 of them cached, and 3 output tokens: 22.4 millionths of a dollar. */
const ANSWER_NANODOLLARS = 22_400n
/** What is held for a request is about twenty times what its answer turns out to cost. */
const ANSWERS = 60n
const CROWD = 20

function start(): Promise<ServerProcess> {
  const model = (id: string) => ({ model: id, name: id, contextTokens: 8192, price: PRICE })
  return startServer(home, {
    upstreams: [{ id: 'outside', baseUrl, allowPrivate: true, connectionsMax: 64, models: [model('a/b'), model('c')] }],
    log: { level: 'error' },
  })
}

/** Sends a request of the client API; answers the status and the parsed body. */
async function call(server: ServerProcess, line: string, key: string, body?: object) {
  const [method = '', path = ''] = line.split(' ')
  const response = await fetch(`${server.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  // biome-ignore lint/suspicious/noExplicitAny: each answer's own document
  return { status: response.status, headers: response.headers, body: (await response.json()) as any }
}

function ask(server: ServerProcess, key: string, fields: object = {}) {
  const messages = [{ role: 'user', content: 'Hello' }]
  return call(server, 'POST /v1/chat/completions', key, { model: 'a/b', max_tokens: 3, messages, ...fields })
}

async function spentWith(server: ServerProcess, key: string, token: string): Promise<bigint> {
  const { body } = await call(server, `GET /v1/scoped-jwt?jwtoken=${token}`, key)
  return parseDollars(body.spent)
}

test('a token is for its models, its sum and its time, and ends with its key', async () => {
  let server = await start()
  const { key } = server
  const mint = async (fields: object, by = key) => await call(server, 'POST /v1/scoped-jwt', by, fields)
  const keyName = (await server.control.listKeys()).data[0]?.name as string

  const narrow = (await mint({ api_key_name: keyName, models: ['a/b'], expires_delta: 60 })).body.token as string
  assert.match(narrow, /^jwt:[\w-]+\.[\w-]+\.[\w-]+$/)
  const good = await ask(server, narrow)
  assert.equal(good.status, 200)
  const other = await ask(server, narrow, { model: 'c' })
  assert.deepEqual([other.status, other.body.error.code, other.body.error.param], [403, 'model_not_allowed', 'model'])
  const models = await call(server, 'GET /v1/models', narrow)
  assert.deepEqual(
    models.body.data.map(({ id }: { id: string }) => id),
    ['a/b'],
  )
  for (const line of [
    'GET /v1/me',
    'GET /payment/usage',
    'POST /v1/scoped-jwt',
    `GET /v1/usage/${good.headers.get('x-request-id')}`,
  ])
    assert.equal((await call(server, line, narrow, line.startsWith('POST') ? {} : undefined)).status, 403, line)
  const row = await server.control.getUsage(good.headers.get('x-request-id') as string)
  assert.equal(row.row.key, (await server.control.listKeys()).data[0]?.id, 'it counts on the key')

  const tampered = `${narrow.slice(0, -4)}AAAA`
  const selfMade = await ask(server, tampered)
  assert.deepEqual([selfMade.status, selfMade.body.error.code], [401, 'invalid_api_key'])
  assert.match(selfMade.body.error.message, /POST \/v1\/scoped-jwt/)

  // What is seen of it, and by whom.
  const seen = (await call(server, `GET /v1/scoped-jwt?jwtoken=${narrow}`, key)).body
  assert.deepEqual([seen.models, seen.spending_limit, seen.api_key_name], [['a/b'], null, keyName])
  assert.ok(Date.parse(seen.expires_at) > Date.parse(seen.created_at))
  assert.equal((await call(server, 'GET /v1/scoped-jwt', key)).body.data.length, 1)
  assert.equal((await call(server, 'GET /v1/scoped-jwt?jwtoken=jwt:a.b.c', key)).status, 400)

  // A key that is bounded makes tokens of itself, and of no other.
  const bounded = await server.control.createKey({
    org: (await server.control.listOrgs()).data[0]?.id as string,
    ...{ name: 'bounded', cap: '1.00', models: ['c'] },
  })
  assert.equal((await mint({ api_key_name: keyName }, bounded.secret)).status, 403)
  assert.equal((await mint({ api_key_name: 'bounded', models: ['a/b'] }, bounded.secret)).status, 403)
  const child = (await mint({ api_key_name: 'bounded' }, bounded.secret)).body.token as string
  assert.equal((await ask(server, child, { model: 'c' })).status, 200)
  assert.equal((await ask(server, child)).status, 403, 'the key is not for this model')
  assert.equal((await call(server, `GET /v1/scoped-jwt?jwtoken=${narrow}`, bounded.secret)).status, 403)
  assert.equal(parseDollars((await server.control.getKey(bounded.id)).spent), ANSWER_NANODOLLARS)
  await server.control.revokeKey(bounded.id)
  assert.equal((await ask(server, child, { model: 'c' })).status, 401)

  // Revoked, also after a restart.
  const revoked = await call(server, `DELETE /v1/scoped-jwt?jwtoken=${narrow}`, key)
  assert.equal(revoked.status, 200)
  assert.equal((await ask(server, narrow)).body.error.code, 'revoked_api_key')
  await server.kill()
  server = await start()
  assert.equal((await ask(server, narrow)).body.error.code, 'revoked_api_key')
  assert.equal(
    (await call(server, `DELETE /v1/scoped-jwt?jti=${seen.id}`, key)).body.revoked_at,
    revoked.body.revoked_at,
  )

  for (const [fields, status, param] of [
    [{}, 400, 'api_key_name'],
    [{ api_key_name: 'gone' }, 404, 'api_key_name'],
    [{ api_key_name: keyName, models: ['gone'] }, 404, 'models'],
    [{ api_key_name: keyName, models: [] }, 400, 'models'],
    [{ api_key_name: keyName, expires_at: 1 }, 400, 'expires_at'],
    [{ api_key_name: keyName, expires_delta: 400 * 86_400 }, 400, 'expires_delta'],
    [{ api_key_name: keyName, expires_delta: 5, expires_at: 5_000_000_000 }, 400, 'expires_delta'],
    [{ api_key_name: keyName, spending_limit: 0 }, 400, 'spending_limit'],
    [{ api_key_name: keyName, spending_limit: 1e-10 }, 400, 'spending_limit'],
  ] as const) {
    const refused = await mint(fields)
    assert.equal(refused.status, status, JSON.stringify(refused.body))
    assert.match(refused.body.detail.error, new RegExp(`^${param}: `), JSON.stringify(refused.body))
  }
  await server.stop()
})

test('a spending limit holds for whoever asks at once, and outlives a kill -9', async () => {
  let server = await start()
  const key = (
    await server.control.createKey({
      org: (await server.control.listOrgs()).data[0]?.id as string,
      name: 'signing',
    })
  ).secret
  const limit = ANSWER_NANODOLLARS * ANSWERS
  const wish = { api_key_name: 'signing', spending_limit: Number(formatDollars(limit)) }
  const { token } = (await call(server, 'POST /v1/scoped-jwt', key, wish)).body
  const crowd = async () =>
    (await Promise.all(Array.from({ length: CROWD }, () => ask(server, token)))).map(({ status }) => status)

  const first = await crowd()
  const answered = BigInt(first.filter(status => status === 200).length)
  assert.ok(first.every(status => status === 200 || status === 402))
  assert.ok(answered >= 1n && answered <= ANSWERS, `${answered} were answered`)
  assert.equal(await spentWith(server, key, token), answered * ANSWER_NANODOLLARS)

  // Killed while a request holds what is left: nothing of it was charged, and nothing of what was is forgotten.
  hold = true
  const lost = ask(server, token).catch(() => null)
  while (held.length === 0) await new Promise(resolve => setTimeout(resolve, 5))
  await server.kill()
  await lost
  hold = false
  server = await start()
  assert.equal(await spentWith(server, key, token), answered * ANSWER_NANODOLLARS)

  // To the last answer that fits, and not one more.
  let refused = await ask(server, token)
  for (let i = 0n; i < ANSWERS && refused.status === 200; i++) refused = await ask(server, token)
  assert.deepEqual([refused.status, refused.body.error.code], [402, 'key_cap_exceeded'])
  assert.match(refused.body.error.message, /under the spending limit of this token/)
  assert.equal(refused.headers.get('x-should-retry'), 'false')
  const spent = await spentWith(server, key, token)
  assert.ok(spent <= limit, `${spent} of ${limit}`)
  assert.equal(spent % ANSWER_NANODOLLARS, 0n)
  assert.ok(spent >= answered * ANSWER_NANODOLLARS)
  await server.stop()
  assert.deepEqual((await headrace(home, 'ledger', 'verify')).problems, [])
})
