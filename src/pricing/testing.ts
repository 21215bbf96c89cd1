import fc from 'fast-check'
import type { ServiceTier } from '../inference/service-tier.ts'
import { DAYS, type RatesDocument, type StepDocument, type TariffDocument, type WindowDocument } from './document.ts'
import type { PricedCounts } from './worth.ts'

/** What tests of prices make up at random, and what they hold against it: arithmetic that shares no code with that of `src/pricing`. */

const MINUTE_MS = 60_000
const DAY_MS = 86_400_000
/** As `Date` counts them. */
const UTC_DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']

/** A fraction, not in lowest terms. */
type Fraction = readonly [numerator: bigint, denominator: bigint]

const perMillion = fc.oneof(
  fc.constantFrom('0', '0.0005', '0.000001', '1.30', '0.10', '2.60'),
  fc.nat(99_999_999).map(micro => `${Math.floor(micro / 1e6)}.${String(micro % 1e6).padStart(6, '0')}`),
)
const each = fc.constantFrom('0', '0.000000000001', '0.0000000005', '0.01')
const multiplier = fc.constantFrom('0', '1', '2', '0.5', '3/4', '1/3', '1.175', '7/11', '0.000001')

const rates: fc.Arbitrary<RatesDocument> = fc.record(
  {
    input: perMillion,
    cached_input: perMillion,
    cache_write: perMillion,
    output: perMillion,
    reasoning: perMillion,
    request: each,
  },
  { requiredKeys: ['input', 'output'] },
)
/** Rates that name every class, as those of windows and steps may always do. */
const wholeRates: fc.Arbitrary<RatesDocument> = fc.record({
  input: perMillion,
  cached_input: perMillion,
  cache_write: perMillion,
  output: perMillion,
  reasoning: perMillion,
  request: each,
})
const change = fc.oneof(
  multiplier.map(text => ({ multiplier: text })),
  wholeRates,
)
const steps = fc
  .uniqueArray(fc.integer({ min: 1, max: 3_000 }), { maxLength: 3 })
  .chain(froms =>
    fc.tuple(
      ...froms
        .sort((a, b) => a - b)
        .map(from => change.map(to => ({ from_input_tokens: from, ...to }) as StepDocument)),
    ),
  )
const clock = fc
  .nat(95)
  .map(quarter => `${String(Math.floor(quarter / 4)).padStart(2, '0')}:${String((quarter % 4) * 15).padStart(2, '0')}`)
const window = fc
  .record({ days: fc.subarray([...DAYS], { minLength: 1 }), start: clock, end: clock, change, steps })
  .map(
    ({ change: to, steps: own, ...time }): WindowDocument => ({
      ...time,
      ...to,
      ...('multiplier' in to ? {} : { steps: own }),
    }),
  )
const windows = fc.array(window, { maxLength: 4 }).map(candidates => {
  const kept: WindowDocument[] = []
  for (const candidate of candidates) if (!kept.some(other => overlap(other, candidate))) kept.push(candidate)
  return kept
})
const tiers = fc.record({ priority: multiplier, flex: multiplier, batch: multiplier }, { requiredKeys: [] })

/** A price as an operator could write it. */
export const anyTariff: fc.Arbitrary<TariffDocument> = fc
  .record({ rates, windows, steps, tiers, margin: fc.option(multiplier, { nil: undefined }) })
  .map(({ rates: base, margin, ...terms }) => ({
    ...base,
    ...terms,
    ...(margin !== undefined && { margin: { upstream: 'u', multiplier: margin } }),
  }))

export const anyCounts: fc.Arbitrary<PricedCounts> = fc.record({
  inputTokens: fc.nat(4_000),
  cachedInputTokens: fc.nat(5_000),
  cacheWriteTokens: fc.nat(3_000),
  outputTokens: fc.nat(2_000),
  reasoningTokens: fc.nat(2_500),
})
export const anyTier: fc.Arbitrary<ServiceTier> = fc.constantFrom('standard', 'priority', 'flex', 'batch')
/** Some instant of three weeks, with the edges of minutes and of weeks among them. */
export const anyInstant: fc.Arbitrary<number> = fc
  .tuple(fc.nat(21 * 96), fc.constantFrom(-1, 0, 1, 59_999))
  .map(([quarter, ms]) => Date.UTC(2026, 2, 23) + quarter * 15 * MINUTE_MS + ms)

/** What a usage is worth, in picodollars, worked out from the price as written: class by class, each a fraction, then summed. */
export function worthByHand(price: TariffDocument, counts: PricedCounts, atMs: number, tier: ServiceTier): Fraction {
  const open = price.windows?.find(each => isOpenByHand(each, atMs))
  const own = open !== undefined && open.multiplier === undefined
  const reached = (own ? open.steps : price.steps)?.findLast(step => counts.inputTokens >= step.from_input_tokens)
  const list = (
    reached !== undefined && reached.multiplier === undefined ? reached : own ? open : price
  ) as RatesDocument
  const factors = [
    open?.multiplier,
    reached?.multiplier,
    price.margin?.multiplier,
    tier === 'standard' ? undefined : price.tiers?.[tier],
  ].map(text => fraction(text ?? '1'))
  const cached = counts.cachedInputTokens > counts.inputTokens ? counts.inputTokens : counts.cachedInputTokens
  const writable = counts.inputTokens - cached
  const written = counts.cacheWriteTokens > writable ? writable : counts.cacheWriteTokens
  const reasoning = counts.reasoningTokens > counts.outputTokens ? counts.outputTokens : counts.reasoningTokens
  const million = 1_000_000n
  const parts: Fraction[] = [
    times([BigInt(writable - written), million], fraction(list.input)),
    times([BigInt(cached), million], fraction(list.cached_input ?? list.input)),
    times([BigInt(written), million], fraction(list.cache_write ?? list.input)),
    times([BigInt(counts.outputTokens - reasoning), million], fraction(list.output)),
    times([BigInt(reasoning), million], fraction(list.reasoning ?? list.output)),
    fraction(list.request ?? '0'),
  ]
  const dollars = parts
    .map(part => factors.reduce(times, part))
    .reduce(([a, b], [c, d]): Fraction => [a * d + c * b, b * d])
  return times(dollars, [10n ** 12n, 1n])
}

/** Picodollars to nanodollars: the neighbour that is nearer, of two equally near the even one. */
export function nanodollarsByHand([numerator, denominator]: Fraction): bigint {
  const below = numerator / (denominator * 1000n)
  const above = below + 1n
  const toBelow = numerator - below * denominator * 1000n
  const toAbove = above * denominator * 1000n - numerator
  if (toBelow === toAbove) return below % 2n === 0n ? below : above
  return toBelow < toAbove ? below : above
}

/** Whether a window is open, by the calendar. */
export function isOpenByHand({ days, start, end }: WindowDocument, atMs: number): boolean {
  const midnightMs = Math.floor(atMs / DAY_MS) * DAY_MS
  return [midnightMs - DAY_MS, midnightMs].some(dayMs => {
    if (days !== undefined && !days.some(day => day === UTC_DAYS[new Date(dayMs).getUTCDay()])) return false
    const beginsMs = dayMs + clockMs(start)
    const endsMs = dayMs + clockMs(end) + (clockMs(end) <= clockMs(start) ? DAY_MS : 0)
    return beginsMs <= atMs && atMs < endsMs
  })
}

const WEEK = Array.from({ length: 7 * 96 }, (_, quarter) => Date.UTC(2026, 0, 5) + quarter * 15 * MINUTE_MS)

function overlap(a: WindowDocument, b: WindowDocument): boolean {
  return WEEK.some(atMs => isOpenByHand(a, atMs) && isOpenByHand(b, atMs))
}

function clockMs(text: string): number {
  const [hours, minutes] = text.split(':').map(Number) as [number, number]
  return (hours * 60 + minutes) * MINUTE_MS
}

function fraction(text: string): Fraction {
  const [numerator = '0', denominator = '1'] = text.split('/')
  const [whole = '0', places = ''] = numerator.split('.')
  return [BigInt(whole + places), BigInt(denominator) * 10n ** BigInt(places.length)]
}

function times([a, b]: Fraction, [c, d]: Fraction): Fraction {
  return [a * c, b * d]
}
