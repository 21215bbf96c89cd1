import { ApiError } from '../errors.ts'
import type { InferenceRequest } from '../inference/request.ts'
import type { ServiceTier } from '../inference/service-tier.ts'
import type { Model, Org, Price } from '../inference/snapshot.ts'
import { priceAt } from '../pricing/calendar.ts'

/** What a request buys, fixed when it is admitted: whatever the price list says later, this is charged. */
export interface Sale {
  /** The row in force for the org. */
  readonly price: Price
  /** The tier that was asked for. */
  readonly tier: ServiceTier
  /** The instant that the row and its time window were looked up at; wall clock. */
  readonly admittedMs: number
}

/** OpenAI's words and what they mean here. Their `auto` leaves the choice to the seller, and the plain tier is ours. */
const TIER_OF_WORD: Readonly<Record<string, ServiceTier>> = {
  auto: 'standard',
  default: 'standard',
  standard: 'standard',
  priority: 'priority',
  fast: 'priority',
  flex: 'flex',
}

/**
 * Looks up the price of a model for an org. Work of a batch is sold at the batch tier, whatever the request says.
 *
 * @throws ApiError 503 when the model has no price in force.
 */
export function saleOf(
  request: InferenceRequest,
  model: Model,
  org: Org,
  nowMs: number,
  work: 'interactive' | 'batch' = 'interactive',
): Sale {
  const price = priceAt(model.prices, nowMs, org.priceGroup)
  if (price === undefined)
    throw new ApiError('model_price_missing', `${model.id} has no price in force, so it cannot be sold.`)
  // Where a model has no price for batches of its own, they cost what all else costs.
  if (work === 'batch')
    return { price, tier: price.terms?.tiers?.batch === undefined ? 'standard' : 'batch', admittedMs: nowMs }
  const { serviceTier: word } = request
  return { price, tier: word === undefined ? 'standard' : tierOf(word, price), admittedMs: nowMs }
}

// A tier that is not sold is served as standard, without an error, as the services do whose words these are; the answer says so.
function tierOf(word: string, price: Price): ServiceTier {
  const tier = meaningOf(word) ?? 'standard'
  return tier === 'standard' || price.terms?.tiers?.[tier] !== undefined ? tier : 'standard'
}

function meaningOf(word: string): ServiceTier | undefined {
  return Object.hasOwn(TIER_OF_WORD, word) ? TIER_OF_WORD[word] : undefined
}

/**
 * The request as an upstream gets it: a tier that was asked for and is not sold is not passed on, since what the upstream took for it
 * would not be charged.
 */
export function asSold(request: InferenceRequest, sale: Sale): InferenceRequest {
  const { serviceTier: word, body } = request
  if (word === undefined || meaningOf(word) === sale.tier) return request
  const { service_tier: _, ...rest } = body
  return { ...request, body: rest }
}
