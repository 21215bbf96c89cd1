/** Time, handed in so that simulation can replace it. */
export interface Clock {
  /** Wall-clock milliseconds since 1970; may jump. */
  nowMs(): number
  /** Monotonic milliseconds from an arbitrary origin; never goes back. */
  monotonicMs(): number
  /** Calls back once after `delayMs`; the result cancels. Does not keep the process alive. */
  after(delayMs: number, callback: () => void): () => void
}

/** The machine's clock. */
export const SYSTEM_CLOCK: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
