import type { JsonObject } from '../inference/request.ts'
import type { Model, Price } from '../inference/snapshot.ts'
import { shownTariff } from '../pricing/shown-tariff.ts'
import { shownTokenPricing } from '../pricing/token-pricing.ts'
import { picodollarsToCents, picodollarsToDollarsPerMillion } from '../wire/decimal.ts'
import { modelTags, supportedParameters } from './model-object.ts'

/*
 * Models in the forms of the public lists that DeepInfra's clients and OpenRouter's crawler read. Numbers are for show only: what is
 * charged is worked out from the exact integers.
 */

/** A model as `GET /models/list` has it: prices in cents per token, cached input as a share of the input price. */
export function deepInfraModel(model: Model, price: Price): JsonObject {
  const type = taskOf(model)
  return {
    model_name: model.id,
    type,
    reported_type: type,
    description: model.name,
    cover_img_url: null,
    tags: modelTags(model),
    pricing: centPricing(price),
    max_tokens: model.contextTokens,
    replaced_by: null,
    deprecated: null,
    quantization: null,
    mmlu: null,
    expected: null,
    private: 0,
  }
}

/** A model as `GET /models/{name}` has it; what is not known here is empty. */
export function deepInfraModelDetails(model: Model, price: Price): JsonObject {
  const call = exampleCall(model)
  return {
    ...deepInfraModel(model, price),
    version: '',
    featured: false,
    owner: false,
    public: true,
    max_output_tokens: model.outputTokensMax,
    curl_inv: call,
    cmdline_inv: call,
    txt_docs: '',
    out_example: '',
    out_docs: '',
    in_schema: null,
    out_schema: null,
    in_fields: [],
    out_fields: [],
    schemas: [],
    doc_blocks: [],
  }
}

/** A model as `GET /openrouter/models` has it: prices as decimal strings in dollars per token. */
export function openRouterListing(model: Model, price: Price): JsonObject {
  const { capabilities } = model
  const parameters = supportedParameters(model)
  return {
    id: model.id,
    name: model.name,
    created: model.createdS,
    description: model.name,
    input_modalities: capabilities.vision === true ? ['text', 'image'] : ['text'],
    output_modalities: capabilities.embeddings === true ? ['embeddings'] : ['text'],
    quantization: 'unknown',
    context_length: model.contextTokens,
    max_output_length: model.outputTokensMax,
    pricing: shownTokenPricing(shownTariff(price)),
    supported_sampling_parameters: parameters.filter(name => SAMPLING.has(name)),
    supported_features: [
      ...(capabilities.tools ? ['tools'] : []),
      ...(capabilities.jsonSchema ? ['json_mode', 'structured_outputs'] : []),
      ...(capabilities.logprobs ? ['logprobs'] : []),
      ...(capabilities.reasoning ? ['reasoning'] : []),
    ],
    datacenters: [],
  }
}

const SAMPLING: ReadonlySet<string> = new Set([
  ...['temperature', 'top_p', 'top_k', 'min_p', 'stop', 'seed', 'max_tokens'],
  ...['frequency_penalty', 'presence_penalty', 'repetition_penalty'],
])

/** What a model does, in DeepInfra's words. */
export function taskOf({ capabilities }: Model): string {
  if (capabilities.chat || capabilities.completion) return 'text-generation'
  if (capabilities.embeddings === true) return 'embeddings'
  return capabilities.rerank === true ? 'reranker' : 'text-generation'
}

function centPricing(price: Price): JsonObject {
  const { inputPicodollars: input, cachedInputPicodollars: cached, cacheWritePicodollars, ...rest } = shownTariff(price)
  const perMillion = (picodollars: bigint) => `$${picodollarsToDollarsPerMillion(picodollars)}`
  const share = (picodollars: bigint | undefined) =>
    picodollars === undefined || input === 0n ? null : Number(picodollars) / Number(input)
  const short = `${perMillion(input)}/${perMillion(rest.outputPicodollars)} in/out Mtoken`
  return {
    type: 'tokens',
    cents_per_input_token: Number(picodollarsToCents(input)),
    cents_per_output_token: Number(picodollarsToCents(rest.outputPicodollars)),
    rate_per_input_token_cached: share(cached),
    rate_per_input_token_cache_write: share(cacheWritePicodollars),
    short,
    full: `${short}, ${perMillion(cached)} cached input`,
    table: null,
  }
}

function exampleCall(model: Model): string {
  const [path, body] =
    model.capabilities.embeddings === true
      ? ['embeddings', { model: model.id, input: 'Hello' }]
      : ['chat/completions', { model: model.id, messages: [{ role: 'user', content: 'Hello' }] }]
  return `curl "$BASE_URL/v1/${path}" -H "Authorization: Bearer $API_KEY" -H "Content-Type: application/json" -d '${JSON.stringify(body)}'`
}
