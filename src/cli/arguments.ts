import { InvalidArgumentError } from 'commander'
import { parseDollars, parsePricePerMillion } from '../ledger/money.ts'

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

/** A whole number from 1. */
export function countArgument(text: string): number {
  const count = Number(text)
  if (!/^\d+$/.test(text) || count < 1 || count > COUNT_MAX)
    throw new InvalidArgumentError(`A whole number from 1 to ${COUNT_MAX} is wanted.`)
  return count
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

function checked(text: string, parse: (text: string) => unknown): string {
  try {
    parse(text)
    return text
  } catch (error) {
    throw new InvalidArgumentError(`${(error as Error).message}.`)
  }
}
