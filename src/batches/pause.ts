import type { Clock } from '../std/clock.ts'
import type { LineError } from './line-verdict.ts'

const WAIT_MS_MIN = 1_000
const WAIT_MS_MAX = 60_000

/** How long a batch keeps quiet when its lines are put off: longer each time, until one succeeds. */
export class Pause {
  #putOff = 0
  #untilMs = 0
  #why: { readonly error: LineError; readonly sinceMs: number } | null = null

  /** What the batch waits for, and since when by the wall clock; null when its last line succeeded. */
  get why(): { readonly error: LineError; readonly sinceMs: number } | null {
    return this.#why
  }

  /** Until when no line should begin; monotonic. */
  get untilMs(): number {
    return this.#untilMs
  }

  /** A line was put off, and told to wait for so long, or not. Those that were under way together count once. */
  putOff(error: LineError, retryAfterMs: number | null, clock: Clock): void {
    const nowMs = clock.monotonicMs()
    this.#why = { error, sinceMs: this.#why?.sinceMs ?? clock.nowMs() }
    if (nowMs < this.#untilMs) return
    const waitMs = Math.max(WAIT_MS_MIN * 2 ** Math.min(this.#putOff++, 10), retryAfterMs ?? 0)
    // Not for as long as a budget's window may take to begin anew: credit, or a higher budget, can come at any time.
    this.#untilMs = nowMs + Math.min(waitMs, WAIT_MS_MAX)
  }

  /** A line came through. */
  over(): void {
    this.#putOff = 0
    this.#untilMs = 0
    this.#why = null
  }
}
