import { InvalidArgumentError } from 'commander'
import { parseDollars, parsePricePerMillion } from '../ledger/money.ts'

const UNIT_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }
const COUNT_MAX = 1_000_000

/** An amount of dollars, above or equal to zero; kept as the text it is. */
export function dollarsArgument(text: string): string {
  return checked(text, value => {
    if (parseDollars(value) < 0n) throw new Error('it cannot be negative')
  })
}

/** A price in dollars per million tokens; kept as the text it is. */
export function priceArgument(text: string): string {
  return checked(text, parsePricePerMillion)
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

/**
 * A time as RFC 3339: `2026-01-31`, `2026-01-31T12:00:00Z`, or a span such as `24h` or `7d` that reaches back from now
 * (or ahead, with `direction` 1).
 */
export function timeFrom(text: string, nowMs: number, direction: -1 | 1): string {
  const span = /^(\d{1,6})([mhdw])$/.exec(text)
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

function checked(text: string, parse: (text: string) => unknown): string {
  try {
    parse(text)
    return text
  } catch (error) {
    throw new InvalidArgumentError(`${(error as Error).message}.`)
  }
}
