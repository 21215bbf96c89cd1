import { ApiError } from '../errors.ts'

const HOUR_MS = 3_600_000
/** Months of one answer. */
const MONTHS_MAX = 60

/** A stretch of time in one month, whole hours: `fromMs` inclusive, `toMs` exclusive. */
export interface MonthPart {
  /** `2026.01`. */
  readonly period: string
  readonly fromMs: number
  readonly toMs: number
}

/**
 * The months of a period in DeepInfra's words: `2026.01`, `current`, `current(-2)` or seconds since 1970, for its first month or instant
 * (`from`) and its last (`to`). Instants are rounded down to whole hours, in which usage is summed.
 *
 * @param firstMs where usage begins: earlier months are left out.
 * @throws ApiError 400 that names the parameter.
 */
export function monthsOf(from: string, to: string | undefined, firstMs: number, nowMs: number): MonthPart[] {
  const begin = Math.max(instantOf(from, 'from', nowMs).fromMs, monthStart(firstMs, 0))
  const end = to === undefined ? monthStart(nowMs, 1) : instantOf(to, 'to', nowMs).toMs
  const months: MonthPart[] = []
  for (let start = monthStart(begin, 0); start < end; start = monthStart(start, 1)) {
    if (months.length === MONTHS_MAX)
      throw new ApiError('invalid_value', `to: is more than ${MONTHS_MAX} months after from; ask for fewer`, {
        param: 'to',
      })
    months.push({
      period: periodOf(start),
      fromMs: Math.max(start, begin),
      toMs: Math.min(monthStart(start, 1), end),
    })
  }
  return months
}

/** The month of a time, as `2026.01`. */
export function periodOf(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 7).replace('-', '.')
}

/** The first instant of a time's month in UTC, or of one so many months later. */
export function monthStart(atMs: number, months: number): number {
  const date = new Date(atMs)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + months)
}

// What a word names: all of a month, or one instant.
function instantOf(text: string, param: string, nowMs: number): { fromMs: number; toMs: number } {
  const whole = (startMs: number) => ({ fromMs: startMs, toMs: monthStart(startMs, 1) })
  const back = /^current(?:\(-(\d{1,3})\))?$/.exec(text)
  if (back !== null) return whole(monthStart(nowMs, -Number(back[1] ?? 0)))
  const month = /^(\d{4})\.(0[1-9]|1[0-2])$/.exec(text)
  if (month !== null && Number(month[1]) >= 1970) return whole(Date.UTC(Number(month[1]), Number(month[2]) - 1))
  if (/^\d{5,11}$/.test(text) || text === '0') {
    const atMs = Math.floor((Number(text) * 1000) / HOUR_MS) * HOUR_MS
    return { fromMs: atMs, toMs: atMs }
  }
  throw new ApiError(
    'invalid_value',
    `${param}: has to be a month such as 2026.01, current, current(-1), or seconds since 1970, and is ${JSON.stringify(text.slice(0, 40))}`,
    { param },
  )
}
