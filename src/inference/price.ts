import type { ServiceTier } from './service-tier.ts'

/** An exact, non-negative fraction in lowest terms: `{ numerator: 3n, denominator: 4n }`. */
export interface Ratio {
  readonly numerator: bigint
  readonly denominator: bigint
}

/**
 * What each class of work costs, in picodollars per token (1 p$/token = $1e-6 per million tokens; per request and per search
 * unit in picodollars each).
 */
export interface Rates {
  /** Input that no cache served; also input written to a cache, unless that has a rate of its own. */
  readonly inputPicodollars: bigint
  /** Input served from a prefix cache. */
  readonly cachedInputPicodollars: bigint
  /** Input written to a prefix cache; undefined: as input. */
  readonly cacheWritePicodollars?: bigint
  readonly outputPicodollars: bigint
  /** Output that is reasoning; undefined: as output. */
  readonly reasoningPicodollars?: bigint
  readonly requestPicodollars: bigint
  /** One search unit of a rerank; undefined: free. */
  readonly searchUnitPicodollars?: bigint
}

/** Other prices for part of the requests: rates of their own, or all rates times a multiplier. */
export type Change = { readonly rates: Rates } | { readonly multiplier: Ratio }

/** From so many input tokens on, cached ones included, the whole request is priced so. */
export type PriceStep = Change & { readonly fromInputTokens: number }

/**
 * A part of the week, in UTC: it begins at `startMinute` of each of its days, lasts `durationMinutes` and may go on into the next
 * day. Rates of its own come with steps of its own, which replace those of the price; a multiplier applies to whatever step is
 * reached.
 */
export type PriceWindow = {
  /** 0 is Monday; ascending, at least one. */
  readonly days: readonly number[]
  /** 0 to 1439. */
  readonly startMinute: number
  /** 1 to 1440. */
  readonly durationMinutes: number
} & ({ readonly rates: Rates; readonly steps: readonly PriceStep[] } | { readonly multiplier: Ratio })

/** Everything of a price that depends on the request. */
export interface PriceTerms {
  /** Never two at one time. */
  readonly windows: readonly PriceWindow[]
  /** Ascending; the last one reached counts. */
  readonly steps: readonly PriceStep[]
  /** Multipliers of the tiers that are sold beside standard. */
  readonly tiers: { readonly [Tier in Exclude<ServiceTier, 'standard'>]?: Ratio }
  /** The price was made of what this upstream takes, times the multiplier, which still is to be applied. */
  readonly margin?: { readonly upstreamId: string; readonly multiplier: Ratio }
}

/** Rates and their terms: of a price that customers pay, or of the cost that an upstream takes. Without terms it is plain. */
export interface Tariff extends Rates {
  readonly terms?: PriceTerms
}

/**
 * A row of the price list: what one model costs the orgs of one price group. In force from `fromMs` (inclusive) to `toMs`
 * (exclusive; null: until further notice).
 */
export interface Price extends Tariff {
  readonly id: string
  readonly modelId: string
  /** For orgs of this price group alone; absent or null: for all that have no row of their own. */
  readonly group?: string | null
  readonly fromMs: number
  readonly toMs: number | null
}
