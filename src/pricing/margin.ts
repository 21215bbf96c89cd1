import type { Ratio, Tariff } from '../inference/price.ts'

/**
 * A price made of what an upstream takes and a multiplier. It is whole in itself: should the cost change, this price still says what
 * was charged by it, and another one has to be made.
 */
export function overCost(cost: Tariff, upstreamId: string, multiplier: Ratio): Tariff {
  const { terms, ...rates } = cost
  const { windows, steps, tiers } = terms ?? { windows: [], steps: [], tiers: {} }
  return { ...rates, terms: { windows, steps, tiers, margin: { upstreamId, multiplier } } }
}
