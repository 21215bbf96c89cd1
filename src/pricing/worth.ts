import type { PriceStep, PriceTerms, PriceWindow, Rates, Ratio, Tariff } from '../inference/price.ts'
import type { ServiceTier } from '../inference/service-tier.ts'
import type { Usage } from '../inference/usage.ts'
import { picodollarsToNanodollars } from '../ledger/money.ts'
import { windowAt } from './calendar.ts'
import { ONE, times } from './ratio.ts'

/** The counts of a usage that have a price. */
export type PricedCounts = Pick<
  Usage,
  'inputTokens' | 'cachedInputTokens' | 'cacheWriteTokens' | 'outputTokens' | 'reasoningTokens'
> & {
  /** Search units of a rerank; absent: none. */
  readonly searchUnits?: number
}

/** The rates that a request is priced at, what the sum is multiplied by, and where both come from. */
export interface Applied {
  readonly rates: Rates
  readonly multiplier: Ratio
  readonly window: PriceWindow | undefined
  readonly step: PriceStep | undefined
}

/**
 * What counts are worth at a tariff, for a request that was admitted at `atMs` and served at `tier`: picodollars, an exact fraction.
 * The window is that of the admission; the context step is that of the input tokens used, and the whole request is priced at it.
 */
export function worthOf(tariff: Tariff, counts: PricedCounts, atMs: number, tier: ServiceTier): Ratio {
  if (tariff.terms === undefined) return { numerator: sumOf(tariff, counts), denominator: 1n }
  const { rates, multiplier } = applied(tariff, tariff.terms, counts.inputTokens, atMs, tier)
  return { numerator: sumOf(rates, counts) * multiplier.numerator, denominator: multiplier.denominator }
}

/** `worthOf`, rounded to nanodollars, half to even: the one rounding of a charge. */
export function chargeOf(tariff: Tariff, counts: PricedCounts, atMs: number, tier: ServiceTier): bigint {
  if (tariff.terms === undefined) return picodollarsToNanodollars(sumOf(tariff, counts))
  return roundHalfEven(worthOf(tariff, counts, atMs, tier))
}

/** Picodollars as a fraction → nanodollars, half to even; never below zero. */
export function roundHalfEven({ numerator, denominator }: Ratio): bigint {
  const unit = denominator * 1000n
  const quotient = numerator / unit
  const twiceRest = (numerator % unit) * 2n
  return twiceRest > unit || (twiceRest === unit && (quotient & 1n) === 1n) ? quotient + 1n : quotient
}

/** The rates and the multiplier of a tariff with terms. */
export function applied(
  tariff: Tariff,
  terms: PriceTerms,
  inputTokens: number,
  atMs: number,
  tier: ServiceTier,
): Applied {
  const window = windowAt(terms.windows, atMs)
  const own = window !== undefined && 'rates' in window ? window : undefined
  const step = stepAt(own?.steps ?? terms.steps, inputTokens)
  const rates: Rates = step !== undefined && 'rates' in step ? step.rates : (own?.rates ?? tariff)
  let multiplier = overall(terms, tier)
  if (window !== undefined && 'multiplier' in window) multiplier = times(multiplier, window.multiplier)
  if (step !== undefined && 'multiplier' in step) multiplier = times(multiplier, step.multiplier)
  return { rates, multiplier, window, step }
}

/** The multiplier of a tier that is not sold apart is 1. */
export function overall(terms: PriceTerms, tier: ServiceTier): Ratio {
  const margin = terms.margin?.multiplier ?? ONE
  return tier === 'standard' ? margin : times(margin, terms.tiers[tier] ?? ONE)
}

/** The last step that is reached, or undefined. */
function stepAt(steps: readonly PriceStep[], inputTokens: number): PriceStep | undefined {
  let reached: PriceStep | undefined
  for (const step of steps) if (step.fromInputTokens <= inputTokens) reached = step
  return reached
}

// Cached and written input are parts of the input, reasoning is a part of the output. What was not reported is 0, so it is priced as
// plain input or output. This runs for every request; a class without a rate of its own costs it nothing.
function sumOf(rates: Rates, counts: PricedCounts): bigint {
  const { inputTokens, outputTokens } = counts
  const cached = Math.min(counts.cachedInputTokens, inputTokens)
  let sum =
    BigInt(inputTokens - cached) * rates.inputPicodollars +
    BigInt(cached) * rates.cachedInputPicodollars +
    BigInt(outputTokens) * rates.outputPicodollars +
    rates.requestPicodollars
  if (rates.cacheWritePicodollars !== undefined) {
    const written = Math.min(counts.cacheWriteTokens, inputTokens - cached)
    sum += BigInt(written) * (rates.cacheWritePicodollars - rates.inputPicodollars)
  }
  if (rates.reasoningPicodollars !== undefined) {
    const reasoning = Math.min(counts.reasoningTokens, outputTokens)
    sum += BigInt(reasoning) * (rates.reasoningPicodollars - rates.outputPicodollars)
  }
  if (rates.searchUnitPicodollars !== undefined && counts.searchUnits !== undefined)
    sum += BigInt(counts.searchUnits) * rates.searchUnitPicodollars
  return sum
}
