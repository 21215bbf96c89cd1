import type { Measure } from '../inference/limit-rule.ts'
import type { Settlement } from './journal.ts'

/** A limit of which a part was used that somebody wanted to know of, or under which a request was refused. */
export interface BudgetCrossing {
  /** Null for a limit of the whole installation. */
  readonly orgId: string | null
  /** The limit's id; with the end user's behind a colon where each has it for itself. */
  readonly budgetId: string
  readonly measure: Measure
  /** Percent of the amount that is used up. */
  readonly percent: number
  /** A request did not fit; nothing need be used up then. */
  readonly refused: boolean
  /** In the measure of the limit; nanodollars for money. */
  readonly amount: bigint
  readonly settled: bigint
  readonly held: bigint
  /** The window that the budget counts in, milliseconds since 1970; null when it counts forever. */
  readonly fromMs: number | null
  readonly toMs: number | null
}

/** Credit that was paid for. */
export interface PaymentReceived {
  readonly orgId: string
  /** The id of its transfer. */
  readonly transferId: string
  readonly amountNanodollars: bigint
  /** Credited on top. */
  readonly bonusNanodollars: bigint
}

/**
 * Whoever is to be told of what happens to money. Every method returns at once and never throws: the data plane calls it in the
 * middle of a request. What is told may come to people later, more than once, or, when too much of the same happens, summed up.
 */
export interface Notifier {
  /** An org's balance fell below the amount that was to be watched. */
  creditLow(orgId: string, balanceNanodollars: bigint, thresholdNanodollars: bigint): void
  /** A request of an org was refused because its credit does not cover it, whatever else runs. */
  creditExhausted(orgId: string): void
  budgetCrossed(crossing: BudgetCrossing): void
  /** An upstream did more than was held; call it only for settlements with an overrun. */
  overrun(settlement: Settlement): void
  paymentReceived(payment: PaymentReceived): void
}
