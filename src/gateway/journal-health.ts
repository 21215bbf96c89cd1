import type { Clock } from '../std/clock.ts'

/** After a failed settlement one request in so long is let in to try again. */
const PROBE_EVERY_MS = 1000

/**
 * Remembers whether charges can be written. While they cannot, work would be done for nothing, so admission answers 503,
 * but for one request a second that finds out whether the disk has recovered.
 */
export class JournalHealth {
  readonly #clock: Clock
  #failedMs: number | null = null

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get healthy(): boolean {
    return this.#failedMs === null
  }

  /** Whether a request may be admitted now; while unhealthy, true makes it the probe. */
  mayAdmit(): boolean {
    if (this.#failedMs === null) return true
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#failedMs < PROBE_EVERY_MS) return false
    this.#failedMs = nowMs
    return true
  }

  succeeded(): void {
    this.#failedMs = null
  }

  failed(): void {
    this.#failedMs = this.#clock.monotonicMs()
  }
}
