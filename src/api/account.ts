import type { ScopedToken } from '../inference/scoped-token.ts'
import type { ApiKey, Price } from '../inference/snapshot.ts'
import type { Funds } from '../ledger/books.ts'
import type { PricedHour } from '../statements/usage-items.ts'

/** A page where credit is paid for. Amounts in nanodollars. */
export interface PaymentPage {
  readonly id: string
  readonly url: string
  readonly amountNanodollars: bigint
  readonly bonusNanodollars: bigint
  readonly expiresMs: number
}

/** How the whole service does, over the last minute; null where nothing was measured. */
export interface LiveRates {
  readonly outputTokensPerSecond: number
  readonly requestsPerSecond: number
  /** Mean time from a request to its first output token, seconds. */
  readonly firstTokenSeconds: number | null
}

/** What the account resources need of money, keys and tokens. What resolves is on disk and in force. */
export interface AccountPorts {
  funds(orgId: string): Funds
  /** Settled under a budget of the books, nanodollars. */
  spent(budgetId: string): bigint
  /** Makes an API key without bounds for an org; its secret is told once. */
  createKey(orgId: string, name: string): Promise<{ readonly key: ApiKey; readonly secret: string }>
  revokeKey(keyId: string): Promise<void>
  addToken(token: ScopedToken): Promise<void>
  revokeToken(tokenId: string, revokedMs: number): Promise<void>
  /** Sums of an org's usage by hour, from `fromMs` to before `toMs`, whole hours, oldest first. */
  usageHours(selection: {
    readonly orgId: string
    readonly keyId?: string
    readonly fromMs: number
    readonly toMs: number
  }): AsyncIterable<PricedHour>
  /** The first hour in which something of an org was settled; null when nothing was. */
  firstHourMs(orgId: string): Promise<number | null>
  /** A price by its id, also one that is over. */
  price(priceId: string): Promise<Price | null>
  /** What requests were charged, nanodollars; those that are not settled, or not the org's, are left out. */
  chargesOf(orgId: string, requestIds: readonly string[]): Promise<ReadonlyMap<string, bigint>>
  /** The most that an org itself lets be spent in a month, nanodollars; null takes the bound away. */
  setMonthlyLimit(orgId: string, limitNanodollars: bigint | null): Promise<void>
  /** Begins a payment; absent where no provider of payments is configured. */
  readonly checkout?: (orgId: string, amountNanodollars: bigint) => Promise<PaymentPage>
  live(): LiveRates
}

/** Id of the limit that an org sets for itself. */
export function ownLimitId(orgId: string): string {
  return `limit_own_${orgId}`
}
