import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Model, ModelCapabilities, Price } from '../inference/snapshot.ts'
import { parseRatio } from '../pricing/ratio.ts'
import { deepInfraModel, deepInfraModelDetails, openRouterListing } from './model-lists.ts'
import { modelObject } from './model-object.ts'

const PRICE: Price = {
  ...{ id: 'p', modelId: 'lab/m', fromMs: 0, toMs: null, requestPicodollars: 0n },
  ...{ inputPicodollars: 1_300_000n, cachedInputPicodollars: 130_000n, outputPicodollars: 2_600_000n },
}

function modelOf(capabilities: Partial<ModelCapabilities>): Model {
  const none = { chat: false, completion: false, tools: false, reasoning: false, jsonSchema: false, logprobs: false }
  return {
    ...{ id: 'lab/m', aliases: [], name: 'M', ownedBy: 'lab', createdS: 5, license: '', prices: [PRICE], targets: [] },
    ...{ contextTokens: 8192, outputTokensMax: 4096, trancheTokens: 1024, capabilities: { ...none, ...capabilities } },
  }
}

// biome-ignore lint/suspicious/noExplicitAny: the document's own form
const json = (document: object): any => JSON.parse(JSON.stringify(document))

test('prices are in cents per token, cached input as a share of the input price', () => {
  const pricing = (price: Partial<Price>) =>
    json(deepInfraModel(modelOf({ chat: true }), { ...PRICE, ...price })).pricing
  assert.deepEqual(pricing({}), {
    ...{ type: 'tokens', cents_per_input_token: 0.00013, cents_per_output_token: 0.00026 },
    ...{ rate_per_input_token_cached: 0.1, rate_per_input_token_cache_write: null },
    ...{ short: '$1.3/$2.6 in/out Mtoken', full: '$1.3/$2.6 in/out Mtoken, $0.13 cached input', table: null },
  })
  assert.equal(pricing({ cacheWritePicodollars: 1_625_000n }).rate_per_input_token_cache_write, 1.25)
  assert.equal(pricing({ inputPicodollars: 0n }).rate_per_input_token_cached, null, 'nothing is no share of nothing')
  const margin = { upstreamId: 'secret', multiplier: parseRatio('2') }
  const shown = json(deepInfraModel(modelOf({}), { ...PRICE, terms: { windows: [], steps: [], tiers: {}, margin } }))
  assert.equal(shown.pricing.cents_per_input_token, 0.00026)
  assert.doesNotMatch(JSON.stringify(shown), /secret|margin/)
})

test('what a model does is said in the words of each list', () => {
  const check = (capabilities: Partial<ModelCapabilities>, type: string, tags: string[], output: string) => {
    const model = modelOf(capabilities)
    const listed = json(deepInfraModelDetails(model, PRICE))
    assert.deepEqual([listed.type, listed.tags], [type, tags])
    assert.deepEqual(json(modelObject(model, PRICE)).metadata.tags, tags)
    assert.deepEqual(json(openRouterListing(model, PRICE)).output_modalities, [output])
    return listed
  }
  check({ chat: true, vision: true }, 'text-generation', ['chat', 'vision', 'vlm'], 'text')
  const embeds = check({ embeddings: true }, 'embeddings', ['embeddings', 'embed'], 'embeddings')
  assert.match(embeds.curl_inv, /v1\/embeddings/)
  check({ rerank: true }, 'reranker', ['rerank'], 'text')
  const offered = json(openRouterListing(modelOf({ chat: true, vision: true, tools: true, jsonSchema: true }), PRICE))
  assert.deepEqual(offered.input_modalities, ['text', 'image'])
  assert.deepEqual(offered.supported_features, ['tools', 'json_mode', 'structured_outputs'])
  assert.ok(offered.supported_sampling_parameters.includes('temperature'))
  assert.ok(!offered.supported_sampling_parameters.includes('tools'))
  assert.deepEqual(
    [offered.pricing.prompt, offered.pricing.completion, offered.pricing.input_cache_read],
    ['0.0000013', '0.0000026', '0.00000013'],
  )
})
