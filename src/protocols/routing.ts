import type { z } from '@hono/zod-openapi'
import type { PercentileBounds, Preferences, PriceBound } from '../inference/preferences.ts'
import type { InferenceRequest, JsonObject } from '../inference/request.ts'
import { MoneyFormatError, parsePicodollars, parsePricePerMillion } from '../ledger/money.ts'
import { invalid } from './fields.ts'
import type { ProviderPreferences } from './routing-fields.ts'

const MS_PER_SECOND = 1000

type Provider = z.output<typeof ProviderPreferences>

/** The part of a checked body that says who serves the request. */
export interface RoutingBody {
  readonly model: string
  readonly models?: readonly string[] | null
  readonly provider?: Provider | null
}

/** A body with the first of `models` as its `model`, where it names none. */
export function withFirstModel(body: JsonObject): JsonObject {
  if (body.model !== undefined && body.model !== null) return body
  return Array.isArray(body.models) && typeof body.models[0] === 'string' ? { ...body, model: body.models[0] } : body
}

/** A body without what is ours to obey: an upstream that knows such fields would take our names for its own. */
export function withoutRouting(body: JsonObject): JsonObject {
  if (body.models === undefined && body.provider === undefined) return body
  const { models: _models, provider: _provider, ...rest } = body
  return rest
}

/**
 * What a checked body says of the models that may serve it and where.
 *
 * @throws ApiError that names the parameter at fault.
 */
export function routingOf({
  model,
  models,
  provider,
}: RoutingBody): Pick<InferenceRequest, 'fallbackModels' | 'preferences'> {
  if ((models === undefined || models === null) && (provider === undefined || provider === null)) return NO_ROUTING
  const fallbackModels = [...new Set(models ?? [])].filter(name => name !== model)
  return {
    ...(fallbackModels.length > 0 && { fallbackModels }),
    ...(provider != null && { preferences: preferencesOf(provider) }),
  }
}

const NO_ROUTING = Object.freeze({})

function preferencesOf(provider: Provider): Preferences {
  const said = typeof provider.sort === 'string' ? provider.sort : provider.sort?.by
  return {
    order: lower(provider.order) ?? [],
    // An empty list would let nobody serve; clients that send one mean that they do not mind.
    only: provider.only?.length === 0 ? undefined : lower(provider.only),
    ignore: lower(provider.ignore) ?? [],
    fallbacks: provider.allow_fallbacks ?? true,
    allParameters: provider.require_parameters ?? false,
    keepsNoPrompts: provider.data_collection === 'deny' || provider.zdr === true,
    quantizations: provider.quantizations?.length === 0 ? undefined : lower(provider.quantizations),
    sort: said === 'exacto' ? undefined : (said ?? undefined),
    maxPrice: priceBoundOf(provider.max_price),
    latencyMsMax: boundsOf(provider.preferred_max_latency, MS_PER_SECOND),
    tokensPerSecondMin: boundsOf(provider.preferred_min_throughput, 1),
  }
}

function lower(list: readonly string[] | null | undefined): readonly string[] | undefined {
  return list?.map(name => name.toLowerCase())
}

function boundsOf(said: Provider['preferred_max_latency'], scale: number): PercentileBounds | undefined {
  if (said === null || said === undefined) return undefined
  if (typeof said === 'number') return { p50: said * scale }
  const found: { -readonly [Each in keyof PercentileBounds]: number } = {}
  for (const at of ['p50', 'p75', 'p90', 'p99'] as const) {
    const value = said[at]
    if (typeof value === 'number') found[at] = value * scale
  }
  return Object.keys(found).length === 0 ? undefined : found
}

function priceBoundOf(said: Provider['max_price']): PriceBound | undefined {
  if (said === null || said === undefined) return undefined
  const read = (key: 'prompt' | 'completion' | 'request', places: number, parse: (text: string) => bigint) => {
    const value = said[key]
    if (value === null || value === undefined) return undefined
    try {
      // A double is written with the places that a price can have: what is beyond is the noise of the double.
      return parse(typeof value === 'number' ? value.toFixed(places) : value)
    } catch (error) {
      if (!(error instanceof MoneyFormatError)) throw error
      throw invalid(`provider.max_price.${key}`, 'dollars as a number or a decimal string', value)
    }
  }
  const inputPicodollars = read('prompt', 6, parsePricePerMillion)
  const outputPicodollars = read('completion', 6, parsePricePerMillion)
  const requestPicodollars = read('request', 12, parsePicodollars)
  return {
    ...(inputPicodollars !== undefined && { inputPicodollars }),
    ...(outputPicodollars !== undefined && { outputPicodollars }),
    ...(requestPicodollars !== undefined && { requestPicodollars }),
  }
}
