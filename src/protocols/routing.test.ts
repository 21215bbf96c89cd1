import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from '@hono/zod-openapi'
import type { ApiError } from '../errors.ts'
import { NO_PREFERENCES } from '../inference/preferences.ts'
import type { JsonObject } from '../inference/request.ts'
import { checkBody } from './check-body.ts'
import { routingOf, withFirstModel, withoutRouting } from './routing.ts'
import { ROUTING_FIELDS } from './routing-fields.ts'

const Body = z.looseObject({ model: z.string(), ...ROUTING_FIELDS })
const routing = (body: JsonObject) => routingOf(checkBody(Body, withFirstModel(body)))
const wishes = (provider: JsonObject) => routing({ model: 'm', provider }).preferences

test('a body without routing stays the same object', () => {
  const body = { model: 'm', temperature: 1 }
  assert.deepEqual(routing(body), {})
  assert.equal(withoutRouting(withFirstModel(body)), body)
})

test('models are a list to try in order, and the first is the model where none is named', () => {
  const check = (body: JsonObject, model: string, fallbackModels?: string[]) =>
    assert.deepEqual(
      [withoutRouting(withFirstModel(body)), routing(body)],
      [{ model }, fallbackModels === undefined ? {} : { fallbackModels }],
    )
  check({ model: 'a', models: ['b', 'c'] }, 'a', ['b', 'c'])
  check({ model: 'a', models: ['a', 'b', 'b'] }, 'a', ['b'])
  check({ models: ['b', 'c'] }, 'b', ['c'])
  check({ model: 'a', models: null }, 'a')
  check({ model: 'a', models: ['a'] }, 'a')
})

test('what is ours to obey is not passed on', () => {
  const body = withoutRouting({ model: 'a', models: ['b'], provider: { only: ['x'] }, transforms: [] })
  assert.deepEqual(body, { model: 'a', transforms: [] })
})

test('preferences are read, and what is unsaid does not matter', () => {
  const unsaid = { only: undefined, quantizations: undefined, sort: undefined, maxPrice: undefined }
  const bounds = { latencyMsMax: undefined, tokensPerSecondMin: undefined }
  assert.deepEqual(wishes({}), { ...NO_PREFERENCES, ...unsaid, ...bounds })
  assert.deepEqual(wishes({ order: null, only: [], sort: 'exacto', quantizations: [], other: 1 }), wishes({}))
  const check = (provider: JsonObject, expected: JsonObject) =>
    assert.deepEqual(wishes(provider), { ...wishes({}), ...expected })
  check({ order: ['Foo', 'bar'], allow_fallbacks: false }, { order: ['foo', 'bar'], fallbacks: false })
  check({ only: ['A'], ignore: ['B'] }, { only: ['a'], ignore: ['b'] })
  check({ data_collection: 'deny' }, { keepsNoPrompts: true })
  check({ data_collection: 'allow', zdr: true }, { keepsNoPrompts: true })
  check({ require_parameters: true, quantizations: ['FP8'] }, { allParameters: true, quantizations: ['fp8'] })
  check({ sort: 'latency' }, { sort: 'latency' })
  check({ sort: { by: 'price', partition: 'none' } }, { sort: 'price' })
  check({ preferred_max_latency: 1.5 }, { latencyMsMax: { p50: 1500 } })
  check({ preferred_min_throughput: { p90: 40, p99: null } }, { tokensPerSecondMin: { p90: 40 } })
})

test('the most that may be paid is exact, as a number or a string', () => {
  const check = (maxPrice: JsonObject, expected: object) =>
    assert.deepEqual(wishes({ max_price: maxPrice })?.maxPrice, expected)
  check({}, {})
  check(
    { prompt: 0.1 + 0.2, completion: '2.60', request: '0.000000000001' },
    { inputPicodollars: 300_000n, outputPicodollars: 2_600_000n, requestPicodollars: 1n },
  )
  check({ prompt: 0, image: 5 }, { inputPicodollars: 0n })
})

test('what is wrong is named', () => {
  const check = (body: JsonObject, param: string) => {
    try {
      routing({ model: 'm', ...body })
      assert.fail(`${JSON.stringify(body)} is taken`)
    } catch (error) {
      assert.deepEqual([(error as ApiError).status, (error as ApiError).param], [400, param])
    }
  }
  check({ models: 'b' }, 'models')
  check({ models: [1] }, 'models[0]')
  check({ models: Array(10).fill('m') }, 'models')
  check({ provider: [] }, 'provider')
  check({ provider: { order: 'a' } }, 'provider.order')
  check({ provider: { data_collection: 'maybe' } }, 'provider.data_collection')
  check({ provider: { sort: 'speed' } }, 'provider.sort')
  check({ provider: { max_price: { prompt: 'cheap' } } }, 'provider.max_price.prompt')
  check({ provider: { max_price: { completion: -1 } } }, 'provider.max_price.completion')
  check({ provider: { preferred_max_latency: 0 } }, 'provider.preferred_max_latency')
})
