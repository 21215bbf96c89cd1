import type { JsonObject } from '../../../inference/request.ts'
import type { ServiceTier } from '../../../inference/service-tier.ts'
import { isObject } from '../../../wire/json-object.ts'

/** What is beyond it is no cost of one request: ten million dollars. */
const COST_NANODOLLARS_MAX = 10n ** 16n

/** The words for a tier that was served; `auto` and words that we do not know say nothing. */
const TIERS: Readonly<Record<string, ServiceTier>> = {
  default: 'standard',
  standard: 'standard',
  priority: 'priority',
  fast: 'priority',
  flex: 'flex',
  batch: 'batch',
}

/** The tier that a chunk says it is served at (OpenAI, OpenRouter, DeepInfra: `service_tier` beside `choices`). */
export function servedTier(chunk: JsonObject): ServiceTier | undefined {
  const word = chunk.service_tier
  return typeof word === 'string' && Object.hasOwn(TIERS, word) ? TIERS[word] : undefined
}

/**
 * What a usage object says that the upstream takes, in nanodollars, rounded half to even: `cost` (OpenRouter) or `estimated_cost`
 * (DeepInfra), numbers of dollars. They are read as the shortest decimal that means the number, which is what was written.
 */
export function reportedCost(usage: unknown): bigint | undefined {
  if (!isObject(usage)) return undefined
  const { cost, estimated_cost } = usage
  const said = typeof cost === 'number' ? cost : estimated_cost
  if (typeof said !== 'number' || !Number.isFinite(said) || said < 0) return undefined
  const [mantissa = '0', exponent = '0'] = String(said).split('e')
  const [whole = '0', fraction = ''] = mantissa.split('.')
  const places = fraction.length - Number(exponent) - 9
  const digits = BigInt(whole + fraction)
  const nanodollars = places <= 0 ? digits * 10n ** BigInt(-places) : divideHalfEven(digits, 10n ** BigInt(places))
  return nanodollars <= COST_NANODOLLARS_MAX ? nanodollars : undefined
}

function divideHalfEven(numerator: bigint, denominator: bigint): bigint {
  const quotient = numerator / denominator
  const twiceRest = (numerator % denominator) * 2n
  return twiceRest > denominator || (twiceRest === denominator && (quotient & 1n) === 1n) ? quotient + 1n : quotient
}
