/**
 * How urgently a request is served. `standard` is what is not asked for otherwise; `priority` goes before it, `flex` may wait,
 * `batch` is work handed in to be done within hours, which clients cannot ask for with `service_tier`.
 */
export type ServiceTier = 'standard' | 'priority' | 'flex' | 'batch'

/** The tiers that a price may have a multiplier for; standard is 1. */
export const PRICED_TIERS = ['priority', 'flex', 'batch'] as const
