import type { PriceStep, PriceTerms, PriceWindow, Rates, Ratio, Tariff } from '../inference/price.ts'
import { PRICED_TIERS } from '../inference/service-tier.ts'
import { formatPicodollars, MoneyFormatError, parsePicodollars } from '../ledger/money.ts'
import { DAY_MINUTES } from './calendar.ts'
import { PriceFormatError, STEPS_MAX, WINDOWS_MAX } from './document.ts'
import { formatRatio, ONE, parseRatio, times } from './ratio.ts'
import { scaleUp } from './shown-tariff.ts'

/**
 * Prices per single token, as decimal strings of dollars, in the words of the aggregators' lists of models. What is left out costs
 * what its kin costs: cache reads and writes as the prompt, reasoning as the completion.
 */
export interface TokenRates {
  readonly prompt?: string
  readonly completion?: string
  readonly request?: string
  readonly input_cache_read?: string
  readonly input_cache_write?: string
  readonly internal_reasoning?: string
}

/**
 * Other prices under conditions, which all have to hold; later entries win, price by price. `min_prompt_tokens` is exceeded, not
 * reached; `utc_start` (inclusive) and `utc_end` (exclusive) are HHMM numbers and may wrap past midnight; `utc_days` are the days of
 * the very instant, also behind midnight.
 */
export interface TokenOverride extends TokenRates {
  readonly min_prompt_tokens?: number
  readonly utc_start?: number
  readonly utc_end?: number
  readonly utc_days?: readonly string[]
}

/** The `pricing` of a model; `service_tiers` is ours: multipliers of everything before. */
export interface TokenPricing extends TokenRates {
  readonly prompt: string
  readonly completion: string
  readonly overrides?: readonly TokenOverride[]
  readonly service_tiers?: { readonly [tier: string]: string }
}

const UTC_DAYS = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday']
const RATE_KEYS = [
  'prompt',
  'completion',
  'request',
  'input_cache_read',
  'input_cache_write',
  'internal_reasoning',
] as const

/**
 * A tariff as `pricing`, exactly: windows and steps become overrides, multipliers are multiplied out. Null when that needs what
 * `pricing` cannot say: a price finer than 1 picodollar per token, or search units.
 */
export function tokenPricingOf(tariff: Tariff): TokenPricing | null {
  const { pricing, exact } = written(tariff)
  return exact ? pricing : null
}

/** A tariff as `pricing` for people to see: what it cannot say exactly is rounded up to 1 picodollar per token, or left out. */
export function shownTokenPricing(tariff: Tariff): TokenPricing {
  return written(tariff).pricing
}

function written(tariff: Tariff): { pricing: TokenPricing; exact: boolean } {
  const terms = tariff.terms ?? PLAIN
  const apart = pricedApart(tariff, terms)
  const margin = terms.margin?.multiplier ?? ONE
  const overrides: TokenOverride[] = []
  let exact = tariff.searchUnitPicodollars === undefined
  const rates = (of: Rates, multiplier: Ratio): TokenRates & { prompt: string; completion: string } => {
    const scaled = scaleUp(of, multiplier)
    if (!scaled.exact || of.searchUnitPicodollars !== undefined) exact = false
    return tokenRatesOf(scaled.rates, apart)
  }
  const stepOverrides = (steps: readonly PriceStep[], base: Rates, multiplier: Ratio, when: TokenOverride) => {
    for (const step of steps) {
      const own = 'rates' in step
      const stepRates = rates(own ? step.rates : base, own ? multiplier : times(multiplier, step.multiplier))
      overrides.push({ min_prompt_tokens: step.fromInputTokens - 1, ...when, ...stepRates })
    }
  }
  stepOverrides(terms.steps, tariff, margin, {})
  for (const window of terms.windows) {
    const own = 'rates' in window
    const base = own ? window.rates : tariff
    const multiplier = own ? margin : times(margin, window.multiplier)
    for (const when of conditionsOf(window)) {
      overrides.push({ ...when, ...rates(base, multiplier) })
      stepOverrides(own ? window.steps : terms.steps, base, multiplier, when)
    }
  }
  const base = rates(tariff, margin)
  const tiers = PRICED_TIERS.flatMap(tier => {
    const multiplier = terms.tiers[tier]
    return multiplier === undefined ? [] : [[tier, formatRatio(multiplier)]]
  })
  const pricing = {
    ...base,
    ...(overrides.length > 0 && { overrides }),
    ...(tiers.length > 0 && { service_tiers: Object.fromEntries(tiers) }),
  }
  return { pricing, exact }
}

const PLAIN: PriceTerms = { windows: [], steps: [], tiers: {} }

/** Reads `pricing`; throws `PriceFormatError` for what is wrong or cannot be kept. */
export function tariffOfTokenPricing(pricing: TokenPricing): Tariff {
  const overrides = pricing.overrides ?? []
  for (const [index, override] of overrides.entries()) checkConditions(override, ['overrides', index])
  // What one entry prices apart is apart everywhere, as in a price of ours.
  const all = [pricing, ...overrides]
  const apart: Apart = {
    cacheWrite: all.some(each => each.input_cache_write !== undefined),
    reasoning: all.some(each => each.internal_reasoning !== undefined),
  }
  const always = overrides.filter(each => !isTimed(each))
  const ratesWhen = (entries: readonly TokenOverride[], promptTokens: number): Rates => {
    const holding = entries.filter(each => (each.min_prompt_tokens ?? -1) < promptTokens)
    return ratesOfTokens(Object.assign({}, pricing, ...holding) as TokenRates, apart)
  }
  const stepsWhen = (entries: readonly TokenOverride[]): PriceStep[] => {
    const thresholds = [...new Set(entries.flatMap(each => each.min_prompt_tokens ?? []))].sort((a, b) => a - b)
    if (thresholds.length > STEPS_MAX)
      throw new PriceFormatError(['overrides'], `can have at most ${STEPS_MAX} thresholds of prompt tokens`)
    return thresholds.map(tokens => ({ fromInputTokens: tokens + 1, rates: ratesWhen(entries, tokens + 1) }))
  }
  const windows = windowsOf(overrides).map(({ time, entries }): PriceWindow => {
    const holding = entries.map(index => overrides[index] as TokenOverride)
    return { ...time, rates: ratesWhen(holding, 0), steps: stepsWhen(holding) }
  })
  if (windows.length > WINDOWS_MAX)
    throw new PriceFormatError(['overrides'], `make more than ${WINDOWS_MAX} different parts of a week`)
  const tiers = tiersOf(pricing.service_tiers ?? {})
  const steps = stepsWhen(always)
  const rates = ratesWhen(always, 0)
  if (windows.length + steps.length + Object.keys(tiers).length === 0) return rates
  return { ...rates, terms: { windows, steps, tiers } }
}

function tiersOf(written: { readonly [tier: string]: string }): PriceTerms['tiers'] {
  const tiers: { [Tier in (typeof PRICED_TIERS)[number]]?: Ratio } = {}
  for (const [name, text] of Object.entries(written)) {
    const tier = PRICED_TIERS.find(each => each === name)
    if (tier === undefined)
      throw new PriceFormatError(['service_tiers', name], `has to be one of ${PRICED_TIERS.join(', ')}`)
    try {
      tiers[tier] = parseRatio(text)
    } catch (error) {
      throw new PriceFormatError(['service_tiers', name], (error as Error).message)
    }
  }
  return tiers
}

/** The classes that some rates of a tariff price apart; they are written everywhere, because overrides win key by key. */
interface Apart {
  readonly cacheWrite: boolean
  readonly reasoning: boolean
}

function pricedApart(tariff: Tariff, { windows, steps }: PriceTerms): Apart {
  const own = [...windows, ...steps, ...windows.flatMap(window => ('rates' in window ? window.steps : []))]
  const all = [tariff, ...own.flatMap(change => ('rates' in change ? [change.rates] : []))]
  return {
    cacheWrite: all.some(rates => rates.cacheWritePicodollars !== undefined),
    reasoning: all.some(rates => rates.reasoningPicodollars !== undefined),
  }
}

function tokenRatesOf(rates: Rates, apart: Apart) {
  const { cacheWritePicodollars, reasoningPicodollars } = rates
  return {
    prompt: decimal(rates.inputPicodollars),
    completion: decimal(rates.outputPicodollars),
    request: decimal(rates.requestPicodollars),
    input_cache_read: decimal(rates.cachedInputPicodollars),
    ...(apart.cacheWrite && { input_cache_write: decimal(cacheWritePicodollars ?? rates.inputPicodollars) }),
    ...(apart.reasoning && { internal_reasoning: decimal(reasoningPicodollars ?? rates.outputPicodollars) }),
  }
}

/** Without trailing zeros. */
function decimal(picodollars: bigint): string {
  return formatPicodollars(picodollars).replace(/\.?0+$/, '')
}

function ratesOfTokens(tokens: TokenRates, apart: Apart): Rates {
  const read = (key: (typeof RATE_KEYS)[number]): bigint | undefined => {
    const text = tokens[key]
    if (text === undefined) return undefined
    try {
      return parsePicodollars(text)
    } catch (error) {
      if (!(error instanceof MoneyFormatError)) throw error
      throw new PriceFormatError([key], error.message)
    }
  }
  const inputPicodollars = read('prompt')
  const outputPicodollars = read('completion')
  if (inputPicodollars === undefined || outputPicodollars === undefined)
    throw new PriceFormatError(
      [inputPicodollars === undefined ? 'prompt' : 'completion'],
      'is missing; what costs nothing has to be said as "0"',
    )
  const cacheWritePicodollars = read('input_cache_write') ?? inputPicodollars
  const reasoningPicodollars = read('internal_reasoning') ?? outputPicodollars
  return {
    inputPicodollars,
    cachedInputPicodollars: read('input_cache_read') ?? inputPicodollars,
    ...(apart.cacheWrite && { cacheWritePicodollars }),
    outputPicodollars,
    ...(apart.reasoning && { reasoningPicodollars }),
    requestPicodollars: read('request') ?? 0n,
  }
}

function isTimed({ utc_start, utc_end, utc_days }: TokenOverride): boolean {
  return utc_start !== undefined || utc_end !== undefined || utc_days !== undefined
}

function checkConditions(override: TokenOverride, path: (string | number)[]): void {
  const { utc_start, utc_end, utc_days, min_prompt_tokens } = override
  if ((utc_start === undefined) !== (utc_end === undefined))
    throw new PriceFormatError([...path, utc_start === undefined ? 'utc_start' : 'utc_end'], 'is missing')
  for (const key of ['utc_start', 'utc_end'] as const) {
    const value = override[key]
    if (value !== undefined && (!Number.isInteger(value) || value < 0 || value > 2400 || value % 100 > 59))
      throw new PriceFormatError([...path, key], `has to be a time as HHMM, such as 1630, not ${value}`)
  }
  const stranger = utc_days?.find(day => !UTC_DAYS.includes(day))
  if (stranger !== undefined)
    throw new PriceFormatError(
      [...path, 'utc_days'],
      `has to hold days such as monday, not ${JSON.stringify(stranger)}`,
    )
  if (min_prompt_tokens !== undefined && (!Number.isSafeInteger(min_prompt_tokens) || min_prompt_tokens < 0))
    throw new PriceFormatError([...path, 'min_prompt_tokens'], 'has to be a whole number, 0 or more')
}

// `utc_days` are those of the instant, so a window that goes on behind midnight on some days is told in two parts.
function conditionsOf(window: PriceWindow): TokenOverride[] {
  const { days, startMinute, durationMinutes } = window
  const endMinute = startMinute + durationMinutes
  const named = (of: readonly number[]) => of.map(day => UTC_DAYS[day % 7] as string)
  if (days.length === UTC_DAYS.length) {
    if (durationMinutes === DAY_MINUTES) return [{ utc_days: UTC_DAYS }]
    return [{ utc_start: clockOf(startMinute), utc_end: clockOf(endMinute % DAY_MINUTES) }]
  }
  const first =
    startMinute === 0 && endMinute === DAY_MINUTES
      ? { utc_days: named(days) }
      : { utc_start: clockOf(startMinute), utc_end: clockOf(Math.min(endMinute, DAY_MINUTES)), utc_days: named(days) }
  if (endMinute <= DAY_MINUTES) return [first]
  const rest = { utc_start: 0, utc_end: clockOf(endMinute - DAY_MINUTES), utc_days: named(days.map(day => day + 1)) }
  return [first, rest]
}

/** Midnight at an end is 0, which wraps, because the format's clock has no 2400. */
function clockOf(minute: number): number {
  return minute === DAY_MINUTES ? 0 : Math.floor(minute / 60) * 100 + (minute % 60)
}

function minuteOfClock(clock: number): number {
  return (Math.floor(clock / 100) * 60 + (clock % 100)) % DAY_MINUTES
}

interface TimedEntries {
  readonly time: Pick<PriceWindow, 'days' | 'startMinute' | 'durationMinutes'>
  /** The overrides that hold then, untimed ones included, by position. */
  readonly entries: readonly number[]
}

// The parts of the week in which the same timed overrides hold. Equal parts of several days are one window.
function windowsOf(overrides: readonly TokenOverride[]): TimedEntries[] {
  const timed = overrides.flatMap((each, index) => (isTimed(each) ? [index] : []))
  if (timed.length === 0) return []
  const clocks = timed.flatMap(index => [overrides[index]?.utc_start ?? 0, overrides[index]?.utc_end ?? 0])
  // Between two of these minutes of a day nothing changes.
  const edges = [...new Set([0, ...clocks.map(minuteOfClock)])].sort((a, b) => a - b)
  const found = new Map<string, { days: number[]; start: number; end: number; entries: number[] }>()
  for (let day = 0; day < UTC_DAYS.length; day++) {
    const parts: { start: number; end: number; key: string; entries: number[] }[] = []
    for (const [i, start] of edges.entries()) {
      const entries = timed.filter(index => isOpen(overrides[index] as TokenOverride, day, start))
      const [key, end, before] = [entries.join(), edges[i + 1] ?? DAY_MINUTES, parts.at(-1)]
      if (before?.key === key) before.end = end
      else parts.push({ start, end, key, entries })
    }
    for (const { start, end, key, entries } of parts) {
      if (entries.length === 0) continue
      const known = found.get(`${start}-${end}:${key}`)
      if (known === undefined) found.set(`${start}-${end}:${key}`, { days: [day], start, end, entries })
      else known.days.push(day)
    }
  }
  return [...found.values()]
    .map(({ days, start, end, entries }) => ({
      time: { days, startMinute: start, durationMinutes: end - start },
      entries: overrides.flatMap((each, index) => (!isTimed(each) || entries.includes(index) ? [index] : [])),
    }))
    .sort((a, b) => orderOf(a.time) - orderOf(b.time))
}

function orderOf({ days, startMinute }: TimedEntries['time']): number {
  return (days[0] as number) * DAY_MINUTES + startMinute
}

/** Whether an override's time condition holds in a minute of a day. */
function isOpen({ utc_start, utc_end, utc_days }: TokenOverride, day: number, minute: number): boolean {
  if (utc_days !== undefined && !utc_days.includes(UTC_DAYS[day] as string)) return false
  const start = minuteOfClock(utc_start ?? 0)
  const end = minuteOfClock(utc_end ?? 0)
  return start < end ? minute >= start && minute < end : minute >= start || minute < end
}
