import type { Price } from '../inference/snapshot.ts'
import type { Usage } from '../inference/usage.ts'
import type { Ending } from '../ledger/journal.ts'
import { picodollarsToNanodollars } from '../ledger/money.ts'
import { priceUsage } from './price-usage.ts'

/** What happened to a request, as far as money is concerned. */
export interface Outcome {
  readonly ending: Ending
  readonly usage: Usage
  /** The upstream was known to work on the prompt. */
  readonly prefillBegan: boolean
  /** The client received, or could have received, output. */
  readonly outputBegan: boolean
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
  const worth = picodollarsToNanodollars(priceUsage(outcome.usage, price))
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
      return outcome.prefillBegan || outcome.outputBegan
    case 'failed':
      return outcome.outputBegan
  }
}
