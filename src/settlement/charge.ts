import type { Tariff } from '../inference/price.ts'
import type { ServiceTier } from '../inference/service-tier.ts'
import type { Price } from '../inference/snapshot.ts'
import type { Usage } from '../inference/usage.ts'
import type { Ending } from '../ledger/journal.ts'
import { chargeOf } from '../pricing/worth.ts'

/** What happened to a request, as far as money is concerned. */
export interface Outcome {
  readonly ending: Ending
  readonly usage: Usage
  /** The upstream was known to work on the prompt. */
  readonly prefillBegan: boolean
  /** The client received, or could have received, output. */
  readonly outputBegan: boolean
  /** When it was admitted, which decides about the time window of its price; wall clock. */
  readonly admittedMs: number
  /** The tier that is charged. */
  readonly tier: ServiceTier
  /** Broken off, it is run again until it is whole, and nobody saw anything of it: then it owes nothing. Absent: no. */
  readonly runAgain?: boolean
}

/** What is taken from the org, and what work nobody pays for. */
export interface Charge {
  readonly chargeNanodollars: bigint
  readonly overrunNanodollars: bigint
}

const NOTHING: Charge = Object.freeze({ chargeNanodollars: 0n, overrunNanodollars: 0n })

/**
 * The table of endings (docs/concepts/endings.md): what each ending owes, never more than the hold. What the usage is worth
 * above the hold is overrun, which the operator bears.
 */
export function charge(outcome: Outcome, price: Price, heldNanodollars: bigint): Charge {
  if (!isOwed(outcome)) return NOTHING
  const worth = chargeOf(price, outcome.usage, outcome.admittedMs, outcome.tier)
  if (worth <= heldNanodollars) return { chargeNanodollars: worth, overrunNanodollars: 0n }
  return { chargeNanodollars: heldNanodollars, overrunNanodollars: worth - heldNanodollars }
}

function isOwed(outcome: Outcome): boolean {
  switch (outcome.ending) {
    case 'completed':
    case 'exhausted':
      return true
    case 'empty':
      return false
    case 'cancelled':
    case 'timed_out':
    case 'aborted':
      return outcome.runAgain !== true && (outcome.prefillBegan || outcome.outputBegan)
    case 'failed':
      return outcome.outputBegan
  }
}

/** The part of a charge that is for the input and the request itself, for show: at most all of it, and the rest is for output. */
export function inputPart(
  chargeNanodollars: bigint,
  price: Price,
  usage: Usage,
  admittedMs: number,
  tier: ServiceTier,
): bigint {
  const part = chargeOf(price, { ...usage, outputTokens: 0, reasoningTokens: 0 }, admittedMs, tier)
  return part < chargeNanodollars ? part : chargeNanodollars
}

/**
 * What the upstream takes for what it did, nanodollars: as it said itself, else worked out from its cost list; null when neither is
 * known. Unlike the charge it counts all that was done, whether a customer pays for it or not.
 */
export function upstreamCost(
  reportedNanodollars: bigint | undefined,
  cost: Tariff | undefined,
  outcome: Omit<Outcome, 'ending'>,
): bigint | null {
  if (reportedNanodollars !== undefined) return reportedNanodollars
  if (cost === undefined) return null
  if (!outcome.prefillBegan && !outcome.outputBegan) return 0n
  return chargeOf(cost, outcome.usage, outcome.admittedMs, outcome.tier)
}
