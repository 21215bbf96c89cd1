import { ApiError } from '../errors.ts'
import type { Measure } from '../inference/limit-rule.ts'
import type { HoldRefusal } from '../ledger/books.ts'
import type { Limit } from '../ledger/limit-counter.ts'
import { formatDollars } from '../ledger/money.ts'
import { limitHeaders } from './limit-headers.ts'

/** A running request ends soon, but nobody knows when. */
export const RUNNING_RETRY_MS = 1000
/** Nobody should hammer at a limit in the last instant of its window. */
const RETRY_MS_MIN = 1000

const NOUNS: Record<Exclude<Measure, 'nanodollars' | 'concurrency'>, string> = {
  requests: 'requests',
  tokens: 'tokens',
  uncached_tokens: 'uncached tokens',
  input_tokens: 'input tokens',
  output_tokens: 'output tokens',
}

/** What a client is told whose request does not fit under a limit: 402 for money and for what never comes back, 429 for all else, each with when it will fit. */
export function limitError(limit: Limit, refusal: HoldRefusal, nowMs: number): ApiError {
  const fitsAtMs = refusal.limited?.fitsAtMs ?? null
  const held = refusal.reason === 'limit_held'
  const waitMs = fitsAtMs === null ? null : Math.max(RETRY_MS_MIN, Math.ceil(fitsAtMs - nowMs))
  const left = leftText(limit, refusal.available)
  const when = fitsAtMs === null ? '' : ` It fits again at ${new Date(fitsAtMs).toISOString()} at the latest.`
  if (limit.measure === 'nanodollars') {
    return held
      ? new ApiError('balance_held', `${left} while other requests run. Repeat when they end.${when}`, {
          retryAfterMs: RUNNING_RETRY_MS,
        })
      : new ApiError('budget_exceeded', `The budget ${limit.id} is used up: ${left}.${when}`, {
          ...(waitMs !== null && { retryAfterMs: waitMs }),
        })
  }
  const headers = limitHeaders([{ limit, used: limit.amount - refusal.available, resetMs: fitsAtMs }], nowMs)
  // What never comes back is no rate: a client that repeats would do so for ever.
  if (!held && waitMs === null && limit.measure !== 'concurrency') {
    return new ApiError('budget_exceeded', `The limit ${limit.id} is used up: ${left}.`, { headers })
  }
  const retryAfterMs = held || waitMs === null ? RUNNING_RETRY_MS : waitMs
  const what =
    limit.measure === 'concurrency'
      ? `The limit ${limit.id} lets ${limit.amount} ${limit.amount === 1n ? 'request' : 'requests'} run at a time.`
      : `The limit ${limit.id} is reached: ${left}${held ? ' while other requests run' : ''}.${when}`
  return new ApiError('rate_limit_exceeded', what, { retryAfterMs, headers })
}

/** As in `$0.5 of $2 a day is left`, `3 of 60 requests a minute are left`. */
function leftText(limit: Limit, available: bigint): string {
  const { measure, amount } = limit
  if (measure === 'nanodollars') {
    return `$${formatDollars(available)} of $${formatDollars(amount)} ${windowText(limit)} is left`
  }
  const noun = measure === 'concurrency' ? 'requests' : NOUNS[measure]
  return `${available} of ${amount} ${amount === 1n ? noun.replace(/s$/, '') : noun} ${windowText(limit)} ${available === 1n ? 'is' : 'are'} left`
}

function windowText({ window }: Limit): string {
  if (window === 'ever') return 'in all'
  return window.startsWith('rolling_') ? `in any ${window.slice('rolling_'.length)}` : `a ${window}`
}
