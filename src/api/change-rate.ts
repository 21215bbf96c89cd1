import { ApiError } from '../errors.ts'

const MINUTE_MS = 60_000

/**
 * How many changes each organisation may make in a minute of the clock. A change is written to disk, between the charges of everybody, and
 * some are followed by a new snapshot; nobody's loop shall hold the others up.
 */
export class ChangeRate {
  readonly #most: number
  #minute = Number.NaN
  readonly #made = new Map<string, number>()

  constructor(mostPerMinute: number) {
    this.#most = mostPerMinute
  }

  /** Counts a change. Throws ApiError 429 when there were as many in this minute already. */
  take(orgId: string, nowMs: number): void {
    const minute = Math.floor(nowMs / MINUTE_MS)
    if (minute !== this.#minute) this.#made.clear()
    this.#minute = minute
    const made = this.#made.get(orgId) ?? 0
    if (made >= this.#most) {
      throw new ApiError('rate_limit_exceeded', `An organisation can make ${this.#most} such changes a minute.`, {
        retryAfterMs: (minute + 1) * MINUTE_MS - nowMs,
      })
    }
    this.#made.set(orgId, made + 1)
  }
}
