import type { Change, PriceStep, PriceTerms, PriceWindow, Rates, Ratio, Tariff } from '../inference/price.ts'
import { PRICED_TIERS } from '../inference/service-tier.ts'
import {
  formatPicodollars,
  formatPricePerMillion,
  MoneyFormatError,
  parsePicodollars,
  parsePricePerMillion,
} from '../ledger/money.ts'
import { DAY_MINUTES, overlapOf } from './calendar.ts'
import { formatRatio, parseRatio, RatioFormatError } from './ratio.ts'

export const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const
export type Day = (typeof DAYS)[number]
export const WINDOWS_MAX = 64
export const STEPS_MAX = 16

/**
 * Rates as people write them: dollars per million tokens (`request` and `search_unit`: dollars each) as decimal strings. What is
 * left out: `cached_input` and `cache_write` cost what input costs, `reasoning` what output costs, the rest nothing.
 */
export interface RatesDocument {
  readonly input: string
  readonly cached_input?: string
  readonly cache_write?: string
  readonly output: string
  readonly reasoning?: string
  readonly request?: string
  readonly search_unit?: string
}

/** Either a multiplier or rates. */
export type ChangeDocument = Partial<RatesDocument> & { readonly multiplier?: string }

/** A step as people write it. */
export type StepDocument = ChangeDocument & { readonly from_input_tokens: number }

/** A window as people write it; without days it opens every day. An end at or before the start is on the next day. */
export type WindowDocument = ChangeDocument & {
  readonly days?: readonly Day[]
  /** `HH:MM`, UTC. */
  readonly start: string
  readonly end: string
  /** Of a window with rates, beside a price with steps: the steps in the window. */
  readonly steps?: readonly StepDocument[]
}

/** What depends on the request, as people write it. */
export interface TermsDocument {
  readonly windows?: readonly WindowDocument[]
  readonly steps?: readonly StepDocument[]
  /** Multipliers. */
  readonly tiers?: { readonly priority?: string; readonly flex?: string; readonly batch?: string }
  /** The rates are what this upstream takes, before its multiplier. */
  readonly margin?: { readonly upstream: string; readonly multiplier: string }
}

/** A tariff as people write it, in JSON or YAML. */
export type TariffDocument = RatesDocument & TermsDocument

/** Rates as we write them: these are always said. */
type WrittenRates = RatesDocument & { readonly cached_input: string; readonly request: string }

/** A price was written wrongly. The message says how, and `path` where. */
export class PriceFormatError extends Error {
  override name = 'PriceFormatError'
  readonly path: readonly (string | number)[]

  constructor(path: readonly (string | number)[], message: string) {
    super(message)
    this.path = path
  }
}

const PER_MILLION = ['input', 'cached_input', 'cache_write', 'output', 'reasoning'] as const
const EACH = ['request', 'search_unit'] as const
const RATE_KEYS = [...PER_MILLION, ...EACH]

/** Reads a tariff; throws `PriceFormatError` for what is wrong with it. Fields that are no part of one are left unread. */
export function tariffOfDocument(document: TariffDocument): Tariff {
  const rates = ratesOf(document, [])
  const terms = termsOfDocument(document, document)
  return terms === undefined ? rates : { ...rates, terms }
}

/** Reads the terms that stand beside rates; undefined when there are none. */
export function termsOfDocument(document: TermsDocument, base: Partial<RatesDocument>): PriceTerms | undefined {
  const steps = stepsOf(document.steps ?? [], base, ['steps'])
  const windows = windowsOf(document.windows ?? [], base, steps.length > 0)
  const tiers: { [Tier in (typeof PRICED_TIERS)[number]]?: Ratio } = {}
  for (const tier of PRICED_TIERS) {
    const text = document.tiers?.[tier]
    if (text !== undefined) tiers[tier] = multiplierOf(text, ['tiers', tier])
  }
  const { margin } = document
  if (windows.length + steps.length + Object.keys(tiers).length === 0 && margin === undefined) return undefined
  return {
    windows,
    steps,
    tiers,
    ...(margin !== undefined && {
      margin: { upstreamId: margin.upstream, multiplier: multiplierOf(margin.multiplier, ['margin', 'multiplier']) },
    }),
  }
}

/** The one form in which a tariff is written: two tariffs that price alike by the same means have the same document. */
export function documentOfTariff(tariff: Tariff): WrittenRates & TermsDocument {
  return { ...documentOfRates(tariff), ...(tariff.terms === undefined ? {} : documentOfTerms(tariff.terms)) }
}

/** The one form in which terms are written. */
export function documentOfTerms({ windows, steps, tiers, margin }: PriceTerms): TermsDocument {
  const sold = PRICED_TIERS.flatMap(tier => {
    const multiplier = tiers[tier]
    return multiplier === undefined ? [] : [[tier, formatRatio(multiplier)]]
  })
  return {
    ...(windows.length > 0 && { windows: windows.map(window => documentOfWindow(window, steps.length > 0)) }),
    ...(steps.length > 0 && { steps: steps.map(documentOfStep) }),
    ...(sold.length > 0 && { tiers: Object.fromEntries(sold) }),
    ...(margin !== undefined && {
      margin: { upstream: margin.upstreamId, multiplier: formatRatio(margin.multiplier) },
    }),
  }
}

/** Whether two tariffs are written alike. */
export function sameTariff(a: Tariff, b: Tariff): boolean {
  return JSON.stringify(documentOfTariff(a)) === JSON.stringify(documentOfTariff(b))
}

/** Minutes since midnight as `HH:MM`. */
export function formatMinute(minute: number): string {
  const two = (value: number) => String(value).padStart(2, '0')
  return `${two(Math.floor(minute / 60))}:${two(minute % 60)}`
}

function documentOfRates(rates: Rates): WrittenRates {
  const { cacheWritePicodollars, reasoningPicodollars, searchUnitPicodollars } = rates
  return {
    input: formatPricePerMillion(rates.inputPicodollars),
    cached_input: formatPricePerMillion(rates.cachedInputPicodollars),
    ...(cacheWritePicodollars !== undefined && { cache_write: formatPricePerMillion(cacheWritePicodollars) }),
    output: formatPricePerMillion(rates.outputPicodollars),
    ...(reasoningPicodollars !== undefined && { reasoning: formatPricePerMillion(reasoningPicodollars) }),
    request: formatPicodollars(rates.requestPicodollars),
    ...(searchUnitPicodollars !== undefined && { search_unit: formatPicodollars(searchUnitPicodollars) }),
  }
}

function documentOfChange(change: Change): ChangeDocument {
  return 'rates' in change ? documentOfRates(change.rates) : { multiplier: formatRatio(change.multiplier) }
}

function documentOfStep(step: PriceStep): StepDocument {
  return { from_input_tokens: step.fromInputTokens, ...documentOfChange(step) }
}

function documentOfWindow(window: PriceWindow, priceHasSteps: boolean): WindowDocument {
  const { days, startMinute, durationMinutes } = window
  return {
    ...(days.length < DAYS.length && { days: days.map(day => DAYS[day] as Day) }),
    start: formatMinute(startMinute),
    end: formatMinute((startMinute + durationMinutes) % DAY_MINUTES),
    ...documentOfChange(window),
    ...('rates' in window && (priceHasSteps || window.steps.length > 0) && { steps: window.steps.map(documentOfStep) }),
  }
}

type Path = readonly (string | number)[]

function ratesOf(document: Partial<RatesDocument>, path: Path): Rates {
  const read = (key: keyof RatesDocument): bigint | undefined => {
    const text = document[key]
    if (text === undefined) return undefined
    try {
      return (EACH as readonly string[]).includes(key) ? parsePicodollars(text) : parsePricePerMillion(text)
    } catch (error) {
      if (!(error instanceof MoneyFormatError)) throw error
      throw new PriceFormatError([...path, key], error.message)
    }
  }
  const needed = (key: 'input' | 'output'): bigint => {
    const value = read(key)
    if (value === undefined)
      throw new PriceFormatError([...path, key], `is missing; what costs nothing has to be said as "0"`)
    return value
  }
  const inputPicodollars = needed('input')
  const cacheWritePicodollars = read('cache_write')
  const reasoningPicodollars = read('reasoning')
  const searchUnitPicodollars = read('search_unit')
  return {
    inputPicodollars,
    cachedInputPicodollars: read('cached_input') ?? inputPicodollars,
    ...(cacheWritePicodollars !== undefined && { cacheWritePicodollars }),
    outputPicodollars: needed('output'),
    ...(reasoningPicodollars !== undefined && { reasoningPicodollars }),
    requestPicodollars: read('request') ?? 0n,
    ...(searchUnitPicodollars !== undefined && { searchUnitPicodollars }),
  }
}

// Rates of a window or step are a whole list: a class that the price names and they do not would have two plausible meanings.
function changeOf(document: ChangeDocument, base: Partial<RatesDocument>, path: Path): Change {
  const named = RATE_KEYS.filter(key => document[key] !== undefined)
  if (document.multiplier !== undefined) {
    if (named.length > 0)
      throw new PriceFormatError(path, `has a multiplier and prices (${named.join(', ')}); give the one or the others`)
    return { multiplier: multiplierOf(document.multiplier, [...path, 'multiplier']) }
  }
  if (named.length === 0) throw new PriceFormatError(path, 'changes nothing; give a multiplier, or input and output')
  const forgotten = RATE_KEYS.find(key => base[key] !== undefined && document[key] === undefined)
  if (forgotten !== undefined)
    throw new PriceFormatError(
      [...path, forgotten],
      'is missing; what the price itself names has to be named here too, be it the same',
    )
  return { rates: ratesOf(document, path) }
}

function stepsOf(documents: readonly StepDocument[], base: Partial<RatesDocument>, path: Path): PriceStep[] {
  if (documents.length > STEPS_MAX) throw new PriceFormatError(path, `can have at most ${STEPS_MAX} entries`)
  let beforeTokens = 0
  return documents.map((document, index) => {
    const fromInputTokens = document.from_input_tokens
    const at = [...path, index, 'from_input_tokens']
    if (!Number.isSafeInteger(fromInputTokens) || fromInputTokens < 1)
      throw new PriceFormatError(at, 'has to be a whole number of at least 1')
    if (fromInputTokens <= beforeTokens)
      throw new PriceFormatError(at, `has to be above ${beforeTokens}, that of the step before`)
    beforeTokens = fromInputTokens
    return { fromInputTokens, ...changeOf(document, base, [...path, index]) }
  })
}

function windowsOf(
  documents: readonly WindowDocument[],
  base: Partial<RatesDocument>,
  priceHasSteps: boolean,
): PriceWindow[] {
  if (documents.length > WINDOWS_MAX) throw new PriceFormatError(['windows'], `can have at most ${WINDOWS_MAX} entries`)
  const windows = documents.map((document, index): PriceWindow => {
    const path = ['windows', index]
    const days = daysOf(document.days ?? DAYS, [...path, 'days'])
    const startMinute = minuteOf(document.start, [...path, 'start'])
    const endMinute = minuteOf(document.end, [...path, 'end'])
    if (startMinute === DAY_MINUTES)
      throw new PriceFormatError([...path, 'start'], 'cannot be 24:00; write 00:00 and the next day')
    const durationMinutes = endMinute > startMinute ? endMinute - startMinute : endMinute + DAY_MINUTES - startMinute
    const time = { days, startMinute, durationMinutes }
    const change = changeOf(document, base, path)
    if ('rates' in change) {
      if (priceHasSteps && document.steps === undefined)
        throw new PriceFormatError(
          [...path, 'steps'],
          'is missing: the price has steps, so say which the window has, or [] for none; or give the window a multiplier',
        )
      return { ...time, ...change, steps: stepsOf(document.steps ?? [], document, [...path, 'steps']) }
    }
    if (document.steps !== undefined)
      throw new PriceFormatError([...path, 'steps'], 'can only stand in a window with prices of its own')
    return { ...time, ...change }
  })
  const overlap = overlapOf(windows)
  if (overlap !== null)
    throw new PriceFormatError(
      ['windows', overlap[1]],
      `overlaps windows[${overlap[0]}]; at any time one price has to hold`,
    )
  return windows.sort((a, b) => firstMinute(a) - firstMinute(b))
}

function firstMinute({ days, startMinute }: PriceWindow): number {
  return (days[0] as number) * DAY_MINUTES + startMinute
}

function daysOf(names: readonly string[], path: Path): number[] {
  const days = names.map((name, index) => {
    const day = DAYS.indexOf(name as Day)
    if (day === -1) throw new PriceFormatError([...path, index], `has to be one of ${DAYS.join(', ')}`)
    return day
  })
  if (days.length === 0) throw new PriceFormatError(path, 'needs at least one day; leave it out for every day')
  return [...new Set(days)].sort((a, b) => a - b)
}

function minuteOf(text: string, path: Path): number {
  const match = /^(\d\d):(\d\d)$/.exec(text)
  const minute = match === null ? -1 : Number(match[1]) * 60 + Number(match[2])
  if (minute < 0 || minute > DAY_MINUTES || Number(match?.[2]) > 59)
    throw new PriceFormatError(path, `has to be a time of day in UTC such as "16:30", got ${JSON.stringify(text)}`)
  return minute
}

function multiplierOf(text: string, path: Path): Ratio {
  try {
    return parseRatio(text)
  } catch (error) {
    if (!(error instanceof RatioFormatError)) throw error
    throw new PriceFormatError(path, error.message)
  }
}
