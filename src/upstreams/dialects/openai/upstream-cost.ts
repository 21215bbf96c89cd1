import type { JsonObject } from '../../../inference/request.ts'
import { isObject } from '../../../wire/json-object.ts'
import { readCost } from '../../usage/read-cost.ts'

/** Fields of a usage object that tell what the upstream takes from us; none of them is the client's business. */
export const UPSTREAM_COST_FIELDS = ['cost', 'cost_details', 'is_byok', 'estimated_cost', 'cost_in_usd_ticks'] as const

/** xAI counts in ticks of 10⁻¹⁰ dollar. */
const TICK_EXPONENT = -10

/**
 * What the upstream says a request costs us, nanodollars: OpenRouter's `cost` (dollars; with a key of our own for the provider
 * behind it, `is_byok`, what that one takes comes on top), DeepInfra's `estimated_cost` (dollars), xAI's `cost_in_usd_ticks`.
 * Undefined when it says nothing. Zero means free.
 */
export function readUpstreamCost(usage: JsonObject): bigint | undefined {
  const cost = readCost(usage.cost)
  if (cost !== undefined) {
    const behind = usage.is_byok === true && isObject(usage.cost_details) ? usage.cost_details : undefined
    return cost + (readCost(behind?.upstream_inference_cost) ?? 0n)
  }
  return readCost(usage.estimated_cost) ?? readCost(usage.cost_in_usd_ticks, TICK_EXPONENT)
}
