/**
 * A ledger account. `org:<id>` is the prepaid credit that the operator owes an org; the operator's accounts are where
 * credit comes from and where charges go:
 * - `operator:funding`: debited for all credit that customers paid for, credited with what they got back;
 * - `operator:grants`: debited for credit that was given for free, credited with what was left of it when it ended;
 * - `operator:revenue`: credited with all charges;
 * - `operator:overrun`: debited with work that an upstream did beyond what was held, which no customer pays.
 *
 * The balance of an account is credits minus debits, in nanodollars; the balances of all accounts sum to zero.
 */
export type AccountId =
  | `org:${string}`
  | 'operator:funding'
  | 'operator:grants'
  | 'operator:revenue'
  | 'operator:overrun'

export const FUNDING: AccountId = 'operator:funding'
export const GRANTS: AccountId = 'operator:grants'
export const REVENUE: AccountId = 'operator:revenue'
export const OVERRUN: AccountId = 'operator:overrun'

/** The account of an org's prepaid credit. */
export function orgAccount(orgId: string): AccountId {
  return `org:${orgId}`
}
