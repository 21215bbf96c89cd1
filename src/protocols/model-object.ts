import type { Rates } from '../inference/price.ts'
import type { JsonObject } from '../inference/request.ts'
import type { Model, Price } from '../inference/snapshot.ts'
import { documentOfTariff } from '../pricing/document.ts'
import { shownTariff } from '../pricing/shown-tariff.ts'
import { shownTokenPricing } from '../pricing/token-pricing.ts'
import { picodollarsToDollarsPerMillion } from '../wire/decimal.ts'

/**
 * A model as `GET /v1/models` lists it: one object that OpenAI's, vLLM's (`max_model_len`), OpenRouter's (`pricing`, in
 * dollars per token as decimal strings) and DeepInfra's (`metadata`, in dollars per million tokens) clients can all
 * read. `price` is the one in force; it stands there once more in our own words, with all its windows, steps and tiers.
 */
export function modelObject(model: Model, price: Price): JsonObject {
  const { capabilities } = model
  const shown = shownTariff(price)
  return {
    id: model.id,
    object: 'model',
    created: model.createdS,
    owned_by: model.ownedBy,
    root: model.id,
    parent: null,
    name: model.name,
    aliases: model.aliases,
    license: model.license,
    context_length: model.contextTokens,
    max_model_len: model.contextTokens,
    max_output_tokens: model.outputTokensMax,
    pricing: shownTokenPricing(shown),
    price: { currency: 'USD', unit: 'million tokens', ...documentOfTariff(shown) },
    metadata: {
      description: model.name,
      context_length: model.contextTokens,
      max_tokens: model.outputTokensMax,
      pricing: pricingPerMillion(shown),
      tags: modelTags(model),
    },
    capabilities: { ...capabilities },
    supported_parameters: supportedParameters(model),
  }
}

/** What a model can do, in our words and in those of DeepInfra's clients, which sort models by them (`vlm`, `embed`). */
export function modelTags({ capabilities }: Model): string[] {
  return [
    ...Object.entries(capabilities).flatMap(([name, can]) => (can ? [name] : [])),
    ...(capabilities.vision === true ? ['vlm'] : []),
    ...(capabilities.embeddings === true ? ['embed'] : []),
  ]
}

/** Numbers, because DeepInfra's clients read numbers; for show only, the decimal strings beside them are exact. */
function pricingPerMillion(price: Rates): JsonObject {
  return {
    input_tokens: Number(picodollarsToDollarsPerMillion(price.inputPicodollars)),
    output_tokens: Number(picodollarsToDollarsPerMillion(price.outputPicodollars)),
    cache_read_tokens: Number(picodollarsToDollarsPerMillion(price.cachedInputPicodollars)),
  }
}

/** What a model takes, in OpenRouter's words; clients hide controls that a model does not list. */
export function supportedParameters(model: Model): string[] {
  const { tools, reasoning, jsonSchema, logprobs } = model.capabilities
  return [
    ...['max_tokens', 'max_completion_tokens', 'temperature', 'top_p', 'top_k', 'min_p', 'stop', 'seed'],
    ...['frequency_penalty', 'presence_penalty', 'repetition_penalty', 'n'],
    ...(tools ? ['tools', 'tool_choice', 'parallel_tool_calls'] : []),
    ...(reasoning ? ['reasoning', 'include_reasoning', 'reasoning_effort'] : []),
    ...(jsonSchema ? ['response_format', 'structured_outputs'] : []),
    ...(logprobs ? ['logprobs', 'top_logprobs'] : []),
  ]
}
