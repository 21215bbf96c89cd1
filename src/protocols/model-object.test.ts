import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Model, Price } from '../inference/snapshot.ts'
import { parseRatio } from '../pricing/ratio.ts'
import { modelObject } from './model-object.ts'

const PRICE: Price = {
  id: 'p',
  modelId: 'lab/m',
  fromMs: 0,
  toMs: null,
  inputPicodollars: 1_300_000n,
  cachedInputPicodollars: 100_000n,
  outputPicodollars: 2_600_000n,
  requestPicodollars: 0n,
}
const MODEL: Model = {
  id: 'lab/m',
  aliases: ['m'],
  name: 'M',
  ownedBy: 'lab',
  createdS: 5,
  license: 'Apache-2.0',
  contextTokens: 8192,
  outputTokensMax: 4096,
  trancheTokens: 1024,
  capabilities: { chat: true, completion: true, tools: false, reasoning: false, jsonSchema: true, logprobs: false },
  prices: [PRICE],
  targets: [],
}

test('one object serves the clients of four dialects', () => {
  const model = JSON.parse(JSON.stringify(modelObject(MODEL, PRICE)))
  assert.deepEqual([model.id, model.object, model.created, model.owned_by], ['lab/m', 'model', 5, 'lab'])
  assert.deepEqual([model.context_length, model.max_model_len, model.max_output_tokens], [8192, 8192, 4096])
  assert.deepEqual(model.pricing, {
    prompt: '0.0000013',
    completion: '0.0000026',
    request: '0',
    input_cache_read: '0.0000001',
  })
  assert.deepEqual(model.metadata.pricing, { input_tokens: 1.3, output_tokens: 2.6, cache_read_tokens: 0.1 })
  assert.deepEqual(model.metadata.tags, ['chat', 'completion', 'jsonSchema'])
  assert.ok(model.supported_parameters.includes('response_format'))
  assert.ok(!model.supported_parameters.includes('tools'))
})

test('windows, steps and tiers are shown in both languages, and a margin is not', () => {
  const terms = {
    windows: [{ days: [0, 1, 2, 3, 4], startMinute: 60, durationMinutes: 180, multiplier: parseRatio('2') }],
    steps: [],
    tiers: { flex: parseRatio('0.5') },
    margin: { upstreamId: 'secret', multiplier: parseRatio('1.1') },
  }
  const model = JSON.parse(JSON.stringify(modelObject(MODEL, { ...PRICE, terms })))
  assert.deepEqual(model.pricing, {
    prompt: '0.00000143',
    completion: '0.00000286',
    request: '0',
    input_cache_read: '0.00000011',
    overrides: [
      {
        utc_start: 100,
        utc_end: 400,
        utc_days: ['monday', 'tuesday', 'wednesday', 'thursday', 'friday'],
        prompt: '0.00000286',
        completion: '0.00000572',
        request: '0',
        input_cache_read: '0.00000022',
      },
    ],
    service_tiers: { flex: '0.5' },
  })
  assert.deepEqual(model.price, {
    currency: 'USD',
    unit: 'million tokens',
    input: '1.43',
    cached_input: '0.11',
    output: '2.86',
    request: '0.00',
    windows: [{ days: ['mon', 'tue', 'wed', 'thu', 'fri'], start: '01:00', end: '04:00', multiplier: '2' }],
    tiers: { flex: '0.5' },
  })
  assert.doesNotMatch(JSON.stringify(model), /secret|margin/)
})
