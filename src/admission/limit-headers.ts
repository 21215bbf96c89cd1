import type { Line } from '../ledger/books.ts'
import type { Limit } from '../ledger/limit-counter.ts'
import { forgottenAtMs, lengthMs } from '../ledger/window.ts'

const REQUESTS = {
  limit: 'x-ratelimit-limit-requests',
  remaining: 'x-ratelimit-remaining-requests',
  reset: 'x-ratelimit-reset-requests',
} as const
const TOKENS = {
  limit: 'x-ratelimit-limit-tokens',
  remaining: 'x-ratelimit-remaining-tokens',
  reset: 'x-ratelimit-reset-tokens',
} as const

/** What counts under a limit at the moment. */
export interface LimitState {
  readonly limit: Limit
  readonly used: bigint
  /** When what counts until now counts no more, milliseconds since 1970; null for a limit without a window. */
  readonly resetMs: number | null
}

/** The state of a limit that a request came under. */
export function stateOf({ limit, counter, piece }: Pick<Line, 'limit' | 'counter' | 'piece'>): LimitState {
  const resetMs = forgottenAtMs(limit.window, piece.fromMs)
  return { limit, used: counter.settled + counter.held, resetMs: Number.isFinite(resetMs) ? resetMs : null }
}

/**
 * The headers that tell a client how near it is to its limits: OpenAI's `x-ratelimit-*` for requests and for tokens, each for the limit
 * that has least left, and the IETF's `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10) for all of them.
 */
export function limitHeaders(states: readonly LimitState[], nowMs: number): Record<string, string> {
  const headers: Record<string, string> = {}
  put(
    headers,
    REQUESTS,
    tightest(states, measure => measure === 'requests'),
    nowMs,
  )
  put(
    headers,
    TOKENS,
    tightest(states, measure => measure.endsWith('tokens')),
    nowMs,
  )
  const rated = states.filter(({ limit }) => limit.measure !== 'nanodollars')
  if (rated.length === 0) return headers
  const name = ({ limit }: LimitState) => JSON.stringify(limit.id.split(':', 1)[0])
  headers['ratelimit-policy'] = rated
    .map(state => {
      const window = lengthMs(state.limit.window)
      return `${name(state)};q=${state.limit.amount}${window === null ? '' : `;w=${window / 1000}`}`
    })
    .join(', ')
  headers.ratelimit = rated
    .map(
      state => `${name(state)};r=${left(state)}${state.resetMs === null ? '' : `;t=${seconds(state.resetMs - nowMs)}`}`,
    )
    .join(', ')
  return headers
}

function put(
  headers: Record<string, string>,
  names: typeof REQUESTS | typeof TOKENS,
  state: LimitState | null,
  nowMs: number,
): void {
  if (state === null) return
  headers[names.limit] = String(state.limit.amount)
  headers[names.remaining] = String(left(state))
  if (state.resetMs !== null) headers[names.reset] = duration(state.resetMs - nowMs)
}

function tightest(states: readonly LimitState[], wanted: (measure: string) => boolean): LimitState | null {
  let found: LimitState | null = null
  for (const state of states) {
    if (!wanted(state.limit.measure)) continue
    // Least left in proportion to its amount, without leaving whole numbers.
    if (found === null || left(state) * found.limit.amount < left(found) * state.limit.amount) found = state
  }
  return found
}

function left({ limit, used }: LimitState): bigint {
  return used < limit.amount ? limit.amount - used : 0n
}

function seconds(ms: number): number {
  return Math.max(0, Math.ceil(ms / 1000))
}

/** As OpenAI writes it: `120ms`, `1s`, `6m0s`, `1h2m3s`. */
function duration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.ceil(ms))}ms`
  const all = seconds(ms)
  const [h, m, s] = [Math.floor(all / 3600), Math.floor((all % 3600) / 60), all % 60]
  return h > 0 ? `${h}h${m}m${s}s` : m > 0 ? `${m}m${s}s` : `${s}s`
}
