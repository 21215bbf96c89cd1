import type { UpstreamFailure } from '../inference/event.ts'
import type { Target } from '../inference/snapshot.ts'
import type { ObservedSpeed, Upstream, UpstreamLoad } from '../inference/upstream.ts'
import type { Clock } from '../std/clock.ts'
import { ObservedSpeeds, type SpeedSample } from './observed-speeds.ts'

/** Failures in a row after which an upstream is left alone for a while. */
const FAILURES_TO_OPEN = 5
const OPEN_FIRST_MS = 1000
const OPEN_MAX_MS = 30_000

interface Breaker {
  failures: number
  openUntilMs: number
  openForMs: number
}

/** How an upstream does, over the models that were asked of it. */
export interface UpstreamHealth {
  readonly state: 'ready' | 'partly down' | 'down'
  /** The names there of the models that get no requests at the moment. */
  readonly downModels: readonly string[]
}

/**
 * The upstreams by id, and a breaker for each target on them: after five failures in a row that are the upstream's own, the
 * target gets no requests for a second, and twice as long each time its first request afterwards fails too, up to half a
 * minute. A model that fails so leaves the others of its upstream alone.
 */
export class UpstreamSet {
  readonly #clock: Clock
  readonly #upstreams = new Map<string, Upstream>()
  /** By upstream, then by the model's name there; made at its first failure. */
  readonly #breakers = new Map<string, Map<string, Breaker>>()
  /** Models that answered or failed, by upstream. */
  readonly #tried = new Map<string, Set<string>>()
  /** By upstream, then by the model's name there; made at its first answer. */
  readonly #speeds = new Map<string, Map<string, ObservedSpeeds>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(upstream: Upstream): void {
    this.#upstreams.set(upstream.id, upstream)
    this.#breakers.set(upstream.id, new Map())
    this.#tried.set(upstream.id, new Set())
    this.#speeds.set(upstream.id, new Map())
  }

  get(id: string): Upstream | undefined {
    return this.#upstreams.get(id)
  }

  /** All of them, in the order they were added. */
  list(): readonly Upstream[] {
    return [...this.#upstreams.values()]
  }

  /** What the router sees of a target; undefined when there is no upstream of that id. */
  view(
    target: Target,
  ): { readonly load: UpstreamLoad; readonly available: boolean; readonly keepsNoPrompts: boolean } | undefined {
    const upstream = this.#upstreams.get(target.upstreamId)
    if (upstream === undefined) return undefined
    const breaker = this.#breakers.get(target.upstreamId)?.get(target.upstreamModel)
    return {
      load: upstream.load(target.upstreamModel),
      available: breaker === undefined || this.#isClosed(breaker),
      keepsNoPrompts: upstream.keepsNoPrompts === true,
    }
  }

  /** How a target did lately; undefined while it has not answered. */
  speed(target: Target): ObservedSpeed | undefined {
    return this.#speeds.get(target.upstreamId)?.get(target.upstreamModel)?.at(this.#clock.monotonicMs())
  }

  /** Notes how fast a target was. */
  measured(target: Target, sample: SpeedSample): void {
    const speeds = this.#speeds.get(target.upstreamId)
    if (speeds === undefined) return
    let observed = speeds.get(target.upstreamModel)
    if (observed === undefined) {
      observed = new ObservedSpeeds()
      speeds.set(target.upstreamModel, observed)
    }
    observed.note(sample, this.#clock.monotonicMs())
  }

  /** How an upstream does, for people. */
  health(id: string): UpstreamHealth {
    const breakers = [...(this.#breakers.get(id) ?? [])]
    const downModels = breakers.filter(([, breaker]) => !this.#isClosed(breaker)).map(([model]) => model)
    if (downModels.length === 0) return { state: 'ready', downModels }
    return { state: downModels.length === this.#tried.get(id)?.size ? 'down' : 'partly down', downModels }
  }

  /** Tells the target's breaker how an attempt ended; null is an attempt that the upstream did not fail. */
  observe(target: Target, failure: UpstreamFailure | null): void {
    const breakers = this.#breakers.get(target.upstreamId)
    if (breakers === undefined) return
    this.#tried.get(target.upstreamId)?.add(target.upstreamModel)
    if (failure === null || !isOwnFault(failure)) {
      breakers.delete(target.upstreamModel)
      return
    }
    const breaker = breakers.get(target.upstreamModel) ?? { failures: 0, openUntilMs: 0, openForMs: OPEN_FIRST_MS }
    breakers.set(target.upstreamModel, breaker)
    if (++breaker.failures < FAILURES_TO_OPEN) return
    // Attempts that began before it opened fail together, and tell nothing that is not known.
    if (!this.#isClosed(breaker)) return
    breaker.openUntilMs = this.#clock.monotonicMs() + breaker.openForMs
    breaker.openForMs = Math.min(breaker.openForMs * 2, OPEN_MAX_MS)
  }

  #isClosed(breaker: Breaker): boolean {
    return breaker.openUntilMs === 0 || this.#clock.monotonicMs() >= breaker.openUntilMs
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
