/** Waiting times of a supervisor, in milliseconds. */
export interface RestartLimits {
  readonly delayMs: number
  readonly delayMsMax: number
  /** Failures in a row after which only a request may try again. */
  readonly failuresMax: number
}

export const RESTART_LIMITS: RestartLimits = { delayMs: 250, delayMsMax: 30_000, failuresMax: 5 }

/**
 * When a child that failed may be started again: at once after the first failure, then after a delay that doubles up
 * to a bound. A success forgets the failures. Pure: time is handed in.
 */
export class RestartPolicy {
  readonly #limits: RestartLimits
  #failures = 0
  #failedMs = 0

  constructor(limits: RestartLimits = RESTART_LIMITS) {
    this.#limits = limits
  }

  get failures(): number {
    return this.#failures
  }

  failed(nowMs: number): void {
    this.#failures++
    this.#failedMs = nowMs
  }

  succeeded(): void {
    this.#failures = 0
  }

  /** Milliseconds until a start is allowed; 0 when it is. */
  waitMs(nowMs: number): number {
    if (this.#failures <= 1) return 0
    const delay = Math.min(this.#limits.delayMsMax, this.#limits.delayMs * 2 ** (this.#failures - 2))
    return Math.max(0, this.#failedMs + delay - nowMs)
  }

  /** Whether the supervisor should start it again on its own. */
  get mayRestart(): boolean {
    return this.#failures < this.#limits.failuresMax
  }
}
