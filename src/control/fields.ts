import { z } from '@hono/zod-openapi'
import { ApiError } from '../errors.ts'
import { formatDollars, MoneyFormatError, parseDollars } from '../ledger/money.ts'

const DOLLARS = 'US dollars as a decimal string, at most 9 places.'
const PRICE = 'US dollars per million tokens as a decimal string, at most 6 places (1 picodollar per token).'
const TIME = 'RFC 3339, in UTC.'
const PAGE_DEFAULT = 100
const PAGE_MAX = 1_000

/** Money in an answer. */
export const DollarsOut = z.string().openapi({ description: DOLLARS, example: '5.00' })
/** A price in an answer. */
export const PriceOut = z.string().openapi({ description: PRICE, example: '1.30' })
/** An instant in an answer. */
export const TimeOut = z
  .string()
  .openapi({ description: TIME, format: 'date-time', example: '2026-01-31T12:00:00.000Z' })

/** An amount of money that is not negative, in a request body; nanodollars once parsed. */
export const DollarsIn = z
  .string('has to be a string such as "5.00", so that no digit is lost')
  .transform((text, context) => {
    const amount = parsed(text, parseDollars, context)
    if (amount >= 0n) return amount
    context.addIssue({ code: 'custom', message: 'cannot be negative' })
    return z.NEVER
  })
  .openapi({ type: 'string', description: DOLLARS, example: '5.00' })

/** An amount of money of either sign, in a request body; nanodollars once parsed. */
export const SignedDollarsIn = z
  .string('has to be a string such as "5.00", so that no digit is lost')
  .transform((text, context) => parsed(text, parseDollars, context))
  .openapi({ type: 'string', description: DOLLARS, example: '5.00' })

/** The name of a price group. */
export const GroupIn = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'has to be 1 to 64 of a-z, 0-9, ".", "_" and "-", the first a letter or digit')
  .openapi({ example: 'partners' })

/** An instant in a request; milliseconds since 1970 once parsed. */
export const TimeIn = z.iso
  .datetime({ offset: true, error: 'has to be a time such as "2026-01-31T12:00:00Z"' })
  .transform(text => Date.parse(text))
  .openapi({ type: 'string', format: 'date-time', description: TIME, example: '2026-01-31T12:00:00Z' })

/** A name that people gave to something. */
export const NameIn = z.string().trim().min(1, 'cannot be empty').max(100, 'can have at most 100 characters')

/** Query fields of every list. */
export const PageQuery = z.object({
  limit: z.coerce
    .number()
    .int()
    .min(1, `has to be from 1 to ${PAGE_MAX}`)
    .max(PAGE_MAX, `has to be from 1 to ${PAGE_MAX}`)
    .default(PAGE_DEFAULT)
    .openapi({
      type: 'integer',
      minimum: 1,
      maximum: PAGE_MAX,
      default: PAGE_DEFAULT,
      description: 'Most rows to answer.',
    }),
  cursor: z.string().optional().openapi({ description: 'The next_cursor of the page before.' }),
})

/** The envelope of every list. */
export function listOf<Row extends z.ZodType>(row: Row) {
  return z.object({
    data: z.array(row),
    has_more: z.boolean(),
    next_cursor: z
      .string()
      .nullable()
      .openapi({ description: 'Give it as cursor to get the next page; null on the last.' }),
  })
}

/** One page of rows that are all in memory, in the order of their ids. */
export function pageOf<Row>(
  rows: Iterable<Row>,
  idOf: (row: Row) => string,
  query: { limit: number; cursor?: string },
) {
  const after = query.cursor === undefined ? '' : decodeCursor(query.cursor)
  const rest = [...rows].filter(row => idOf(row) > after).sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1))
  const data = rest.slice(0, query.limit)
  const last = data.at(-1)
  const hasMore = rest.length > data.length
  return { data, has_more: hasMore, next_cursor: hasMore && last !== undefined ? encodeCursor(idOf(last)) : null }
}

/** An opaque cursor that means "after this id". */
export function encodeCursor(text: string): string {
  return Buffer.from(text).toString('base64url')
}

/** What `encodeCursor` was given; throws `invalid_value` for what it cannot have made. */
export function decodeCursor(cursor: string): string {
  const text = Buffer.from(cursor, 'base64url').toString()
  if (text === '' || encodeCursor(text) !== cursor) {
    throw new ApiError('invalid_value', 'cursor: has to be the next_cursor of the page before', { param: 'cursor' })
  }
  return text
}

/** Milliseconds since 1970 as RFC 3339 in UTC. */
export function formatTime(atMs: number): string {
  return new Date(atMs).toISOString()
}

/** The same for a time that may not be. */
export function formatTimeOrNull(atMs: number | null): string | null {
  return atMs === null ? null : formatTime(atMs)
}

/** Nanodollars as dollars, null as null. */
export function formatDollarsOrNull(nanodollars: bigint | null): string | null {
  return nanodollars === null ? null : formatDollars(nanodollars)
}

function parsed(text: string, parse: (text: string) => bigint, context: z.RefinementCtx): bigint {
  try {
    return parse(text)
  } catch (error) {
    if (!(error instanceof MoneyFormatError)) throw error
    context.addIssue({ code: 'custom', message: error.message })
    return z.NEVER
  }
}
