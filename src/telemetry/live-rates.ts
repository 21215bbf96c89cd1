import type { Settlement } from '../ledger/journal.ts'

const SECONDS = 60

interface Second {
  /** The second since 1970 that it stands for. */
  at: number
  requests: number
  outputTokens: number
  firstTokens: number
  firstTokenMs: number
}

/** How the service does right now: sums over the last minute, a slot a second, without memory of what was before. */
export class LiveRates {
  readonly #seconds: Second[] = Array.from({ length: SECONDS }, () => ({
    ...{ at: Number.NEGATIVE_INFINITY, requests: 0, outputTokens: 0, firstTokens: 0, firstTokenMs: 0 },
  }))

  settled({ settledMs, usage, ttftMs }: Settlement): void {
    const at = Math.floor(settledMs / 1000)
    const second = this.#seconds[at % SECONDS] as Second
    if (second.at !== at) Object.assign(second, { at, requests: 0, outputTokens: 0, firstTokens: 0, firstTokenMs: 0 })
    second.requests++
    second.outputTokens += usage.outputTokens
    if (ttftMs === null) return
    second.firstTokens++
    second.firstTokenMs += ttftMs
  }

  /** Rates over the whole seconds of the last minute; wall clock. */
  read(nowMs: number): {
    readonly outputTokensPerSecond: number
    readonly requestsPerSecond: number
    readonly firstTokenSeconds: number | null
  } {
    const now = Math.floor(nowMs / 1000)
    const recent = this.#seconds.filter(({ at }) => at > now - SECONDS && at <= now)
    const sum = (of: (second: Second) => number) => recent.reduce((total, second) => total + of(second), 0)
    const firstTokens = sum(second => second.firstTokens)
    return {
      outputTokensPerSecond: sum(second => second.outputTokens) / SECONDS,
      requestsPerSecond: sum(second => second.requests) / SECONDS,
      firstTokenSeconds: firstTokens === 0 ? null : sum(second => second.firstTokenMs) / firstTokens / 1000,
    }
  }
}
