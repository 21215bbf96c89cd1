import type { JsonObject } from '../inference/request.ts'
import type { Model, Price, Target } from '../inference/snapshot.ts'
import type { ObservedSpeed } from '../inference/upstream.ts'
import { modelObject, supportedParameters } from './model-object.ts'

/* What is on offer, as OpenRouter's clients read it (the schemas of its SDK 1.3). */

/** A model with the price in force; it stands in our own words beside. */
export function openRouterModel(model: Model, price: Price): JsonObject {
  const { id, name, contextTokens, outputTokensMax } = model
  return {
    ...modelObject(model, price),
    canonical_slug: id,
    description: name,
    hugging_face_id: null,
    architecture: architectureOf(model),
    top_provider: { context_length: contextTokens, max_completion_tokens: outputTokensMax, is_moderated: false },
    per_request_limits: null,
    default_parameters: null,
    supported_voices: null,
    knowledge_cutoff: null,
    expiration_date: null,
    links: { details: `/api/v1/models/${id}/endpoints` },
  }
}

/** How a target does at the moment. */
export interface TargetState {
  readonly available: boolean
  readonly speed: ObservedSpeed | undefined
}

/** Where a model runs: its places, at the price that the customer pays at each. What is not known is null. */
export function openRouterEndpoints(
  model: Model,
  price: Price,
  stateOf: (target: Target) => TargetState | undefined,
): JsonObject {
  const { id, name, createdS } = model
  const endpoints = model.targets.flatMap(target => {
    const state = stateOf(target)
    return state === undefined ? [] : [endpointOf(model, price, target, state)]
  })
  return { id, name, created: createdS, description: name, architecture: architectureOf(model), endpoints }
}

function endpointOf(model: Model, price: Price, { upstreamId, quantization }: Target, state: TargetState): JsonObject {
  const { id, name, contextTokens, outputTokensMax, capabilities } = model
  const { pricing } = modelObject(model, price)
  return {
    name: `${upstreamId} | ${id}`,
    model_id: id,
    model_name: name,
    provider_name: upstreamId,
    tag: upstreamId,
    quantization: quantization ?? 'unknown',
    pricing,
    context_length: contextTokens,
    max_prompt_tokens: contextTokens,
    max_completion_tokens: outputTokensMax,
    supported_parameters: supportedParameters(model),
    supports_implicit_caching: price.cachedInputPicodollars < price.inputPicodollars,
    supports_tool_choice: toolChoices(capabilities.tools),
    status: state.available ? 0 : -1,
    uptime_last_5m: null,
    uptime_last_30m: null,
    uptime_last_1d: null,
    latency_last_30m: state.speed?.latencyMs ?? null,
    throughput_last_30m: state.speed?.tokensPerSecond ?? null,
  }
}

function toolChoices(tools: boolean): JsonObject {
  return { none: true, auto: tools, required: tools, function: tools }
}

function architectureOf({ capabilities }: Model): JsonObject {
  const { embeddings, rerank, vision } = capabilities
  const input = vision === true ? ['text', 'image'] : ['text']
  const output = embeddings === true ? ['embeddings'] : rerank === true ? ['rerank'] : ['text']
  return {
    modality: `${input.join('+')}->${output.join('+')}`,
    input_modalities: input,
    output_modalities: output,
    tokenizer: 'Other',
    instruct_type: null,
  }
}
