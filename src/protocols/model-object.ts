import type { JsonObject } from '../inference/request.ts'
import type { Model, Price } from '../inference/snapshot.ts'
import { picodollarsToDecimal, picodollarsToDollarsPerMillion } from '../wire/decimal.ts'

/**
 * A model as `GET /v1/models` lists it: one object that OpenAI's, vLLM's (`max_model_len`), OpenRouter's (`pricing`, in
 * dollars per token as decimal strings) and DeepInfra's (`metadata`, in dollars per million tokens) clients can all
 * read. `price` is the one in force; undefined when the model is not for sale now.
 */
export function modelObject(model: Model, price: Price | undefined): JsonObject {
  const { capabilities } = model
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
    pricing: price === undefined ? null : pricingPerToken(price),
    metadata: {
      description: model.name,
      context_length: model.contextTokens,
      max_tokens: model.outputTokensMax,
      pricing: price === undefined ? null : pricingPerMillion(price),
      tags: Object.entries(capabilities).flatMap(([name, can]) => (can ? [name] : [])),
    },
    capabilities: { ...capabilities },
    supported_parameters: supportedParameters(model),
  }
}

function pricingPerToken(price: Price): JsonObject {
  return {
    prompt: picodollarsToDecimal(price.inputPicodollars),
    completion: picodollarsToDecimal(price.outputPicodollars),
    request: picodollarsToDecimal(price.requestPicodollars),
    input_cache_read: picodollarsToDecimal(price.cachedInputPicodollars),
  }
}

/** Numbers, because DeepInfra's clients read numbers; for show only, the decimal strings beside them are exact. */
function pricingPerMillion(price: Price): JsonObject {
  return {
    input_tokens: Number(picodollarsToDollarsPerMillion(price.inputPicodollars)),
    output_tokens: Number(picodollarsToDollarsPerMillion(price.outputPicodollars)),
    cache_read_tokens: Number(picodollarsToDollarsPerMillion(price.cachedInputPicodollars)),
  }
}

/** In OpenRouter's words; clients hide controls that a model does not list. */
function supportedParameters(model: Model): string[] {
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
