import type { JsonObject } from '../../../inference/request.ts'
import type { ServiceTier } from '../../../inference/service-tier.ts'

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
