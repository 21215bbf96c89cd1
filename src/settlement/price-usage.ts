import type { Price } from '../inference/snapshot.ts'
import type { Usage } from '../inference/usage.ts'

/** The price in force at a time, or undefined when the model is not for sale then. */
export function priceAt(prices: readonly Price[], atMs: number): Price | undefined {
  return prices.find(price => price.fromMs <= atMs && (price.toMs === null || atMs < price.toMs))
}

/**
 * What usage costs at a price, in picodollars, before the one rounding. Cached input has its own price; where the
 * upstream did not say how much was cached, nothing counts as cached.
 */
export function priceUsage(usage: Usage, price: Price): bigint {
  const cached = Math.min(usage.cachedInputTokens, usage.inputTokens)
  return (
    BigInt(usage.inputTokens - cached) * price.inputPicodollars +
    BigInt(cached) * price.cachedInputPicodollars +
    BigInt(usage.outputTokens) * price.outputPicodollars +
    price.requestPicodollars
  )
}
