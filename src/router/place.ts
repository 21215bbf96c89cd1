import type { Target } from '../inference/snapshot.ts'
import type { UpstreamLoad } from '../inference/upstream.ts'

/** What the router knows of a target when it decides. */
export interface UpstreamView {
  readonly load: UpstreamLoad
  /** False while the breaker is open or the upstream is closed. */
  readonly available: boolean
}

/** A target with the reason for its rank, in words for a header and a log. */
export interface Place {
  readonly target: Target
  readonly reason: string
}

/** The router's decision: targets in the order to try, and what was filtered out and why. */
export interface Placement {
  readonly places: readonly Place[]
  readonly filtered: readonly { readonly target: Target; readonly reason: string }[]
}

/** A filter removes a target by naming the reason, or keeps it with null. */
type Filter = (view: UpstreamView | undefined) => string | null

const FILTERS: readonly Filter[] = [
  view => (view === undefined ? 'not configured' : null),
  view => (view?.available === false ? 'down' : null),
  // An upstream without a queue is full once somebody waits there, not while it is idle.
  view => (view !== undefined && view.load.queued >= Math.max(view.load.queueDepthMax, 1) ? 'queue full' : null),
]

/**
 * Filter, score, pick. Pure: decides from the views alone. The scorer seeks spread: 1 for an idle upstream, falling towards
 * 0 with each request that runs or waits there; equal scores keep the operator's order.
 */
export function place(targets: readonly Target[], viewOf: (target: Target) => UpstreamView | undefined): Placement {
  if (targets.length === 1) return placeOnly(targets[0] as Target, viewOf)
  const filtered: { target: Target; reason: string }[] = []
  const scored: { target: Target; score: number; load: UpstreamLoad }[] = []
  for (const target of targets) {
    const view = viewOf(target)
    const reason = firstReason(view)
    if (reason !== null || view === undefined) filtered.push({ target, reason: reason ?? 'not configured' })
    else scored.push({ target, score: spreadScore(view.load), load: view.load })
  }
  scored.sort((a, b) => b.score - a.score)
  return {
    places: scored.map(({ target, load }, i) => ({
      target,
      reason: `least loaded ${i + 1} of ${targets.length}; running=${load.running} queued=${load.queued}`,
    })),
    filtered,
  }
}

/** Score in (0, 1]: how idle an upstream is. */
export function spreadScore(load: UpstreamLoad): number {
  return 1 / (1 + load.running + load.queued)
}

// The usual case on one machine, decided without sorting anything.
function placeOnly(target: Target, viewOf: (target: Target) => UpstreamView | undefined): Placement {
  const reason = firstReason(viewOf(target))
  if (reason !== null) return { places: [], filtered: [{ target, reason }] }
  return { places: [{ target, reason: 'only target' }], filtered: [] }
}

function firstReason(view: UpstreamView | undefined): string | null {
  for (const filter of FILTERS) {
    const reason = filter(view)
    if (reason !== null) return reason
  }
  return null
}
