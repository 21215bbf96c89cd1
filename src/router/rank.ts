import type { Percentile, PercentileBounds, Preferences } from '../inference/preferences.ts'
import type { Target } from '../inference/snapshot.ts'
import type { ObservedSpeed, UpstreamLoad } from '../inference/upstream.ts'
import { ceilingOf } from '../pricing/ceiling.ts'
import type { Candidate, Place, Wishes } from './place.ts'

/** Input tokens to one output token, by which two prices become one: that of chats and agents, where input is most. */
const INPUT_PER_OUTPUT = 3n

interface Ranked extends Candidate {
  /** Place in the client's own order; those that it does not name come after all that it does. */
  readonly named: number
  /** Slower than the client prefers. */
  readonly slow: boolean
  /** What is sorted by, less is better; undefined when it is not known. */
  readonly key: number | bigint | undefined
}

/**
 * Puts targets in the order to try them. Before all goes the client's own order; then come those that are not slower than it prefers;
 * then what it sorts by, the known before the unknown; then how idle they are, and last the operator's order.
 */
export function ranked(candidates: readonly Candidate[], targets: number, wishes: Wishes): Place[] {
  const { preferences } = wishes
  const all = candidates.map(candidate => rankOf(candidate, wishes))
  all.sort(
    (a, b) =>
      a.named - b.named ||
      Number(a.slow) - Number(b.slow) ||
      compareKeys(a.key, b.key) ||
      spreadScore(b.load) - spreadScore(a.load),
  )
  return all.map((each, i) => ({
    target: each.target,
    reason: `${rankReason(each, preferences)} ${i + 1} of ${targets}; running=${each.load.running} queued=${each.load.queued}`,
  }))
}

/** Score in (0, 1]: how idle an upstream is. */
export function spreadScore(load: UpstreamLoad): number {
  return 1 / (1 + load.running + load.queued)
}

function rankOf(candidate: Candidate, { preferences, speedOf, atMs }: Wishes): Ranked {
  const { target } = candidate
  const { order, sort, latencyMsMax, tokensPerSecondMin } = preferences
  const place = order.length === 0 ? 0 : order.indexOf(target.upstreamId.toLowerCase())
  const watched = latencyMsMax !== undefined || tokensPerSecondMin !== undefined
  const speed = watched || sort === 'latency' || sort === 'throughput' ? speedOf(target) : undefined
  const slow =
    isBeyond(speed?.latencyMs, latencyMsMax, (seen, bound) => seen > bound) ||
    isBeyond(speed?.tokensPerSecond, tokensPerSecondMin, (seen, bound) => seen < bound)
  return { ...candidate, named: place < 0 ? order.length : place, slow, key: keyOf(target, sort, speed, atMs) }
}

// Of a place that was not seen at work nobody can say that it is slow.
function isBeyond(
  seen: { readonly [Each in Percentile]: number } | undefined,
  bounds: PercentileBounds | undefined,
  beyond: (seen: number, bound: number) => boolean,
): boolean {
  if (seen === undefined || bounds === undefined) return false
  return (Object.entries(bounds) as [Percentile, number][]).some(([at, bound]) => beyond(seen[at], bound))
}

function keyOf(
  { cost }: Target,
  sort: Preferences['sort'],
  speed: ObservedSpeed | undefined,
  atMs: number,
): number | bigint | undefined {
  switch (sort) {
    case undefined:
      return undefined
    case 'latency':
      return speed?.latencyMs?.p50
    case 'throughput':
      return speed?.tokensPerSecond === undefined ? undefined : -speed.tokensPerSecond.p50
    case 'price': {
      if (cost === undefined) return undefined
      const { inputPicodollars, outputPicodollars, denominator } = ceilingOf(cost, atMs, 0, 'standard')
      return (inputPicodollars * INPUT_PER_OUTPUT + outputPicodollars) / denominator
    }
  }
}

function compareKeys(a: number | bigint | undefined, b: number | bigint | undefined): number {
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined)
  return a < b ? -1 : Number(a > b)
}

const SORTED: Readonly<Record<NonNullable<Preferences['sort']>, string>> = {
  price: 'cheapest',
  throughput: 'fastest',
  latency: 'soonest',
}

function rankReason({ named, slow, key }: Ranked, { order, sort }: Preferences): string {
  if (named < order.length) return 'in the order asked for,'
  const words = sort === undefined || key === undefined ? 'least loaded' : SORTED[sort]
  return slow ? `slower than preferred, ${words}` : words
}
