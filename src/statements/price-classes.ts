import type { Price } from '../inference/snapshot.ts'

/** What is counted and has a price of its own. Reasoning is output; input is apart by whether a cache served it. */
export type PriceClass = 'input' | 'cached_input' | 'output' | 'request'

/** In the order in which statements list them. */
export const PRICE_CLASSES: readonly PriceClass[] = ['input', 'cached_input', 'output', 'request']

/** Counts over some requests; cached input is a part of input. */
export interface UsageCounts {
  readonly requests: number
  readonly inputTokens: number
  readonly cachedInputTokens: number
  readonly outputTokens: number
}

/** One class of some usage at its price. */
export interface ClassLine {
  readonly class: PriceClass
  /** Tokens; requests for the class `request`. For `input` the part that no cache served. */
  readonly quantity: number
  readonly picodollarsEach: bigint
  /** The product, exact. */
  readonly picodollars: bigint
}

/** Picodollars for one of each class; for `request` for one request. */
export type UnitPrices = Readonly<Record<PriceClass, bigint>>

/** The unit prices of a price row. The only place of statements that reads one. */
export function unitPricesOf(price: Price): UnitPrices {
  return {
    input: price.inputPicodollars,
    cached_input: price.cachedInputPicodollars,
    output: price.outputPicodollars,
    request: price.requestPicodollars,
  }
}

/**
 * Usage at its prices, class by class, before any rounding. Classes of which nothing was used are left out, and requests where
 * they have no price of their own.
 */
export function classLines(counts: UsageCounts, prices: UnitPrices): ClassLine[] {
  const quantities: Readonly<Record<PriceClass, number>> = {
    input: counts.inputTokens - counts.cachedInputTokens,
    cached_input: counts.cachedInputTokens,
    output: counts.outputTokens,
    request: counts.requests,
  }
  return PRICE_CLASSES.map(name => ({
    class: name,
    quantity: quantities[name],
    picodollarsEach: prices[name],
    picodollars: BigInt(quantities[name]) * prices[name],
  })).filter(line => line.quantity > 0 && (line.class !== 'request' || line.picodollarsEach > 0n))
}
