import type { Rates, Ratio, Tariff } from '../inference/price.ts'
import type { ServiceTier } from '../inference/service-tier.ts'
import { ONE, ratio } from './ratio.ts'
import { applied, type PricedCounts, roundHalfEven } from './worth.ts'

/** What has a price of its own. */
export type PriceClass = 'input' | 'cached_input' | 'cache_write' | 'output' | 'reasoning' | 'request' | 'search_unit'

/** So much of one class at its rate. */
export interface BreakdownLine {
  readonly class: PriceClass
  readonly quantity: number
  readonly picodollarsEach: bigint
  readonly picodollars: bigint
}

/** Something that the sum of the lines is multiplied by. */
export interface BreakdownFactor {
  readonly of: 'margin' | 'tier' | 'window' | 'step'
  readonly multiplier: Ratio
}

/** How a worth comes about: the lines sum to `sumPicodollars`, times all factors is `worth`, rounded is `nanodollars`. */
export interface Breakdown {
  readonly lines: readonly BreakdownLine[]
  readonly sumPicodollars: bigint
  /** Those other than 1. */
  readonly factors: readonly BreakdownFactor[]
  /** Picodollars. */
  readonly worth: Ratio
  readonly nanodollars: bigint
  /** What the one rounding added, picodollars; below zero when it took away. */
  readonly roundingPicodollars: Ratio
}

/** The arithmetic of `chargeOf`, line by line, for people. */
export function breakdownOf(tariff: Tariff, counts: PricedCounts, atMs: number, tier: ServiceTier): Breakdown {
  const { terms } = tariff
  const used = terms === undefined ? undefined : applied(tariff, terms, counts.inputTokens, atMs, tier)
  const lines = linesOf(used?.rates ?? tariff, counts)
  const sumPicodollars = lines.reduce((sum, line) => sum + line.picodollars, 0n)
  const factors: BreakdownFactor[] = []
  const factor = (of: BreakdownFactor['of'], multiplier: Ratio | undefined) => {
    if (multiplier !== undefined && multiplier.numerator !== multiplier.denominator) factors.push({ of, multiplier })
  }
  factor('margin', terms?.margin?.multiplier)
  if (tier !== 'standard') factor('tier', terms?.tiers[tier])
  if (used?.window !== undefined && 'multiplier' in used.window) factor('window', used.window.multiplier)
  if (used?.step !== undefined && 'multiplier' in used.step) factor('step', used.step.multiplier)
  const multiplier = used?.multiplier ?? ONE
  const worth = ratio(sumPicodollars * multiplier.numerator, multiplier.denominator)
  const nanodollars = roundHalfEven(worth)
  const { numerator, denominator } = worth
  const added = nanodollars * 1000n * denominator - numerator
  return { lines, sumPicodollars, factors, worth, nanodollars, roundingPicodollars: signed(added, denominator) }
}

function linesOf(rates: Rates, counts: PricedCounts): BreakdownLine[] {
  const { cacheWritePicodollars, reasoningPicodollars, searchUnitPicodollars } = rates
  const cached = Math.min(counts.cachedInputTokens, counts.inputTokens)
  const written =
    cacheWritePicodollars === undefined ? 0 : Math.min(counts.cacheWriteTokens, counts.inputTokens - cached)
  const reasoning = reasoningPicodollars === undefined ? 0 : Math.min(counts.reasoningTokens, counts.outputTokens)
  const lines: BreakdownLine[] = []
  const line = (name: PriceClass, quantity: number, picodollarsEach: bigint | undefined) => {
    if (picodollarsEach === undefined) return
    lines.push({ class: name, quantity, picodollarsEach, picodollars: BigInt(quantity) * picodollarsEach })
  }
  line('input', counts.inputTokens - cached - written, rates.inputPicodollars)
  line('cached_input', cached, rates.cachedInputPicodollars)
  line('cache_write', written, cacheWritePicodollars)
  line('output', counts.outputTokens - reasoning, rates.outputPicodollars)
  line('reasoning', reasoning, reasoningPicodollars)
  line('request', 1, rates.requestPicodollars)
  line('search_unit', counts.searchUnits ?? 0, searchUnitPicodollars)
  return lines
}

function signed(numerator: bigint, denominator: bigint): Ratio {
  if (numerator >= 0n) return ratio(numerator, denominator)
  const positive = ratio(-numerator, denominator)
  return { numerator: -positive.numerator, denominator: positive.denominator }
}
