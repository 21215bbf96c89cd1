import { InvalidArgumentError } from 'commander'
import { parseDollars, parsePricePerMillion } from '../ledger/money.ts'
import { DAYS, type Day } from '../pricing/document.ts'
import { parseRatio } from '../pricing/ratio.ts'

const UNIT_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }
const SPAN = /^(\d{1,6})([mhdw])$/
const COUNT_MAX = 1_000_000

/** An amount of dollars, above or equal to zero; kept as the text it is. */
export function dollarsArgument(text: string): string {
  return checked(text, value => {
    if (parseDollars(value) < 0n) throw new Error('it cannot be negative')
  })
}

/** An amount of dollars of either sign; kept as the text it is. */
export function anyDollarsArgument(text: string): string {
  return checked(text, parseDollars)
}

/** A price in dollars per million tokens; kept as the text it is. */
export function priceArgument(text: string): string {
  return checked(text, parsePricePerMillion)
}

/** Names with commas between them; blanks around them do not count. */
export function listArgument(text: string): string[] {
  const names = text.split(',').map(name => name.trim())
  if (names.includes('')) throw new InvalidArgumentError('Names are wanted, with commas between them.')
  return names
}

/** A whole number from 1. */
export function countArgument(text: string): number {
  const count = Number(text)
  if (!/^\d+$/.test(text) || count < 1 || count > COUNT_MAX)
    throw new InvalidArgumentError(`A whole number from 1 to ${COUNT_MAX} is wanted.`)
  return count
}

/** A share such as `20%`, as a number from 0 to 1. */
export function shareArgument(text: string): number {
  const [, percent] = /^(\d{1,3}(?:\.\d{1,3})?)\s?%$/.exec(text) ?? []
  if (percent === undefined || Number(percent) > 100)
    throw new InvalidArgumentError('A share from 0% to 100% is wanted, such as 20%.')
  return Number(percent) / 100
}

/** Checks a whole number from `min` to `max`. */
export function wholeArgument(min: number, max: number): (text: string) => number {
  return text => {
    const value = Number(text)
    if (!/^\d{1,15}$/.test(text) || value < min || value > max)
      throw new InvalidArgumentError(`A whole number from ${min} to ${max} is wanted.`)
    return value
  }
}

/** Seconds of a span such as `24h` or `7d`; null for what is none. */
export function secondsFrom(text: string): number | null {
  const span = SPAN.exec(text)
  return span === null ? null : (Number(span[1]) * (UNIT_MS[span[2] as string] as number)) / 1000
}

/**
 * A time as RFC 3339: `2026-01-31`, `2026-01-31T12:00:00Z`, or a span such as `24h` or `7d` that reaches back from now
 * (or ahead, with `direction` 1).
 */
export function timeFrom(text: string, nowMs: number, direction: -1 | 1): string {
  const span = SPAN.exec(text)
  if (span !== null)
    return new Date(nowMs + direction * Number(span[1]) * (UNIT_MS[span[2] as string] as number)).toISOString()
  const atMs = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text)
    ? Date.parse(text)
    : Number.NaN
  if (Number.isNaN(atMs))
    throw new InvalidArgumentError(
      `"${text}" is no time; write 2026-01-31, 2026-01-31T12:00:00Z, or a span such as 24h or 7d.`,
    )
  return new Date(atMs).toISOString()
}

/** `mon-fri 01:00-04:00 2`: days (one, a span, or none for all), hours in UTC, and a multiplier. */
export function windowArgument(text: string): { days?: Day[]; start: string; end: string; multiplier: string } {
  const match = /^(?:([a-z]{3})(?:-([a-z]{3}))? +)?(\d\d:\d\d)-(\d\d:\d\d) +([\d./]+)$/.exec(text.trim().toLowerCase())
  const [, first, last = first, start = '', end = '', multiplier = ''] = match ?? []
  const [from, to] = [DAYS.indexOf(first as Day), DAYS.indexOf(last as Day)]
  if (match === null || (first !== undefined && (from === -1 || to === -1)))
    throw new InvalidArgumentError(`"${text}" is no window; write "mon-fri 01:00-04:00 2" or "16:30-00:30 0.5".`)
  checked(multiplier, parseRatio)
  if (first === undefined) return { start, end, multiplier }
  // A span may go over the end of the week: fri-mon.
  const days = DAYS.filter((_, day) => (from <= to ? day >= from && day <= to : day >= from || day <= to))
  return { days, start, end, multiplier }
}

/** `flex=0.5`. */
export function tierArgument(text: string): { [tier in 'priority' | 'flex' | 'batch']?: string } {
  const match = /^(priority|flex|batch)=(.+)$/.exec(text)
  if (match === null) throw new InvalidArgumentError(`"${text}" is no tier; write priority=2, flex=0.5 or batch=0.5.`)
  return { [match[1] as 'flex']: checked(match[2] as string, parseRatio) }
}

/** `provider=1.2`. */
export function marginArgument(text: string): { upstream: string; multiplier: string } {
  const at = text.lastIndexOf('=')
  if (at < 1) throw new InvalidArgumentError(`"${text}" names no upstream; write provider=1.2.`)
  return { upstream: text.slice(0, at), multiplier: checked(text.slice(at + 1), parseRatio) }
}

function checked(text: string, parse: (text: string) => unknown): string {
  try {
    parse(text)
    return text
  } catch (error) {
    throw new InvalidArgumentError(`${(error as Error).message}.`)
  }
}
