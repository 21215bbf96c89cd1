import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createHarness, NOW, NOW_MS } from './testing.ts'

const TARGETS = [{ upstream: 'engine', upstream_model: 'small.gguf' }]
const ID = 'acme/small-1.0:q4'
const PATH = '/models/acme%2Fsmall-1.0:q4'

test('a model is put, listed, replaced and taken off', async () => {
  const { client, publisher } = await createHarness()
  const model = await client.putModel(ID, { context_tokens: 32_768, aliases: ['small'], targets: TARGETS })
  assert.deepEqual(model, {
    id: ID,
    aliases: ['small'],
    name: ID,
    owned_by: 'headrace',
    license: '',
    created_at: NOW,
    context_tokens: 32_768,
    output_tokens_max: 32_768,
    tranche_tokens: 8_192,
    capabilities: {
      ...{ chat: true, completion: true, tools: false, reasoning: false, json_schema: false, logprobs: false },
      ...{ vision: false, embeddings: false, rerank: false, suffix: false },
    },
    targets: TARGETS,
    price: null,
  })
  assert.equal(publisher.current().models.get('small')?.id, ID)
  assert.deepEqual(await client.getModel(ID), model)
  assert.deepEqual((await client.listModels()).data, [model])
  const capabilities = { tools: true, json_schema: true }
  const replaced = await client.putModel(ID, { context_tokens: 512, name: 'Small', capabilities, targets: TARGETS })
  assert.deepEqual(
    [replaced.name, replaced.aliases, replaced.tranche_tokens, replaced.created_at],
    ['Small', [], 512, NOW],
  )
  assert.equal(publisher.current().models.get(ID)?.capabilities.jsonSchema, true)
  assert.equal((await client.removeModel(ID)).name, 'Small')
  assert.equal(publisher.current().models.size, 0)
})

test('what a model cannot be is refused with the field and the cure', async () => {
  const { client, refused } = await createHarness()
  const good = { context_tokens: 1_000, targets: TARGETS }
  await client.putModel('first', { ...good, aliases: ['one'] })
  const put = `PUT ${PATH}`
  await refused(
    put,
    { targets: TARGETS },
    400,
    'missing_required_parameter',
    /context_tokens: is required/,
    'context_tokens',
  )
  await refused(put, { ...good, targets: [] }, 400, 'invalid_value', /targets: needs at least one/, 'targets')
  await refused(
    put,
    { ...good, targets: [{ upstream: 'x' }] },
    400,
    'missing_required_parameter',
    /is required/,
    'targets.0.upstream_model',
  )
  await refused(
    put,
    { ...good, capabilities: { toolz: true } },
    400,
    'unsupported_parameter',
    /no such field/,
    'capabilities.toolz',
  )
  await refused(
    put,
    { ...good, output_tokens_max: 1_001 },
    400,
    'invalid_value',
    /at most context_tokens, 1000/,
    'output_tokens_max',
  )
  await refused(
    put,
    { ...good, tranche_tokens: 1_001 },
    400,
    'invalid_value',
    /at most output_tokens_max/,
    'tranche_tokens',
  )
  await refused(put, { ...good, context_tokens: 0 }, 400, 'invalid_value', /at least 1/, 'context_tokens')
  await refused(
    put,
    { ...good, aliases: ['one'] },
    409,
    'conflict',
    /"one" is an alias of the model "first"/,
    'aliases',
  )
  await refused(put, { ...good, aliases: ['first'] }, 409, 'conflict', /"first" is the id of a model/, 'aliases')
  await refused('PUT /models/one', good, 409, 'conflict', /"one" is an alias of the model "first"/, 'aliases')
  await refused('PUT /models/a%20b', good, 400, 'invalid_value', /model: can have letters/, 'model')
  await refused('GET /models/one', undefined, 404, 'model_not_found', /It is an alias of "first"/)
  for (const line of ['GET /models/gone', 'DELETE /models/gone', 'GET /models/gone/prices']) {
    await refused(line, undefined, 404, 'model_not_found', /no model with the id "gone"/)
  }
})

test('a price begins now or later, and the one before ends there', async () => {
  const { client, publisher } = await createHarness()
  await client.putModel(ID, { context_tokens: 1_000, targets: TARGETS })
  const first = await client.setPrice(ID, { input: '1.30', cached_input: '0.1', output: '2.6' })
  assert.deepEqual(
    { ...first, id: 'price' },
    {
      id: 'price',
      model: ID,
      from: NOW,
      to: null,
      input: '1.30',
      cached_input: '0.10',
      output: '2.60',
      request: '0.00',
    },
  )
  const later = await client.setPrice(ID, {
    input: '0',
    cached_input: '0',
    output: '0.000001',
    request: '0.000000001',
    from: '2026-02-01T00:00:00Z',
  })
  assert.deepEqual([later.output, later.request], ['0.000001', '0.000000001'])
  const { data } = await client.listPrices(ID)
  assert.deepEqual(
    data.map(price => [price.id, price.to]),
    [
      [first.id, '2026-02-01T00:00:00.000Z'],
      [later.id, null],
    ],
  )
  assert.equal((await client.getModel(ID)).price?.id, first.id)
  const stored = publisher.current().models.get(ID)?.prices[1]
  assert.deepEqual(
    [stored?.outputPicodollars, stored?.requestPicodollars, stored?.fromMs],
    [1n, 1_000n, Date.UTC(2026, 1, 1)],
  )
})

test('two prices set in the same millisecond follow one another', async () => {
  const { client, deps } = await createHarness()
  await client.putModel(ID, { context_tokens: 1_000, targets: TARGETS })
  const prices = [
    { input: '1', cached_input: '1', output: '1' },
    { input: '2', cached_input: '2', output: '2' },
  ]
  for (const price of prices) await client.setPrice(ID, price)
  deps.clock.nowMs = () => NOW_MS + 1
  assert.equal((await client.getModel(ID)).price?.input, '2.00')
})

test('prices come in pages, in the order of time', async () => {
  const { client } = await createHarness()
  await client.putModel(ID, { context_tokens: 1_000, targets: TARGETS })
  for (const day of [3, 1, 2])
    await client.setPrice(ID, { input: `${day}`, cached_input: '0', output: '0', from: `2026-03-0${day}T00:00:00Z` })
  const first = await client.listPrices(ID, { limit: 2 })
  const second = await client.listPrices(ID, { limit: 2, cursor: first.next_cursor ?? '' })
  assert.deepEqual(
    [...first.data, ...second.data].map(price => price.input),
    ['1.00', '2.00', '3.00'],
  )
})

test('what a price cannot be is refused with the field and the cure', async () => {
  const { client, refused } = await createHarness()
  await client.putModel(ID, { context_tokens: 1_000, targets: TARGETS })
  const good = { input: '1', cached_input: '1', output: '1' }
  const post = `POST ${PATH}/prices`
  await refused(post, { input: '1' }, 400, 'invalid_value', /output: is missing; .* has to be said as "0"/, 'output')
  await refused(post, { ...good, input: '0.0000001' }, 400, 'invalid_value', /input: .*finer than \$0\.000001/, 'input')
  await refused(post, { ...good, output: '-1' }, 400, 'invalid_value', /output: a price cannot be negative/, 'output')
  await refused(post, { ...good, output: 1 }, 400, 'invalid_value', /output: has to be a string/, 'output')
  await refused(
    post,
    { ...good, request: '-1' },
    400,
    'invalid_value',
    /request: a price cannot be negative/,
    'request',
  )
  await refused(
    post,
    { ...good, from: '2026-01-31T11:59:59Z' },
    400,
    'invalid_value',
    /from: cannot be in the past/,
    'from',
  )
  await client.setPrice(ID, { ...good, from: '2026-03-01T00:00:00Z' })
  await refused(post, { ...good, from: '2026-03-01T00:00:00Z' }, 409, 'conflict', /from: another price begins/, 'from')
  await refused('POST /models/gone/prices', good, 404, 'model_not_found', /no model with the id "gone"/)
})
