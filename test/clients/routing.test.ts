import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDollars } from '../../src/ledger/money.ts'
import { ledgerRow, type PriceText } from '../support/money.ts'
import { headrace, newHome, startServer } from '../support/server.ts'
import { type Exchange, startUpstream, UPSTREAM_CACHED_TOKENS, UPSTREAM_INPUT_TOKENS } from '../support/upstream.ts'

/** Preferences, fallbacks and OpenRouter's and DeepSeek's own paths over HTTP, against the real server with scripted upstreams. */

const CHEAP: PriceText = { input: '1.00', cached: '0.10', output: '2.00' }
const DEAR: PriceText = { input: '9.00', cached: '0.90', output: '18.00' }

/** What each upstream was asked, in order, and whether it works. */
const asked: { upstream: string; body: Record<string, unknown> }[] = []
const broken = new Set<string>()

async function upstream(id: string, models: object[], settings: object = {}) {
  const { baseUrl } = await startUpstream((exchange: Exchange) => {
    asked.push({ upstream: id, body: exchange.body as Record<string, unknown> })
    if (broken.has(id)) return exchange.refuse(503)
    exchange.tokens(5)
    exchange.finish()
  })
  return { id, baseUrl, allowPrivate: true, models, ...settings }
}

const priceOf = ({ input, cached, output }: PriceText) => ({ input, cachedInput: cached, output })
const common = { contextTokens: 8192, trancheTokens: 64 }
const cheap = { ...common, model: 'acme/cheap', name: 'c', aliases: ['claude-*'] }
const home = newHome()
const server = await startServer(home, {
  upstreams: [
    await upstream('a', [{ ...cheap, price: priceOf(CHEAP), efforts: { minimal: 'low' } }]),
    await upstream('b', [{ ...cheap, price: null, quantization: 'fp8' }], {
      keepsNoPrompts: true,
      continuation: 'flags',
    }),
    await upstream('c', [{ ...common, model: 'dear', name: 'd', price: priceOf(DEAR) }]),
  ],
})

// biome-ignore lint/suspicious/noExplicitAny: answers of many shapes
type Json = any

async function call(path: string, body?: object, key = server.key) {
  asked.length = 0
  const response = await fetch(server.url + path, {
    ...(body !== undefined && { method: 'POST', body: JSON.stringify(body) }),
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
  })
  const text = await response.text()
  const headers = Object.fromEntries(response.headers)
  return { status: response.status, headers, text, json: text.startsWith('{') ? (JSON.parse(text) as Json) : null }
}

const CHAT = { model: 'acme/cheap', messages: [{ role: 'user', content: 'Hi' }], max_tokens: 16 }
const chat = (fields: object = {}, path = '/api/v1/chat/completions') => call(path, { ...CHAT, ...fields })
const upstreams = () => asked.map(each => each.upstream).join('')

test('preferences decide where a request runs, and upstreams do not hear of them', async () => {
  const check = async (provider: object, expected: string) => {
    const { status } = await chat({ provider })
    assert.deepEqual([status, upstreams()], [200, expected], JSON.stringify(provider))
    for (const { body } of asked) assert.ok(!('provider' in body) && !('models' in body))
  }
  await check({ order: ['B'] }, 'b')
  await check({ only: ['a'] }, 'a')
  await check({ ignore: ['a'] }, 'b')
  await check({ data_collection: 'deny' }, 'b')
  await check({ quantizations: ['fp8'] }, 'b')
  await check({ max_price: { prompt: 1, completion: '2.00' } }, 'a')
  const { headers } = await chat({ provider: { order: ['b'], allow_fallbacks: false } })
  assert.match(String(headers['x-headrace-route']), /^in the order asked for, 1 of 2.*; without a: not in "order"/)
})

test('what no place meets is a 503 that says what each lacks', async () => {
  const { status, json, headers } = await chat({ provider: { only: ['c'] } })
  assert.deepEqual([status, json.error.code, json.error.metadata.error_type], [503, 503, 'provider_unavailable'])
  assert.match(json.error.message, /a: not among "only"; b: not among "only"/)
  assert.equal(headers['x-should-retry'], 'false')
  assert.match(String(headers['x-headrace-route']), /^no place; without a: /)
  const dear = await chat({ provider: { max_price: { prompt: 0.5 } } })
  assert.deepEqual([dear.status, dear.json.error.metadata.param], [503, 'provider.max_price.prompt'])
})

test('another model takes over, is named in the answer, and is what is charged', async () => {
  broken.add('a').add('b')
  for (const stream of [false, true]) {
    const { status, json, text, headers } = await chat({ stream, models: ['nobody', 'dear'] })
    assert.deepEqual([status, upstreams(), headers['x-headrace-model']], [200, 'abc', 'dear'])
    if (stream) assert.ok(!text.includes('acme/cheap') && text.includes('"model":"dear"'))
    else assert.deepEqual([json.model, json.provider], ['dear', 'c'])
    const row = await ledgerRow(server, String(headers['x-request-id']), DEAR)
    assert.deepEqual([row.model, row.attempts, row.ending], ['dear', 3, 'completed'])
    assert.ok(row.charge > 0n)
  }
  const none = await chat({ provider: { max_price: { prompt: 2 } }, models: ['dear'] })
  assert.deepEqual([none.status, upstreams()], [429, 'ab'])
  broken.clear()
  const { headers } = await chat({ models: ['dear'] })
  assert.equal((await ledgerRow(server, String(headers['x-request-id']), CHEAP)).model, 'acme/cheap')
})

test('a body may name its models in a list alone, and end a name with an order', async () => {
  assert.equal((await chat({ model: undefined, models: ['dear', 'acme/cheap'] })).json.model, 'dear')
  assert.equal((await chat({ model: 'acme/cheap:floor' })).json.model, 'acme/cheap')
  assert.equal((await chat({ model: 'claude-opus-9:nitro' })).json.model, 'acme/cheap')
  const online = await chat({ model: 'acme/cheap:online' })
  assert.deepEqual([online.status, online.json.error.metadata.error_type], [404, 'not_found'])
})

test('usage tells the exact charge, and the generation is found by the id of the answer', async () => {
  const { json, headers } = await chat({ provider: { only: ['a'] } })
  const row = await ledgerRow(server, String(headers['x-request-id']), CHEAP)
  assert.equal(parseDollars(json.usage.cost.toFixed(9)), row.charge)
  assert.deepEqual([json.usage.is_byok, json.usage.cost_details.upstream_inference_cost], [false, null])
  const input = (UPSTREAM_INPUT_TOKENS - UPSTREAM_CACHED_TOKENS) * 1e-6 + UPSTREAM_CACHED_TOKENS * 1e-7
  assert.equal(json.usage.cost_details.upstream_inference_prompt_cost, Number(input.toFixed(9)))
  assert.equal(json.choices[0].native_finish_reason, 'stop')
  for (const id of [json.id, headers['x-request-id']]) {
    const { data } = (await call(`/api/v1/generation?id=${id}`)).json
    assert.deepEqual(
      [data.total_cost, data.provider_name, data.tokens_prompt, data.tokens_completion, data.native_tokens_cached],
      [json.usage.cost, 'a', UPSTREAM_INPUT_TOKENS, 5, UPSTREAM_CACHED_TOKENS],
    )
  }
  const { id: org } = await server.control.createOrg({ name: 'Another' })
  const other = await server.control.createKey({ org, name: 'other' })
  const foreign = await call(`/api/v1/generation?id=${json.id}`, undefined, other.secret)
  assert.deepEqual([foreign.status, foreign.json.error.code], [404, 404])
})

test('key, credits and balance agree with the ledger', async () => {
  await headrace(home, 'credit', 'add', '2.50', '--org', 'default')
  const org = (await server.control.listOrgs({})).data.find(each => each.name === 'default') as { id: string }
  const credit = await server.control.getCredit(org.id)
  const { data: credits } = (await call('/api/v1/credits')).json
  assert.equal(parseDollars(credits.total_usage.toFixed(9)), parseDollars(credit.charged))
  assert.equal(
    parseDollars(credits.total_credits.toFixed(9)) - parseDollars(credit.charged),
    parseDollars(credit.balance),
  )
  const { data: key } = (await call('/api/v1/auth/key')).json
  assert.deepEqual(
    [key.usage, key.usage_daily, key.usage_monthly, key.limit],
    Array(3).fill(credits.total_usage).concat(null),
  )
  const { is_available: available, balance_infos: infos } = (await call('/user/balance')).json
  assert.deepEqual(
    [available, infos],
    [
      true,
      [
        {
          currency: 'USD',
          total_balance: credit.balance,
          granted_balance: credit.granted_left,
          topped_up_balance: credit.purchased,
        },
      ],
    ],
  )
})

test('models, their places and the upstreams are listed', async () => {
  const { json } = await call('/api/v1/models?limit=1')
  assert.deepEqual([json.data.length, json.total_count, json.links.next], [1, 2, '/api/v1/models?limit=1&offset=1'])
  assert.equal((await call('/api/v1/models/count')).json.data.count, 2)
  const { data } = (await call('/api/v1/models?q=acme')).json
  assert.deepEqual(
    [data.length, data[0].pricing.prompt, data[0].pricing.input_cache_read],
    [1, '0.000001', '0.0000001'],
  )
  const { data: places } = (await call('/api/v1/models/acme/cheap/endpoints')).json
  assert.deepEqual(
    places.endpoints.map((each: Json) => [each.provider_name, each.quantization, each.status]),
    [
      ['a', 'unknown', 0],
      ['b', 'fp8', 0],
    ],
  )
  assert.ok(places.endpoints[0].latency_last_30m.p50 >= 0)
  assert.equal((await call('/api/v1/models/dear/endpoints')).json.data.endpoints.length, 1)
  assert.equal((await call('/api/v1/models/acme/none/endpoints')).status, 404)
  assert.deepEqual(
    (await call('/api/v1/providers')).json.data.map((each: Json) => each.slug),
    ['a', 'b', 'c'],
  )
  assert.equal((await call('/models')).json.data.length, 2)
})

test('a begun answer and an effort reach each upstream in its own words', async () => {
  const begun = { role: 'assistant', content: 'One, ', prefix: true }
  const messages = [...CHAT.messages, begun]
  await chat({ messages, provider: { only: ['b'] } }, '/beta/chat/completions')
  const flags = asked[0]?.body as Json
  assert.deepEqual(
    [flags.messages[1], flags.add_generation_prompt, flags.continue_final_message],
    [{ role: 'assistant', content: 'One, ' }, false, true],
  )
  await chat({ messages, provider: { only: ['a'] }, reasoning_effort: 'minimal' }, '/chat/completions')
  const unchanged = asked[0]?.body as Json
  assert.deepEqual([unchanged.messages[1], unchanged.reasoning_effort], [begun, 'low'])
})
