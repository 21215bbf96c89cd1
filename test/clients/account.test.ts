import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { formatDollars, parseDollars } from '../../src/ledger/money.ts'
import { newHome, type ServerProcess, startServer } from '../support/server.ts'
import { type Exchange, startUpstream } from '../support/upstream.ts'

/* What DeepInfra's clients and OpenClaw read of models, keys and money, from a whole server. */

/** Answers that wait to be told to go on; none while null. */
let waiting: Exchange[] | null = null
const { baseUrl } = await startUpstream(exchange => {
  if (waiting !== null) {
    waiting.push(exchange)
    return
  }
  exchange.tokens(exchange.body.max_tokens ?? 3)
  exchange.finish()
})
let server: ServerProcess
let key = ''
let orgId = ''
/** Each answer: 16 input tokens at $1 per million, 4 cached at $0.10 and 3 output tokens at $2. */
const ANSWER_NANODOLLARS = 22_400n

before(async () => {
  const capabilities = { tools: true }
  const price = { input: '1.00', cachedInput: '0.10', output: '2.00' }
  const model = { name: 'm', contextTokens: 8192, outputTokensMax: 4096, price, capabilities }
  server = await startServer(newHome(), {
    upstreams: [
      {
        ...{ id: 'outside', baseUrl, allowPrivate: true, connectionsMax: 1 },
        models: [{ ...model, model: 'lab/one', aliases: ['one'] }],
      },
    ],
    log: { level: 'error' },
  })
  key = server.key
  orgId = (await server.control.listOrgs()).data[0]?.id as string
})

async function call(line: string, body?: object | null, by = key) {
  const [method = '', path = ''] = line.split(' ')
  const response = await fetch(`${server.url}${path}`, {
    method,
    headers: {
      ...(by !== '' && { authorization: `Bearer ${by}` }),
      ...(body != null && { 'content-type': 'application/json' }),
    },
    ...(body != null && { body: JSON.stringify(body) }),
  })
  // biome-ignore lint/suspicious/noExplicitAny: each answer's own document
  return { status: response.status, headers: response.headers, body: (await response.json()) as any }
}

function ask(fields: object = {}, by = key) {
  const messages = [{ role: 'user', content: 'Hello' }]
  return call('POST /v1/openai/chat/completions', { model: 'one', max_tokens: 3, messages, ...fields }, by)
}

test('the lists of models are there without a key, in each form with its unit of prices', async () => {
  const pricing = { input_tokens: 1, output_tokens: 2, cache_read_tokens: 0.1 }
  for (const path of ['/v1/openai/models?sort_by=openclaw&filter=with_meta', '/v1/models', '/models', '/v1/models/']) {
    const [model, ...others] = (await call(`GET ${path}`, null, '')).body.data
    assert.deepEqual([model.id, model.object, others.length], ['lab/one', 'model', 0], path)
    assert.deepEqual([model.metadata.context_length, model.metadata.max_tokens], [8192, 4096])
    assert.deepEqual(model.metadata.pricing, pricing)
    // OpenClaw takes for a chat model what has this tag.
    assert.ok(model.metadata.tags.includes('chat'))
    assert.equal(model.pricing.prompt, '0.000001')
  }
  const [listed] = (await call('GET /models/list', null, '')).body
  assert.deepEqual([listed.model_name, listed.type, listed.max_tokens], ['lab/one', 'text-generation', 8192])
  const { type, cents_per_input_token, cents_per_output_token, rate_per_input_token_cached, short } = listed.pricing
  assert.deepEqual(
    [type, cents_per_input_token, cents_per_output_token, rate_per_input_token_cached, short],
    ['tokens', 0.0001, 0.0002, 0.1, '$1/$2 in/out Mtoken'],
  )
  const details = await call('GET /models/lab/one', null, '')
  assert.deepEqual([details.body.model_name, details.body.max_output_tokens], ['lab/one', 4096])
  assert.match(details.body.curl_inv, /lab\/one/)
  const [offered] = (await call('GET /openrouter/models', null, '')).body.data
  assert.deepEqual(
    [offered.id, offered.pricing.prompt, offered.pricing.completion],
    ['lab/one', '0.000001', '0.000002'],
  )
  assert.deepEqual(offered.input_modalities, ['text'])
  for (const path of ['/v1/models/one', '/v1/openai/models/lab/one', '/v1/models/lab%2Fone'])
    assert.equal((await call(`GET ${path}`, null, '')).body.id, 'lab/one', path)
  const missing = await call('GET /v1/models/gone', null, '')
  assert.deepEqual([missing.status, missing.body.error.code], [404, 'model_not_found'])
  const wrong = await call('GET /v1/models', null, 'sk-hr-wrong')
  assert.deepEqual([wrong.status, wrong.body.error.code], [401, 'invalid_api_key'])
  const native = await call('GET /models/gone', null, '')
  assert.deepEqual([native.status, typeof native.body.detail.error], [404, 'string'])
  assert.equal((await call('GET /v1/me', null, '')).status, 401)
})

test('an account tells what was used and what it cost, from the same sums as the statements', async () => {
  const answers = [await ask(), await ask()]
  const charged = ANSWER_NANODOLLARS * 2n
  const me = (await call('GET /v1/me?checklist=true')).body
  assert.deepEqual([me.uid, me.checklist.suspended, me.checklist.limit], [orgId, false, null])
  const left = parseDollars('5.00') - charged
  assert.equal(me.checklist.balance_usd, formatDollars(left))
  assert.equal(me.checklist.stripe_balance, -Number(formatDollars(left)))
  assert.equal((await call('GET /v1/me')).body.checklist, undefined)
  assert.deepEqual((await call('GET /payment/checklist')).body.recent, Number(formatDollars(charged)))

  const period = new Date().toISOString().slice(0, 7).replace('-', '.')
  const usage = (await call('GET /payment/usage?from=current(-2)')).body
  assert.equal(usage.initial_month, period)
  const [month, ...others] = usage.months
  assert.deepEqual(
    [others.length, month.period, month.total_cost, month.total_cost_usd, month.invoice_id],
    [0, period, 0, formatDollars(charged), 'NOT_FINAL'],
  )
  assert.deepEqual(
    // biome-ignore lint/suspicious/noExplicitAny: of the answer's own document
    month.items.map(({ pricing_type, units, rate, cost_usd, model }: any) => [
      ...[pricing_type, units, rate, cost_usd, model.model_name, model.task],
    ]),
    [
      ['input_tokens', 32, 0.0001, '0.000032', 'lab/one', 'text-generation'],
      ['cached_input_tokens', 8, 0.00001, '0.0000008', 'lab/one', 'text-generation'],
      ['output_tokens', 6, 0.0002, '0.000012', 'lab/one', 'text-generation'],
    ],
  )
  const [own] = (await server.control.listKeys()).data
  assert.deepEqual((await call(`GET /payment/usage/${own?.id}`)).body.months, usage.months)
  assert.deepEqual((await call(`GET /payment/usage/${key}?from=${period}`)).body.months, usage.months)
  assert.deepEqual((await call('GET /payment/usage/tokens')).body.months[0].items, month.items)
  const rent = (await call('GET /payment/usage/rent')).body.months[0]
  assert.deepEqual([rent.items, rent.total_cost, rent.invoice_id], [[], 0, 'EMPTY'])
  const wrong = await call('GET /payment/usage?from=2026-01')
  assert.deepEqual([wrong.status, wrong.body.code], [400, 'invalid_value'])

  const ids = answers.map(({ headers }) => headers.get('x-request-id') as string)
  const costs = await call('POST /v1/request-costs', { requestIds: [ids[0], 'req_gone', ids[1], ids[0]] })
  assert.deepEqual(costs.body.requests, [
    { requestId: ids[0], costNanoUsd: 22_400 },
    { requestId: ids[1], costNanoUsd: 22_400 },
  ])
  const live = (await call('GET /v1/metrics/live')).body
  assert.deepEqual(Object.keys(live), [
    'tokens_per_second',
    'time_to_first_token',
    'requests_per_second',
    'total_tflops',
  ])
  assert.equal(typeof live.tokens_per_second, 'number')
})

test('an organisation makes and revokes its own keys, with a key that has no bound', async () => {
  const made = await call('POST /v1/api-tokens', { name: 'app' })
  const { token, token_id } = made.body
  assert.match(token, /^sk-hr-/)
  assert.equal((await ask({}, token)).status, 200)
  const listed = (await call('GET /v1/api-tokens')).body
  assert.deepEqual(
    listed.map(({ name }: { name: string }) => name),
    ['default', 'app'],
  )
  assert.ok(listed.every((each: { token: string }) => /^sk-hr-\.\.\.\w{4}$/.test(each.token)))
  assert.deepEqual((await call(`GET /v1/api-tokens/${token}`)).body, listed[1])
  assert.deepEqual((await call(`GET /v1/api-tokens/${token_id}`, null, token)).body, listed[1])

  const bounded = await server.control.createKey({ org: orgId, name: 'bounded', cap: '1.00' })
  for (const line of [
    'POST /v1/api-tokens',
    'GET /v1/api-tokens',
    `DELETE /v1/api-tokens/${token_id}`,
    'POST /payment/config',
  ]) {
    const refused = await call(line, line.startsWith('POST') ? { name: 'x', limit: -1 } : null, bounded.secret)
    assert.deepEqual([refused.status, refused.body.code], [403, 'permission_denied'], line)
    assert.match(refused.body.error, /this key has a cap/)
  }
  assert.equal((await call('GET /v1/api-tokens/key_gone')).status, 404)

  assert.equal((await call(`DELETE /v1/api-tokens/${token}`)).status, 200)
  assert.equal((await ask({}, token)).status, 401)
  const other = await server.control.createOrg({ name: 'Other' })
  const theirs = await server.control.createKey({ org: other.id, name: 'k' })
  for (const named of [theirs.id, theirs.secret]) {
    assert.equal((await call(`DELETE /v1/api-tokens/${named}`)).status, 404)
    assert.equal((await call(`GET /payment/usage/${named}`)).status, 404)
  }
  assert.equal((await call('GET /v1/me', null, theirs.secret)).body.uid, other.id)
  const ofOurs = (await ask()).headers.get('x-request-id')
  const costs = await call('POST /v1/request-costs', { requestIds: [ofOurs] }, theirs.secret)
  assert.deepEqual(costs.body.requests, [])
})

test('limits are told, and what an organisation lets itself spend in a month is kept to', async () => {
  const none = 2 ** 31 - 1
  assert.deepEqual((await call('GET /v1/me/rate_limit')).body, { rate_limit: none, tpm_rate_limit: none })
  const crowd = await server.control.createLimit({ org: orgId, measure: 'concurrency', amount: '5' })
  const rate = await server.control.createLimit({ org: orgId, measure: 'tokens', amount: '9000', window: 'minute' })
  assert.deepEqual((await call('GET /v1/me/rate_limit')).body, { rate_limit: 5, tpm_rate_limit: 9000 })
  for (const { id } of [crowd, rate]) await server.control.removeLimit(id)
  const wish = await call('POST /v1/me/rate_limit/request', { rate_limit: 500, reason: 'growth' })
  assert.equal(wish.status, 403)
  assert.match(wish.body.error, /operator/)

  assert.deepEqual((await call('GET /payment/config')).body, { limit: -1 })
  assert.deepEqual((await call('POST /payment/config', { limit: 0.00001 })).body, { limit: 0.00001 })
  const refused = await ask()
  assert.deepEqual([refused.status, refused.body.error.code], [402, 'budget_exceeded'])
  assert.equal((await call('GET /payment/checklist')).body.limit, 0.00001)
  assert.deepEqual((await call('POST /payment/config', {})).body, { limit: 0.00001 })
  assert.deepEqual((await call('POST /payment/config', { limit: -1 })).body, { limit: -1 })
  assert.equal((await ask()).status, 200)
  assert.equal((await call('POST /payment/config', { limit: 0 })).status, 400)

  for (const [line, body] of [
    ['POST /payment/funds', { amount: 500 }],
    ['POST /payment/topup', { amount: 500, threshold: 100, enabled: true }],
    ['GET /payment/billing-portal', null],
  ] as const) {
    const answer = await call(line, body)
    assert.deepEqual([answer.status, typeof answer.body.detail.error], [404, 'string'], line)
  }
})

test('who does not want to wait is refused at once where all places are busy, and charged nothing', async () => {
  const balance = async () => (await call('GET /payment/checklist')).body.balance_usd
  const before = await balance()
  const held: Exchange[] = []
  waiting = held
  const first = ask()
  while (held.length === 0) await new Promise(resolve => setTimeout(resolve, 5))
  const refused = await ask({ fail_fast: true })
  assert.deepEqual([refused.status, refused.body.error.code], [429, 'engine_overloaded'])
  assert.equal(await balance(), before)
  waiting = null
  held[0]?.tokens(3)
  held[0]?.finish()
  assert.equal((await first).status, 200)
  assert.equal((await ask({ fail_fast: true })).status, 200)
  await server.stop()
})
