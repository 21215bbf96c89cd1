import { divideHalfEven } from '../rounding.ts'
import type { ProviderUsage } from './provider-usage.ts'

/** What we settled in one hour with one model, by its name at the upstream. */
export interface OurUsage {
  readonly hourMs: number
  readonly model: string
  readonly requests: number
  /** Of these, how many did not run to their end: cancelled, timed out, aborted or failed. */
  readonly interrupted: number
  readonly inputTokens: number
  readonly cachedInputTokens: number
  readonly outputTokens: number
  /** What the upstream takes from us; null when that is not known. */
  readonly costNanodollars: bigint | null
}

/** What an upstream takes, picodollars per token. */
export interface UpstreamCost {
  readonly inputPicodollars: bigint
  readonly cachedInputPicodollars: bigint
  readonly outputPicodollars: bigint
}

/** Why a gap is likely there; the most telling first. */
export type GapCause =
  | 'time_zone'
  | 'missing_here'
  | 'missing_there'
  | 'aborted_charged'
  | 'cached_as_uncached'
  | 'price_change'
  | 'rounding'
  | 'unknown'

/** One side of a comparison; null: not known. */
export interface Side {
  readonly requests: number | null
  readonly inputTokens: number
  readonly cachedInputTokens: number | null
  readonly outputTokens: number
  readonly costNanodollars: bigint | null
}

/** One UTC day and model, ours against theirs. */
export interface ReconcileLine {
  readonly day: string
  readonly model: string
  readonly ours: Side
  readonly theirs: Side
  /** The gap is above the tolerance. */
  readonly exceeded: boolean
  /** Empty when nothing differs. */
  readonly causes: readonly { readonly cause: GapCause; readonly text: string }[]
}

/** The comparison of a file with our usage. */
export interface Reconciliation {
  readonly lines: readonly ReconcileLine[]
  /** Hours by which their days seem to be ahead of UTC; null when days agree, or no shift explains the gap. */
  readonly zoneHours: number | null
  readonly exceeded: boolean
}

const HOUR_MS = 3_600_000
const ZONE_HOURS_MIN = -12
const ZONE_HOURS_MAX = 14
const PARTS = 1_000_000n
const NOTHING: Side = { requests: 0, inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, costNanodollars: 0n }

/**
 * Compares day by day and model by model. `toleranceParts` is in millionths of the larger side. Keys of the provider are summed,
 * since all that an upstream serves goes through one key: filter `theirs` first where other programs share the account. Hours of
 * ours outside of their days, which a shift of their time zone needs, may be given and are otherwise ignored.
 */
export function reconcile(
  ours: readonly OurUsage[],
  theirs: readonly ProviderUsage[],
  options: { readonly toleranceParts: bigint; readonly costs?: ReadonlyMap<string, UpstreamCost> },
): Reconciliation {
  const days = theirs.map(each => each.day).sort()
  const range = { first: days[0] ?? '', last: days.at(-1) ?? '' }
  const theirSums = sumTheirs(theirs)
  const zoneHours = shiftThatExplains(ours, theirSums, range, options.toleranceParts)
  const ourSums = sumOurs(ours, range, 0, options.costs)
  const lines = [...new Set([...theirSums.keys(), ...ourSums.keys()])].sort().map(id => {
    const { day, model } = JSON.parse(id) as { day: string; model: string }
    return lineOf(day, model, ourSums.get(id), theirSums.get(id), zoneHours, options)
  })
  return { lines, zoneHours, exceeded: lines.some(line => line.exceeded) }
}

interface OurSum extends Side {
  readonly interrupted: number
  readonly cost: UpstreamCost | undefined
}

interface TheirSum extends Side {
  readonly roundingNanodollars: bigint
}

function idOf(day: string, model: string): string {
  return JSON.stringify({ day, model: model.toLowerCase() })
}

function add(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a + b
}

function addCost(a: bigint | null, b: bigint | null): bigint | null {
  return a === null || b === null ? null : a + b
}

function sumTheirs(theirs: readonly ProviderUsage[]): Map<string, TheirSum> {
  const sums = new Map<string, TheirSum>()
  for (const each of theirs) {
    const id = idOf(each.day, each.model)
    const { requests, inputTokens, cachedInputTokens, outputTokens, costNanodollars, costRoundingNanodollars } = each
    const sum = sums.get(id)
    sums.set(id, {
      requests: sum === undefined ? requests : add(sum.requests, requests),
      inputTokens: (sum?.inputTokens ?? 0) + inputTokens,
      cachedInputTokens: sum === undefined ? cachedInputTokens : add(sum.cachedInputTokens, cachedInputTokens),
      outputTokens: (sum?.outputTokens ?? 0) + outputTokens,
      costNanodollars: sum === undefined ? costNanodollars : addCost(sum.costNanodollars, costNanodollars),
      roundingNanodollars: (sum?.roundingNanodollars ?? 0n) + costRoundingNanodollars,
    })
  }
  return sums
}

function sumOurs(
  ours: readonly OurUsage[],
  range: { first: string; last: string },
  shiftHours: number,
  costs: ReadonlyMap<string, UpstreamCost> | undefined,
): Map<string, OurSum> {
  const sums = new Map<string, OurSum>()
  for (const each of ours) {
    const day = new Date(each.hourMs + shiftHours * HOUR_MS).toISOString().slice(0, 10)
    if (day < range.first || day > range.last) continue
    const id = idOf(day, each.model)
    const sum = sums.get(id)
    const cost = costs?.get(each.model.toLowerCase())
    const costNanodollars =
      each.costNanodollars ?? (cost === undefined ? null : expectedCost(each, each.cachedInputTokens, cost))
    sums.set(id, {
      requests: (sum?.requests ?? 0) + each.requests,
      interrupted: (sum?.interrupted ?? 0) + each.interrupted,
      inputTokens: (sum?.inputTokens ?? 0) + each.inputTokens,
      cachedInputTokens: (sum?.cachedInputTokens ?? 0) + each.cachedInputTokens,
      outputTokens: (sum?.outputTokens ?? 0) + each.outputTokens,
      costNanodollars: sum === undefined ? costNanodollars : addCost(sum.costNanodollars, costNanodollars),
      cost,
    })
  }
  return sums
}

function expectedCost(
  usage: { inputTokens: number; outputTokens: number },
  cachedTokens: number,
  cost: UpstreamCost,
): bigint {
  const picodollars =
    BigInt(usage.inputTokens - cachedTokens) * cost.inputPicodollars +
    BigInt(cachedTokens) * cost.cachedInputPicodollars +
    BigInt(usage.outputTokens) * cost.outputPicodollars
  return divideHalfEven(picodollars, 1_000n)
}

/** The shift of days, in hours, under which counts agree within the tolerance; null when none does, or none is needed. */
function shiftThatExplains(
  ours: readonly OurUsage[],
  theirs: ReadonlyMap<string, TheirSum>,
  range: { first: string; last: string },
  toleranceParts: bigint,
): number | null {
  const distance = (shiftHours: number) => {
    const sums = sumOurs(ours, range, shiftHours, undefined)
    let apart = 0
    for (const id of new Set([...sums.keys(), ...theirs.keys()])) {
      const [a, b] = [sums.get(id) ?? NOTHING, theirs.get(id) ?? NOTHING]
      apart += Math.abs(a.inputTokens - b.inputTokens) + Math.abs(a.outputTokens - b.outputTokens)
    }
    return apart
  }
  const total = [...theirs.values()].reduce((sum, each) => sum + each.inputTokens + each.outputTokens, 0)
  const agrees = (apart: number) => BigInt(apart) * PARTS <= BigInt(total) * toleranceParts
  if (agrees(distance(0))) return null
  let best: number | null = null
  for (let shift = ZONE_HOURS_MIN; shift <= ZONE_HOURS_MAX; shift++) {
    // Of several shifts that explain it as well (nothing was used in between), the smallest.
    if (shift === 0 || !agrees(distance(shift))) continue
    if (best === null || Math.abs(shift) < Math.abs(best)) best = shift
  }
  return best
}

function lineOf(
  day: string,
  model: string,
  ours: OurSum | undefined,
  theirs: TheirSum | undefined,
  zoneHours: number | null,
  options: { readonly toleranceParts: bigint },
): ReconcileLine {
  const a: Side & Partial<OurSum> = ours ?? NOTHING
  const b: Side & Partial<TheirSum> = theirs ?? NOTHING
  const near = (x: number | bigint | null, y: number | bigint | null) => isNear(x, y, options.toleranceParts)
  const counts =
    near(a.requests, b.requests) && near(a.inputTokens, b.inputTokens) && near(a.outputTokens, b.outputTokens)
  const cached = near(a.cachedInputTokens, b.cachedInputTokens)
  const cost = near(a.costNanodollars, b.costNanodollars)
  const causes = counts && cached && cost ? [] : causesOf(a, b, zoneHours, near)
  const exceeded = causes.length > 0 && !causes.every(each => each.cause === 'rounding')
  return { day, model, ours: sideOf(a), theirs: sideOf(b), exceeded, causes }
}

function causesOf(
  ours: Side & Partial<OurSum>,
  theirs: Side & Partial<TheirSum>,
  zoneHours: number | null,
  near: (x: number | bigint | null, y: number | bigint | null) => boolean,
): { cause: GapCause; text: string }[] {
  const causes: { cause: GapCause; text: string }[] = []
  const say = (cause: GapCause, text: string) => void causes.push({ cause, text })
  const countsAgree = near(ours.inputTokens, theirs.inputTokens) && near(ours.outputTokens, theirs.outputTokens)
  if (zoneHours !== null && !countsAgree) {
    const hours = Math.abs(zoneHours)
    say(
      'time_zone',
      `their day begins ${hours} h ${zoneHours > 0 ? 'before' : 'after'} ours: they count by UTC${zoneHours > 0 ? '+' : '-'}${hours}; ask them for UTC`,
    )
    return causes
  }
  if (!near(ours.requests, theirs.requests)) {
    const [a, b] = [ours.requests ?? 0, theirs.requests ?? 0]
    if (b > a)
      say(
        'missing_here',
        `${counted(b - a, 'request')} more there than here: another program uses the key, or a crash cut them off (headrace ledger interrupted)`,
      )
    else say('missing_there', `${counted(a - b, 'request')} fewer there than here: their file may be filtered, or cut`)
  } else if (
    theirs.outputTokens > ours.outputTokens &&
    !near(ours.outputTokens, theirs.outputTokens) &&
    (ours.interrupted ?? 0) > 0
  ) {
    say(
      'aborted_charged',
      `${counted(theirs.outputTokens - ours.outputTokens, 'output token')} more there, and ${counted(ours.interrupted ?? 0, 'request')} here that did not run to the end: they charge for work after the abort`,
    )
  }
  const cachedBilled = cachedTokensBilledInFull(ours, theirs, near)
  if (cachedBilled > 0)
    say('cached_as_uncached', `${counted(cachedBilled, 'cached input token')} billed there as uncached`)
  if (causes.length === 0 && countsAgree && ours.costNanodollars !== null && theirs.costNanodollars !== null) {
    const gap = absolute(theirs.costNanodollars - ours.costNanodollars)
    // Half a nanodollar of ours for each request, and what their file's last place cannot tell.
    const bound = (theirs.roundingNanodollars ?? 0n) + BigInt(ours.requests ?? 0)
    if (gap <= bound) say('rounding', 'no more than rounding can explain')
    else
      say(
        'price_change',
        `the counts agree and the cost is ${ratio(theirs.costNanodollars, ours.costNanodollars)} of ours: their price is another than the one here`,
      )
  }
  if (causes.length === 0) say('unknown', 'no rule explains it: compare single requests')
  return causes
}

/** Cached tokens that the provider did not count as such, or, where it tells none, whose full price its cost shows. */
function cachedTokensBilledInFull(
  ours: Side & Partial<OurSum>,
  theirs: Side,
  near: (x: number | bigint | null, y: number | bigint | null) => boolean,
): number {
  const cached = ours.cachedInputTokens ?? 0
  if (!near(ours.inputTokens, theirs.inputTokens)) return 0
  if (theirs.cachedInputTokens !== null) {
    return theirs.cachedInputTokens < cached && !near(theirs.cachedInputTokens, cached)
      ? cached - theirs.cachedInputTokens
      : 0
  }
  if (ours.cost === undefined || theirs.costNanodollars === null || near(ours.costNanodollars, theirs.costNanodollars))
    return 0
  return near(expectedCost(ours, 0, ours.cost), theirs.costNanodollars) ? cached : 0
}

/** Within the tolerance of the larger; what one side does not know cannot differ. */
function isNear(x: number | bigint | null, y: number | bigint | null, toleranceParts: bigint): boolean {
  if (x === null || y === null) return true
  const [a, b] = [absolute(BigInt(x)), absolute(BigInt(y))]
  return absolute(BigInt(x) - BigInt(y)) * PARTS <= (a > b ? a : b) * toleranceParts
}

function absolute(value: bigint): bigint {
  return value < 0n ? -value : value
}

/** `125 %`, to a tenth. */
function ratio(part: bigint, whole: bigint): string {
  if (whole === 0n) return 'none'
  const tenths = divideHalfEven(part * 1_000n, whole)
  return `${tenths / 10n}.${absolute(tenths % 10n)} %`
}

function sideOf({ requests, inputTokens, cachedInputTokens, outputTokens, costNanodollars }: Side): Side {
  return { requests, inputTokens, cachedInputTokens, outputTokens, costNanodollars }
}

function counted(count: number, what: string): string {
  return `${count.toLocaleString('en-US')} ${what}${count === 1 ? '' : 's'}`
}
