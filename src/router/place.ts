import { NO_PREFERENCES, type Preferences } from '../inference/preferences.ts'
import type { Target } from '../inference/snapshot.ts'
import type { ObservedSpeed, UpstreamLoad } from '../inference/upstream.ts'
import { misfit } from './misfit.ts'
import { ranked } from './rank.ts'

/** What the router knows of a target when it decides. */
export interface UpstreamView {
  readonly load: UpstreamLoad
  /** False while the breaker is open or the upstream is closed. */
  readonly available: boolean
  /** Whether it is known to keep nothing of what it is sent. */
  readonly keepsNoPrompts: boolean
}

/** A target with the reason for its rank, in words for a header and a log. */
export interface Place {
  readonly target: Target
  readonly reason: string
}

/** Why a target is left out: for what it is at the moment, or because the client does not want it. */
export interface LeftOut {
  readonly target: Target
  readonly reason: string
  readonly unwanted: boolean
}

/** The router's decision: targets in the order to try, and what was filtered out and why. */
export interface Placement {
  readonly places: readonly Place[]
  readonly filtered: readonly LeftOut[]
}

/** What the router goes by beside the load of the upstreams. */
export interface Wishes {
  readonly preferences: Preferences
  /** How a target did lately; undefined when it was not seen at work. */
  readonly speedOf: (target: Target) => ObservedSpeed | undefined
  /** Wall clock: decides which of an upstream's prices is in force. */
  readonly atMs: number
  /** It shall not wait for others: places where it would have to are left out. */
  readonly failFast?: boolean
}

const NO_WISHES: Wishes = { preferences: NO_PREFERENCES, speedOf: () => undefined, atMs: 0 }

/** A target that may serve the request. */
export interface Candidate {
  readonly target: Target
  readonly load: UpstreamLoad
}

/** A filter removes a target by naming the reason, or keeps it with null. */
type Filter = (view: UpstreamView | undefined, wishes: Wishes) => string | null

const FILTERS: readonly Filter[] = [
  view => (view === undefined ? 'not configured' : null),
  view => (view?.available === false ? 'down' : null),
  // An upstream without a queue is full once somebody waits there, not while it is idle.
  view => (view !== undefined && view.load.queued >= Math.max(view.load.queueDepthMax, 1) ? 'queue full' : null),
  (view, wishes) =>
    wishes.failFast === true && view !== undefined && (view.load.busy ?? view.load.queued > 0) ? 'busy' : null,
]

/**
 * Filter, score, pick. Pure: decides from the views and wishes alone. Without wishes the scorer seeks spread; see `rank.ts` for what
 * preferences make of the order, and `misfit.ts` for what they leave out.
 */
export function place(
  targets: readonly Target[],
  viewOf: (target: Target) => UpstreamView | undefined,
  wishes: Wishes = NO_WISHES,
): Placement {
  const { preferences } = wishes
  if (targets.length === 1 && preferences === NO_PREFERENCES) return placeOnly(targets[0] as Target, viewOf, wishes)
  const filtered: LeftOut[] = []
  const candidates: Candidate[] = []
  for (const target of targets) {
    const view = viewOf(target)
    const unwanted = misfit(target, view?.keepsNoPrompts === true, preferences)
    const reason = unwanted ?? firstReason(view, wishes)
    if (reason !== null || view === undefined) filtered.push(leftOut(target, reason, unwanted !== null))
    else candidates.push({ target, load: view.load })
  }
  const places = ranked(candidates, targets.length, wishes)
  // Without fallbacks, and without an order that names the only ones to try, there is one choice.
  if (preferences.fallbacks || preferences.order.length > 0) return { places, filtered }
  for (const { target } of places.splice(1)) filtered.push(leftOut(target, 'fallbacks are not allowed', true))
  return { places, filtered }
}

// The usual case on one machine, decided without sorting anything.
function placeOnly(target: Target, viewOf: (target: Target) => UpstreamView | undefined, wishes: Wishes): Placement {
  const reason = firstReason(viewOf(target), wishes)
  if (reason !== null) return { places: [], filtered: [leftOut(target, reason, false)] }
  return { places: [{ target, reason: 'only target' }], filtered: [] }
}

function leftOut(target: Target, reason: string | null, unwanted: boolean): LeftOut {
  return { target, reason: reason ?? 'not configured', unwanted }
}

function firstReason(view: UpstreamView | undefined, wishes: Wishes): string | null {
  for (const filter of FILTERS) {
    const reason = filter(view, wishes)
    if (reason !== null) return reason
  }
  return null
}
