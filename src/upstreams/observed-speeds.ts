import type { Percentile } from '../inference/preferences.ts'
import type { ObservedSpeed } from '../inference/upstream.ts'

/** Attempts that a target is judged by: enough for a 99th percentile, few enough to be sorted at any time. */
const SAMPLES_MAX = 128
/** Older ones tell nothing of how it does now. */
const SAMPLE_AGE_MS_MAX = 30 * 60_000
/** The speed of so few tokens is that of the line. */
const TOKENS_FOR_SPEED_MIN = 4

/** What one attempt showed. */
export interface SpeedSample {
  /** From the attempt's start to its first token. */
  readonly latencyMs: number
  /** Output tokens after the first, and how long they took. */
  readonly tokens: number
  readonly writingMs: number
}

interface Sample {
  readonly atMs: number
  readonly latencyMs: number
  readonly tokensPerSecond: number | undefined
}

/** The last attempts at one target, and percentiles of them. */
export class ObservedSpeeds {
  readonly #samples: Sample[] = []
  #speed: ObservedSpeed | undefined

  /** Notes an attempt; `nowMs` is monotonic. */
  note({ latencyMs, tokens, writingMs }: SpeedSample, nowMs: number): void {
    const measured = tokens >= TOKENS_FOR_SPEED_MIN && writingMs > 0
    this.#samples.push({ atMs: nowMs, latencyMs, tokensPerSecond: measured ? (tokens * 1000) / writingMs : undefined })
    if (this.#samples.length > SAMPLES_MAX) this.#samples.shift()
    this.#speed = undefined
  }

  /** How it did within the last half hour. Sorted anew only after something was noted or grew old. */
  at(nowMs: number): ObservedSpeed {
    const stale = this.#samples.findIndex(sample => nowMs - sample.atMs <= SAMPLE_AGE_MS_MAX)
    if (stale !== 0 && this.#samples.length > 0) {
      this.#samples.splice(0, stale < 0 ? this.#samples.length : stale)
      this.#speed = undefined
    }
    this.#speed ??= {
      latencyMs: percentiles(
        this.#samples.map(sample => sample.latencyMs),
        (a, b) => a - b,
      ),
      // What 9 in 10 reach is small among the speeds: they are ranked from the fastest on.
      tokensPerSecond: percentiles(
        this.#samples.flatMap(sample => sample.tokensPerSecond ?? []),
        (a, b) => b - a,
      ),
    }
    return this.#speed
  }
}

// The least of the values, best first, that the part of the requests reaches.
function percentiles(
  values: number[],
  compare: (a: number, b: number) => number,
): { [Each in Percentile]: number } | undefined {
  if (values.length === 0) return undefined
  values.sort(compare)
  const at = (part: number) => values[Math.ceil(values.length * part) - 1] as number
  return { p50: at(0.5), p75: at(0.75), p90: at(0.9), p99: at(0.99) }
}
