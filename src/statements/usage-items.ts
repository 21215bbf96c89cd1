import type { Price } from '../inference/snapshot.ts'
import { classLines, type PriceClass, type UsageCounts, unitPricesOf } from './price-classes.ts'

const HOUR_MS = 3_600_000

/** Settled requests of an hour that had one model and one price. */
export interface PricedHour extends UsageCounts {
  readonly hourMs: number
  readonly modelId: string
  readonly priceId: string
  readonly chargeNanodollars: bigint
}

/** What one class of work at one model and price came to. */
export interface UsageItem {
  readonly modelId: string
  readonly priceId: string
  readonly class: PriceClass
  /** Tokens; requests for the class `request`. */
  readonly units: number
  /** Picodollars for one; null where it was not the same for all: windows, steps and tiers. */
  readonly picodollarsEach: bigint | null
  /** Its part of the charges; those of all classes sum to them exactly. */
  readonly costNanodollars: bigint
  /** The hours in which it was settled: the first inclusive, the last exclusive. */
  readonly fromMs: number
  readonly toMs: number
}

interface Sum extends UsageCounts {
  readonly modelId: string
  readonly priceId: string
  readonly chargeNanodollars: bigint
  readonly fromMs: number
  readonly toMs: number
}

/**
 * Puts hours of usage together by model and price, class by class. A charge is split among its classes by what each is worth, and the last
 * class takes what the division leaves, so that nothing is lost or added.
 *
 * @param priceOf a price by its id; where it is gone, all of the charge stands at the first class that has units.
 */
export function usageItems(
  hours: Iterable<PricedHour>,
  priceOf: (priceId: string) => Price | null | undefined,
): UsageItem[] {
  const items = [...sumsOf(hours).values()].flatMap(sum => itemsOf(sum, priceOf(sum.priceId) ?? null))
  return items.sort((a, b) => (a.modelId < b.modelId ? -1 : a.modelId > b.modelId ? 1 : a.fromMs - b.fromMs))
}

function sumsOf(hours: Iterable<PricedHour>): Map<string, Sum> {
  const sums = new Map<string, Sum>()
  for (const hour of hours) {
    const id = JSON.stringify([hour.modelId, hour.priceId])
    const { modelId, priceId, hourMs } = hour
    const sum = sums.get(id) ?? {
      ...{ modelId, priceId, fromMs: hourMs, toMs: hourMs, requests: 0 },
      ...{ inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, chargeNanodollars: 0n },
    }
    sums.set(id, {
      ...{ modelId, priceId },
      requests: sum.requests + hour.requests,
      inputTokens: sum.inputTokens + hour.inputTokens,
      cachedInputTokens: sum.cachedInputTokens + hour.cachedInputTokens,
      outputTokens: sum.outputTokens + hour.outputTokens,
      chargeNanodollars: sum.chargeNanodollars + hour.chargeNanodollars,
      fromMs: Math.min(sum.fromMs, hourMs),
      toMs: Math.max(sum.toMs, hourMs + HOUR_MS),
    })
  }
  return sums
}

const NO_PRICES = { input: 0n, cached_input: 0n, output: 0n, request: 0n }

function itemsOf(sum: Sum, price: Price | null): UsageItem[] {
  const lines = classLines(sum, price === null ? NO_PRICES : unitPricesOf(price))
  const worth = lines.reduce((total, line) => total + line.picodollars, 0n)
  const { modelId, priceId, fromMs, toMs } = sum
  // What was charged for no tokens at all, such as search units, stands at the requests.
  if (lines.length === 0 && sum.chargeNanodollars > 0n)
    lines.push({ class: 'request', quantity: sum.requests, picodollarsEach: 0n, picodollars: 0n })
  let left = sum.chargeNanodollars
  return lines.map((line, i) => {
    const isLast = i === lines.length - 1
    const share = worth === 0n ? left : (sum.chargeNanodollars * line.picodollars) / worth
    const costNanodollars = isLast ? left : share
    left -= costNanodollars
    const picodollarsEach = price === null || price.terms !== undefined || worth === 0n ? null : line.picodollarsEach
    return { modelId, priceId, class: line.class, units: line.quantity, picodollarsEach, costNanodollars, fromMs, toMs }
  })
}
