import type { Ending } from '../ledger/journal.ts'
import { formatDollars } from '../ledger/money.ts'
import type { AuditResult, Finding } from './audit.ts'
import type { ProofSize } from './plan.ts'
import type { Counts, Tally } from './tally.ts'

/** One thing that a proof claims, and whether it held. */
export interface Claim {
  readonly name: string
  /** What was found, for people. */
  readonly found: string
  /** What had to be found. */
  readonly wanted: string
  readonly holds: boolean
  /** Some of what speaks against it. */
  readonly against: readonly string[]
}

/** A finished proof. Money in dollars, as decimal strings. */
export interface ProofReport {
  readonly holds: boolean
  readonly size: ProofSize
  readonly duration_ms: number
  readonly requests_per_second: number
  readonly counts: Readonly<Counts> & {
    readonly whole: number
    readonly upstream_deaths: number
    readonly upstream_kills: number
  }
  /** Requests on the wire when the server was killed, for each kill. */
  readonly running_at_kills: readonly number[]
  /** Answers 402 by code, those that were repeated included. */
  readonly refusals: Readonly<Record<string, number>>
  /** Requests that were over when the first was refused for good; null: none was. */
  readonly first_refused_after: number | null
  readonly endings: Readonly<Partial<Record<Ending, number>>>
  readonly interrupted: number
  readonly cap: string
  readonly spent: string
  /** Share of the cap, per cent, rounded down to two places. */
  readonly spent_percent: string
  readonly overrun: string
  /** How often the books were looked at while money moved. */
  readonly samples: number
  readonly worst_overshoot: string
  readonly claims: readonly Claim[]
}

/** What a run hands to its report. */
export interface RunFacts {
  readonly size: ProofSize
  readonly capNanodollars: bigint
  readonly durationMs: number
  readonly tally: Tally
  readonly runningAtKills: readonly number[]
  readonly upstreamDeaths: number
  readonly upstreamKills: number
  readonly samples: number
  /** Most that was settled and held together at any look. */
  readonly worstTakenNanodollars: bigint
  readonly audit: AuditResult
  /** How the server ended when it was asked to stop: its exit code, or the signal that it took. */
  readonly serverEnd: number | NodeJS.Signals | null
}

/** The cap binds only if so much of it is gone, and so many were turned away. */
const SPENT_PERCENT_MIN = 95n
const REFUSED_PERCENT_MIN = 5

/** Makes the claims and says which of them hold. */
export function reportOf(facts: RunFacts): ProofReport {
  const { size, capNanodollars, durationMs, tally, audit } = facts
  const overshoot = overshootOf(facts)
  const hundredths = (audit.chargedNanodollars * 10_000n) / capNanodollars
  const claims = claimsOf(facts, overshoot)
  return {
    holds: claims.every(claim => claim.holds),
    size,
    duration_ms: Math.round(durationMs),
    requests_per_second: Math.round((tally.counts.sent / durationMs) * 1000),
    counts: {
      ...tally.counts,
      whole: tally.whole.size,
      upstream_deaths: facts.upstreamDeaths,
      upstream_kills: facts.upstreamKills,
    },
    running_at_kills: facts.runningAtKills,
    refusals: Object.fromEntries(tally.refusals),
    first_refused_after: tally.firstRefusedAfter,
    endings: Object.fromEntries(audit.byEnding),
    interrupted: audit.interrupted,
    cap: formatDollars(capNanodollars),
    spent: formatDollars(audit.chargedNanodollars),
    spent_percent: `${hundredths / 100n}.${String(hundredths % 100n).padStart(2, '0')}`,
    overrun: formatDollars(audit.overrunNanodollars),
    samples: facts.samples,
    worst_overshoot: formatDollars(overshoot),
    claims,
  }
}

/** By how much the cap was ever passed, by any of three accounts: the books at each look, the rows at the end, and what clients were told. */
function overshootOf({ capNanodollars, worstTakenNanodollars, audit, tally }: RunFacts): bigint {
  const taken = [worstTakenNanodollars, audit.chargedNanodollars, tally.toldNanodollars]
  const most = taken.reduce((worst, each) => (each > worst ? each : worst))
  return most > capNanodollars ? most - capNanodollars : 0n
}

function claimsOf({ size, capNanodollars, tally, audit, samples, serverEnd }: RunFacts, overshoot: bigint): Claim[] {
  const { counts } = tally
  const refusedMin = Math.ceil((size.requests * REFUSED_PERCENT_MIN) / 100)
  const isSpent = audit.chargedNanodollars * 100n >= capNanodollars * SPENT_PERCENT_MIN
  const none = (name: string, { count, shown }: Finding): Claim => ({
    name,
    found: grouped(count),
    wanted: '0',
    holds: count === 0,
    against: shown,
  })
  const claim = (
    name: string,
    holds: boolean,
    found: string,
    wanted: string,
    against: readonly string[] = [],
  ): Claim => ({
    name,
    found,
    wanted,
    holds,
    against,
  })
  return [
    claim('Worst overshoot', overshoot === 0n && samples > 0, `$${formatDollars(overshoot)}`, '$0.00'),
    none('Unbalanced', audit.unbalanced),
    none('Seen whole but not charged', audit.uncharged),
    none('Charged twice', audit.chargedTwice),
    none('Charge not price × usage', audit.wrongAmount),
    none('Charged without a request', audit.unasked),
    claim('Open holds', audit.openHolds === 0, grouped(audit.openHolds), '0'),
    claim('The server stopped when asked', serverEnd === 0, String(serverEnd), '0', [
      'It was killed when it had not stopped for half a minute, or ended with an error.',
    ]),
    claim('Answers unexplained', tally.unexpected === 0, grouped(tally.unexpected), '0', tally.unexpectedShown),
    claim('Request ids used twice', tally.repeatedIds === 0, grouped(tally.repeatedIds), '0'),
    claim('Answers seen whole', tally.whole.size > 0, grouped(tally.whole.size), 'more than 0'),
    claim(
      'The cap was spent',
      isSpent,
      `$${formatDollars(audit.chargedNanodollars)}`,
      `at least ${SPENT_PERCENT_MIN} % of it`,
      ['The cap did not bind, so nothing is shown about it. Ask for more requests, or a smaller --cap.'],
    ),
    claim(
      'Requests refused',
      counts.refused >= refusedMin,
      grouped(counts.refused),
      `at least ${grouped(refusedMin)}`,
      ['The cap did not bind, so nothing is shown about it. Ask for more requests, or a smaller --cap.'],
    ),
  ]
}

function grouped(count: number): string {
  return count.toLocaleString('en-US')
}
