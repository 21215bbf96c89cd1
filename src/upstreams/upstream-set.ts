import type { UpstreamFailure } from '../inference/event.ts'
import type { Upstream, UpstreamLoad } from '../inference/upstream.ts'
import type { Clock } from '../std/clock.ts'

/** Failures in a row after which an upstream is left alone for a while. */
const FAILURES_TO_OPEN = 5
const OPEN_FIRST_MS = 1000
const OPEN_MAX_MS = 30_000

interface Breaker {
  failures: number
  openUntilMs: number
  openForMs: number
}

/**
 * The upstreams by id, each with a breaker: after five failures in a row that are the upstream's own it gets no requests for
 * a second, and twice as long each time its first request afterwards fails too, up to half a minute.
 */
export class UpstreamSet {
  readonly #clock: Clock
  readonly #upstreams = new Map<string, Upstream>()
  readonly #breakers = new Map<string, Breaker>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(upstream: Upstream): void {
    this.#upstreams.set(upstream.id, upstream)
    this.#breakers.set(upstream.id, { failures: 0, openUntilMs: 0, openForMs: OPEN_FIRST_MS })
  }

  get(id: string): Upstream | undefined {
    return this.#upstreams.get(id)
  }

  /** All of them, in the order they were added. */
  list(): readonly Upstream[] {
    return [...this.#upstreams.values()]
  }

  /** What the router sees of an upstream; undefined when there is none of that id. */
  view(id: string): { readonly load: UpstreamLoad; readonly available: boolean } | undefined {
    const upstream = this.#upstreams.get(id)
    const breaker = this.#breakers.get(id)
    if (upstream === undefined || breaker === undefined) return undefined
    const available = breaker.openUntilMs === 0 || this.#clock.monotonicMs() >= breaker.openUntilMs
    return { load: upstream.load(), available }
  }

  /** Tells the breaker how an attempt ended; null is an attempt that the upstream did not fail. */
  observe(id: string, failure: UpstreamFailure | null): void {
    const breaker = this.#breakers.get(id)
    if (breaker === undefined) return
    if (failure === null || !isOwnFault(failure)) {
      breaker.failures = 0
      breaker.openUntilMs = 0
      breaker.openForMs = OPEN_FIRST_MS
      return
    }
    if (++breaker.failures < FAILURES_TO_OPEN) return
    breaker.openUntilMs = this.#clock.monotonicMs() + breaker.openForMs
    breaker.openForMs = Math.min(breaker.openForMs * 2, OPEN_MAX_MS)
  }

  /** Closes all of them, together. */
  async close(graceMs: number): Promise<void> {
    await Promise.all(this.list().map(upstream => upstream.close(graceMs)))
  }
}

// A wrong request or a full queue says nothing about an upstream's health.
function isOwnFault(failure: UpstreamFailure): boolean {
  return !['bad_request', 'context_length', 'overloaded'].includes(failure.reason)
}
