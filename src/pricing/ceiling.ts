import type { PriceStep, Rates, Ratio, Tariff } from '../inference/price.ts'
import type { ServiceTier } from '../inference/service-tier.ts'
import { picodollarsToNanodollarsUp } from '../ledger/money.ts'
import { windowAt } from './calendar.ts'
import { exceeds, ONE, times } from './ratio.ts'
import { overall } from './worth.ts'

/**
 * The most that a token of each kind can cost, in picodollars over `denominator`: the dearest of what is reachable. Nothing forbids
 * a cached price above the input price, or a tier or step that is cheaper than the one before.
 */
export interface Ceiling {
  readonly inputPicodollars: bigint
  readonly outputPicodollars: bigint
  readonly requestPicodollars: bigint
  readonly searchUnitPicodollars: bigint
  readonly denominator: bigint
}

/**
 * The worst case of a request that is admitted at `atMs`, asks for `tier` and has at most `inputTokensBound` input tokens. The
 * window is known; every step up to the bound may be reached, and every tier of `reachableTiers` may be the one that is served.
 */
export function ceilingOf(tariff: Tariff, atMs: number, inputTokensBound: number, tier: ServiceTier): Ceiling {
  return mostOf(tariff, atMs, inputTokensBound, tier, inputMost, outputMost)
}

/** As `ceilingOf`, by the rates of plain input and output alone: what a price is known by. */
export function listedRates(tariff: Tariff, atMs: number, inputTokensBound: number, tier: ServiceTier): Ceiling {
  const input = (rates: Rates) => rates.inputPicodollars
  return mostOf(tariff, atMs, inputTokensBound, tier, input, rates => rates.outputPicodollars)
}

/** What is at least each of several worst cases, kind by kind: for a request that may turn into any of them. */
export function dearestOf(ceilings: readonly [Ceiling, ...Ceiling[]]): Ceiling {
  const [only] = ceilings
  if (ceilings.length === 1) return only
  const denominator = ceilings.reduce((product, each) => product * each.denominator, 1n)
  const most = (rateIn: (ceiling: Ceiling) => bigint) =>
    ceilings.map(each => rateIn(each) * (denominator / each.denominator)).reduce(max)
  return {
    inputPicodollars: most(each => each.inputPicodollars),
    outputPicodollars: most(each => each.outputPicodollars),
    requestPicodollars: most(each => each.requestPicodollars),
    searchUnitPicodollars: most(each => each.searchUnitPicodollars),
    denominator,
  }
}

function mostOf(
  tariff: Tariff,
  atMs: number,
  inputTokensBound: number,
  tier: ServiceTier,
  inputOf: (rates: Rates) => bigint,
  outputOf: (rates: Rates) => bigint,
): Ceiling {
  const { terms } = tariff
  if (terms === undefined) {
    return {
      inputPicodollars: inputOf(tariff),
      outputPicodollars: outputOf(tariff),
      requestPicodollars: tariff.requestPicodollars,
      searchUnitPicodollars: tariff.searchUnitPicodollars ?? 0n,
      denominator: 1n,
    }
  }
  const open = windowAt(terms.windows, atMs)
  const own = open !== undefined && 'rates' in open ? open : undefined
  const base: Rates = own?.rates ?? tariff
  const reachable = (own?.steps ?? terms.steps).filter(step => step.fromInputTokens <= inputTokensBound)
  const tiers = reachableTiers(tier).map(each => overall(terms, each))
  const dearestTier = tiers.reduce((most, each) => (exceeds(each, most) ? each : most))
  const factor = times(dearestTier, open !== undefined && 'multiplier' in open ? open.multiplier : ONE)
  const all = [{ rates: base, multiplier: ONE }, ...reachable.map(step => rateOf(step, base))]
  // Over one denominator, so that the dearest can be told by comparing integers.
  const denominator = all.reduce((product, each) => product * each.multiplier.denominator, 1n)
  const most = (rateIn: (rates: Rates) => bigint) =>
    all
      .map(({ rates, multiplier }) => rateIn(rates) * multiplier.numerator * (denominator / multiplier.denominator))
      .reduce(max) * factor.numerator
  return {
    inputPicodollars: most(inputOf),
    outputPicodollars: most(outputOf),
    requestPicodollars: most(rates => rates.requestPicodollars),
    searchUnitPicodollars: most(rates => rates.searchUnitPicodollars ?? 0n),
    denominator: denominator * factor.denominator,
  }
}

/** What must be held so that these counts are covered, nanodollars, rounded up: no rounding of the charge exceeds it. */
export function holdFor(ceiling: Ceiling, inputTokens: number, outputTokens: number, searchUnits = 0): bigint {
  let sum =
    BigInt(inputTokens) * ceiling.inputPicodollars +
    BigInt(outputTokens) * ceiling.outputPicodollars +
    ceiling.requestPicodollars
  if (searchUnits > 0) sum += BigInt(searchUnits) * ceiling.searchUnitPicodollars
  if (ceiling.denominator === 1n) return picodollarsToNanodollarsUp(sum)
  const unit = ceiling.denominator * 1000n
  return (sum + unit - 1n) / unit
}

/** The tiers that a request for one can end up at: that one, or standard where the upstream could not or would not. */
export function reachableTiers(tier: ServiceTier): readonly ServiceTier[] {
  return REACHABLE[tier]
}

const REACHABLE: Readonly<Record<ServiceTier, readonly ServiceTier[]>> = {
  standard: ['standard'],
  priority: ['priority', 'standard'],
  flex: ['flex', 'standard'],
  batch: ['batch'],
}

/**
 * The tier that is charged: the one that the upstream says it served, when the request could end up there, else the one asked for.
 * So nobody pays for priority who did not ask for it, and who asked and did not get it does not pay for it.
 */
export function chargedTier(asked: ServiceTier, served: ServiceTier | undefined): ServiceTier {
  return served !== undefined && REACHABLE[asked].includes(served) ? served : asked
}

function rateOf(step: PriceStep, base: Rates): { rates: Rates; multiplier: Ratio } {
  return 'rates' in step ? { rates: step.rates, multiplier: ONE } : { rates: base, multiplier: step.multiplier }
}

function inputMost({ inputPicodollars, cachedInputPicodollars, cacheWritePicodollars }: Rates): bigint {
  const most = cachedInputPicodollars > inputPicodollars ? cachedInputPicodollars : inputPicodollars
  return cacheWritePicodollars !== undefined && cacheWritePicodollars > most ? cacheWritePicodollars : most
}

function outputMost({ outputPicodollars, reasoningPicodollars }: Rates): bigint {
  return reasoningPicodollars !== undefined && reasoningPicodollars > outputPicodollars
    ? reasoningPicodollars
    : outputPicodollars
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
