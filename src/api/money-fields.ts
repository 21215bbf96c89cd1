import { ApiError } from '../errors.ts'
import { formatDollars, MoneyFormatError, parseDollars } from '../ledger/money.ts'
import { decimalOf } from '../wire/exact-number.ts'

const NANODOLLARS_PER_CENT = 10_000_000n

/** A JSON number of dollars as nanodollars, digit by digit. Throws ApiError 400 for what is finer than a nanodollar or absurd. */
export function dollarsIn(dollars: number, param: string): bigint {
  try {
    return parseDollars(decimalOf(dollars))
  } catch (error) {
    if (!(error instanceof MoneyFormatError)) throw error
    throw new ApiError('invalid_value', `${param}: ${error.message}`, { param })
  }
}

/** Dollars as a JSON number, for clients that read numbers; the exact amount stands beside it as text. */
export function dollarsOut(nanodollars: bigint): number {
  return Number(formatDollars(nanodollars))
}

/** Dollars as exact decimal text. */
export function exactDollars(nanodollars: bigint): string {
  return formatDollars(nanodollars)
}

/** Whole cents, rounded half up, for clients that read those. */
export function centsOut(nanodollars: bigint): number {
  const half = nanodollars < 0n ? -(NANODOLLARS_PER_CENT / 2n) : NANODOLLARS_PER_CENT / 2n
  return Number((nanodollars + half) / NANODOLLARS_PER_CENT)
}

/** Whole cents as nanodollars. */
export function centsIn(cents: number): bigint {
  return BigInt(cents) * NANODOLLARS_PER_CENT
}
