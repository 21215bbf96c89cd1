import type { Price } from '../inference/snapshot.ts'
import { orgAccount } from '../ledger/account.ts'
import type { Transfer } from '../ledger/journal.ts'
import { formatDollars, formatPricePerMillion } from '../ledger/money.ts'
import { picodollarsToDecimal } from '../wire/decimal.ts'
import { type BillingDetails, buildInvoice, type Invoice } from './invoice.ts'
import type { Month } from './month.ts'
import { classLines, type PriceClass, type UsageCounts, unitPricesOf } from './price-classes.ts'

/** All settled requests of an org in a month that had one model and one price. */
export interface ChargeSum extends UsageCounts {
  readonly modelId: string
  readonly priceId: string
  readonly chargeNanodollars: bigint
  /** What upstreams take from the operator for it; null when that is not known. */
  readonly costNanodollars: bigint | null
}

/** What the books say of an org and a month. */
export interface StatementRecords {
  /** The org's balance as the month began: all that was ever moved before it, summed. */
  readonly openingNanodollars: bigint
  /** The org's balance as the month ended: today's balance, less all that was moved since. */
  readonly closingNanodollars: bigint
  /** Every movement of the org's account in the month but charges, oldest first. */
  readonly transfers: readonly Transfer[]
  readonly charges: readonly ChargeSum[]
}

/** A movement of the org's account that is no charge. */
export interface StatementEntry {
  readonly id: string
  readonly at: string
  readonly kind: string
  /** Above zero when the org's balance rose. */
  readonly amount: string
  readonly memo: string | null
}

/** Charges at one model and price. */
export interface StatementCharge {
  readonly model: string
  readonly price: string
  readonly requests: number
  /** Not served from a cache. */
  readonly input_tokens: number
  readonly cached_input_tokens: number
  readonly output_tokens: number
  /** Class by class: what the usage is worth at its price, exact. */
  readonly lines: readonly {
    readonly class: PriceClass
    readonly quantity: number
    /** Dollars per million tokens; per request for the class `request`. */
    readonly unit_price: string
    readonly amount: string
  }[]
  /** Charge less the sum of the lines: the rounding of each charge, work that was not charged, work beyond a hold. */
  readonly difference: string
  readonly charge: string
  readonly cost: string | null
}

/** A month of an org's account. Opening balance + credits - charges + corrections = closing balance, to the nanodollar. */
export interface Statement {
  readonly org: { readonly id: string; readonly name: string }
  readonly month: string
  readonly from: string
  readonly to: string
  /** The month is not over: amounts may still grow. */
  readonly provisional: boolean
  readonly currency: 'USD'
  readonly opening_balance: string
  /** Bought, or given for free: `kind` says which. */
  readonly credits: readonly StatementEntry[]
  readonly credits_total: string
  readonly charges: readonly StatementCharge[]
  readonly charges_total: string
  /** All else: refunds, chargebacks, grants that ended, corrections by hand, what went beyond a hold. */
  readonly corrections: readonly StatementEntry[]
  readonly corrections_total: string
  readonly closing_balance: string
  /** Null while no seller is configured, and until the month is over. */
  readonly invoice: Invoice | null
}

/** The records do not add up: the books are broken. */
export class FootingError extends Error {
  override name = 'FootingError'
}

/** Puts a month's records together. Throws `FootingError` when they do not foot exactly. */
export function buildStatement(given: {
  readonly org: { readonly id: string; readonly name: string }
  readonly month: Month
  readonly nowMs: number
  readonly records: StatementRecords
  /** By id; a price that is missing leaves the charge without lines. */
  readonly prices: ReadonlyMap<string, Price>
  readonly billing: BillingDetails
}): Statement {
  const { org, month, records, billing } = given
  const signed = records.transfers.map(transfer => ({ transfer, amount: effectOn(org.id, transfer) }))
  const credits = signed.filter(each => isCredit(each.transfer))
  const corrections = signed.filter(each => !isCredit(each.transfer))
  const creditsTotal = credits.reduce((sum, each) => sum + each.amount, 0n)
  const correctionsTotal = corrections.reduce((sum, each) => sum + each.amount, 0n)
  const chargesTotal = records.charges.reduce((sum, each) => sum + each.chargeNanodollars, 0n)
  const { openingNanodollars: opening, closingNanodollars: closing } = records
  const footed = opening + creditsTotal - chargesTotal + correctionsTotal
  if (footed !== closing) {
    throw new FootingError(
      `The month ${month.text} of ${org.id} does not foot: ${formatDollars(opening)} opening + ${formatDollars(creditsTotal)} credits - ` +
        `${formatDollars(chargesTotal)} charges + ${formatDollars(correctionsTotal)} corrections is ${formatDollars(footed)}, and the closing balance is ${formatDollars(closing)}. Run: headrace ledger verify.`,
    )
  }
  const provisional = given.nowMs < month.toMs
  return {
    org: { id: org.id, name: org.name },
    month: month.text,
    from: new Date(month.fromMs).toISOString(),
    to: new Date(month.toMs).toISOString(),
    provisional,
    currency: 'USD',
    opening_balance: formatDollars(opening),
    credits: credits.map(entryOf),
    credits_total: formatDollars(creditsTotal),
    charges: records.charges
      .map(sum => chargeOf(sum, given.prices.get(sum.priceId)))
      .sort((a, b) => (a.model === b.model ? (a.price < b.price ? -1 : 1) : a.model < b.model ? -1 : 1)),
    charges_total: formatDollars(chargesTotal),
    corrections: corrections.map(entryOf),
    corrections_total: formatDollars(correctionsTotal),
    closing_balance: formatDollars(closing),
    invoice: provisional ? null : buildInvoice(org, month.text, chargesTotal, billing),
  }
}

/** What a transfer did to the org's balance. */
export function effectOn(orgId: string, transfer: Transfer): bigint {
  const account = orgAccount(orgId)
  if (transfer.credit === account) return transfer.amountNanodollars
  return transfer.debit === account ? -transfer.amountNanodollars : 0n
}

/** The id that the operator chose or was given: what is behind the prefix that keeps ids of orgs apart. */
export function shownId(transfer: Transfer): string {
  return transfer.id.replace(/^org:[^:]+:\w+:/, '')
}

/** What put money in: bought or given for free. All else on an account but charges is a correction. */
function isCredit({ kind }: Transfer): boolean {
  return kind === 'credit' || kind === 'grant'
}

function entryOf({ transfer, amount }: { transfer: Transfer; amount: bigint }): StatementEntry {
  return {
    id: shownId(transfer),
    at: new Date(transfer.atMs).toISOString(),
    kind: transfer.kind,
    amount: formatDollars(amount),
    memo: transfer.memo,
  }
}

function chargeOf(sum: ChargeSum, price: Price | undefined): StatementCharge {
  const lines = price === undefined ? [] : classLines(sum, unitPricesOf(price))
  const worth = lines.reduce((total, line) => total + line.picodollars, 0n)
  return {
    model: sum.modelId,
    price: sum.priceId,
    requests: sum.requests,
    input_tokens: sum.inputTokens - sum.cachedInputTokens,
    cached_input_tokens: sum.cachedInputTokens,
    output_tokens: sum.outputTokens,
    lines: lines.map(line => ({
      class: line.class,
      quantity: line.quantity,
      unit_price:
        line.class === 'request'
          ? twoPlaces(picodollarsToDecimal(line.picodollarsEach))
          : formatPricePerMillion(line.picodollarsEach),
      amount: picodollarsToDollars(line.picodollars),
    })),
    difference: picodollarsToDollars(sum.chargeNanodollars * 1_000n - worth),
    charge: formatDollars(sum.chargeNanodollars),
    cost: sum.costNanodollars === null ? null : formatDollars(sum.costNanodollars),
  }
}

/** Picodollars as dollars, exact, with at least two places: `1_000_000_000_000n` becomes `1.00`. */
export function picodollarsToDollars(picodollars: bigint): string {
  return twoPlaces(picodollarsToDecimal(picodollars))
}

function twoPlaces(decimal: string): string {
  const [whole = '0', fraction = ''] = decimal.split('.')
  return `${whole}.${fraction.padEnd(2, '0')}`
}
