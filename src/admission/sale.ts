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
 * @throws ApiError 503 when the model has no price in force, 400 when the tier is not one that it is sold at.
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
  return { price, tier: word === undefined ? 'standard' : tierOf(word, price, model), admittedMs: nowMs }
}

function tierOf(word: string, price: Price, model: Model): ServiceTier {
  const tier = Object.hasOwn(TIER_OF_WORD, word) ? (TIER_OF_WORD[word] as ServiceTier) : undefined
  const sold = price.terms?.tiers
  if (tier === 'standard' || (tier !== undefined && sold?.[tier] !== undefined)) return tier
  const words = ['default', ...(['priority', 'flex'] as const).filter(each => sold?.[each] !== undefined)]
  throw new ApiError(
    'unsupported_parameter',
    `'service_tier' ${JSON.stringify(word.slice(0, 64))} is not sold for ${model.id}; it is sold at: ${words.join(', ')}.`,
    { param: 'service_tier' },
  )
}
