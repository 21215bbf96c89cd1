import { ApiError } from '../errors.ts'
import { hasImages } from '../inference/image-parts.ts'
import { modelNamed } from '../inference/model-names.ts'
import { NO_PREFERENCES, type PlaceOrder, type Preferences } from '../inference/preferences.ts'
import type { InferenceRequest } from '../inference/request.ts'
import type { Model, ModelCapabilities, Snapshot } from '../inference/snapshot.ts'
import { listedRates } from '../pricing/ceiling.ts'
import { picodollarsToDecimal, picodollarsToDollarsPerMillion } from '../wire/decimal.ts'
import { refuseOtherModels } from './allowed-models.ts'
import type { Caller } from './authenticate.ts'
import { type Sale, saleOf } from './sale.ts'

/** A model that may serve a request, what it costs, and where it may run. */
export interface Offer extends Sale {
  readonly model: Model
  readonly preferences: Preferences
}

/** Ends of a model's name that stand for an order of places, wherever no model has such a name. */
const ORDER_OF_SUFFIX: Readonly<Record<string, PlaceOrder>> = { ':nitro': 'throughput', ':floor': 'price' }

/** Ends that stand for another service elsewhere, which is not sold here: no alias with a star stands for a name that has one. */
const FOREIGN_SUFFIX = /:(free|online|exacto|thinking|extended)$/

/**
 * The models that a request names, in its order, without those that cannot serve it. Of several, one that is unknown, has no price,
 * may not be used, lacks what the request needs or costs more than it allows is passed over.
 *
 * @throws ApiError of the first model, when none is left.
 */
export function offersOf(
  request: InferenceRequest,
  snapshot: Snapshot,
  caller: Caller,
  nowMs: number,
  work?: 'interactive' | 'batch',
): readonly Offer[] {
  const { model, fallbackModels } = request
  if (fallbackModels === undefined) return [offerOf(model, request, snapshot, caller, nowMs, work)]
  const offers: Offer[] = []
  let first: unknown
  for (const name of [model, ...fallbackModels]) {
    try {
      const offer = offerOf(name, request, snapshot, caller, nowMs, work)
      // Two names of one model are one model.
      if (!offers.some(each => each.model === offer.model)) offers.push(offer)
    } catch (thrown) {
      if (!(thrown instanceof ApiError)) throw thrown
      first ??= thrown
    }
  }
  if (offers.length === 0) throw first
  return offers
}

function offerOf(
  name: string,
  request: InferenceRequest,
  snapshot: Snapshot,
  caller: Caller,
  nowMs: number,
  work: 'interactive' | 'batch' | undefined,
): Offer {
  const { model, sort } = findModel(name, snapshot)
  refuseOtherModels(caller, model.id)
  refuseIncapable(request, model)
  const sale = saleOf(request, model, caller.org, nowMs, work)
  const wished = request.preferences ?? NO_PREFERENCES
  const preferences = sort === undefined ? wished : { ...wished, sort }
  if (preferences.maxPrice !== undefined) refuseDear(request, model, sale, preferences.maxPrice)
  return { ...sale, model, preferences }
}

function findModel(name: string, snapshot: Snapshot): { model: Model; sort?: PlaceOrder } {
  const exact = snapshot.models.get(name)
  if (exact !== undefined) return { model: exact }
  const colon = name.lastIndexOf(':')
  const base = colon <= 0 ? undefined : modelNamed(snapshot, name.slice(0, colon))
  const sort = ORDER_OF_SUFFIX[name.slice(colon)]
  if (base !== undefined && sort !== undefined) return { model: base, sort }
  const fitting = FOREIGN_SUFFIX.test(name) ? undefined : modelNamed(snapshot, name)
  if (fitting !== undefined) return { model: fitting }
  const not = `The model ${JSON.stringify(name)} is not offered here`
  throw new ApiError(
    'model_not_found',
    base === undefined
      ? `${not}.`
      : `${not}; ${JSON.stringify(base.id)} is, by itself and with ${Object.keys(ORDER_OF_SUFFIX).join(' or ')}.`,
    { param: 'model' },
  )
}

const CAPABILITY_OF_KIND = {
  chat: { capability: 'chat', name: 'chat completions' },
  text: { capability: 'completion', name: 'text completions' },
  embed: { capability: 'embeddings', name: 'embeddings' },
  rerank: { capability: 'rerank', name: 'reranking' },
} as const

function refuseIncapable(request: InferenceRequest, model: Model): void {
  const wanted = CAPABILITY_OF_KIND[request.input.kind]
  if (model.capabilities[wanted.capability] !== true) {
    throw new ApiError('unsupported_parameter', `${model.id} does not do ${wanted.name}.`, { param: 'model' })
  }
  const lacking = lackingCapability(request, model.capabilities)
  if (lacking !== null) {
    throw new ApiError('unsupported_parameter', `${model.id} does not offer ${lacking.what}.`, { param: lacking.param })
  }
}

function lackingCapability(
  { input, sampling, preferences }: InferenceRequest,
  capabilities: ModelCapabilities,
): { what: string; param: string } | null {
  if (sampling.topLogprobs !== undefined && !capabilities.logprobs)
    return { what: 'log probabilities', param: 'logprobs' }
  if (input.kind === 'text' && input.suffix !== undefined && capabilities.suffix !== true)
    return { what: 'filling in before a suffix', param: 'suffix' }
  if (input.kind !== 'chat') return null
  if (capabilities.vision !== true && hasImages(input)) return { what: 'images', param: 'messages' }
  if (input.tools.length > 0 && !capabilities.tools) return { what: 'tools', param: 'tools' }
  if (input.responseFormat.type !== 'text' && !capabilities.jsonSchema) {
    return { what: 'answers in JSON by constraint', param: 'response_format' }
  }
  // A model that does not think takes no notice of an effort, unless the client would rather know.
  const { reasoningEffort } = input
  const thinks = reasoningEffort !== undefined && reasoningEffort !== 'none'
  if (preferences?.allParameters === true && thinks && !capabilities.reasoning)
    return { what: 'reasoning', param: 'reasoning' }
  return null
}

function refuseDear(
  request: InferenceRequest,
  model: Model,
  { price, admittedMs, tier }: Sale,
  most: NonNullable<Preferences['maxPrice']>,
): void {
  const inputTokens = Math.min(request.inputTokensBound, model.contextTokens)
  const rates = listedRates(price, admittedMs, inputTokens, tier)
  const dear = (
    [
      ['prompt', rates.inputPicodollars, most.inputPicodollars],
      ['completion', rates.outputPicodollars, most.outputPicodollars],
      ['request', rates.requestPicodollars, most.requestPicodollars],
    ] as const
  ).find(([, rate, bound]) => bound !== undefined && rate > bound * rates.denominator)
  if (dear === undefined) return
  const [name, rate] = dear
  const shown = (rate + rates.denominator - 1n) / rates.denominator
  const dollars =
    name === 'request'
      ? `$${picodollarsToDecimal(shown)} per request`
      : `$${picodollarsToDollarsPerMillion(shown)} per million`
  throw new ApiError(
    'no_matching_upstream',
    `${model.id} can cost ${dollars} (${name}), more than max_price allows. Raise it or choose another model.`,
    { param: `provider.max_price.${name}` },
  )
}
