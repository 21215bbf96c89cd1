import { formatDollars } from '../ledger/money.ts'
import { PARTS_PER_UNIT, parsePercent } from './percent.ts'
import { divideHalfEven, NANODOLLARS_PER_CENT, roundToCents } from './rounding.ts'

/** A party of an invoice as printed. */
export interface Party {
  readonly name: string
  /** Lines. */
  readonly address: readonly string[]
  readonly tax_id: string | null
}

/** What an invoice needs to know beside the statement: the settings under `billing`. */
export interface BillingDetails {
  /** Who sells; null: no invoices are made. */
  readonly name: string | null
  readonly address: readonly string[]
  readonly taxId: string | null
  /** Percent, an exact decimal such as `19` or `8.875`. */
  readonly taxRate: string
  readonly invoicePrefix: string
  readonly note: string | null
  readonly customers: readonly {
    readonly org: string
    readonly name: string
    readonly address: readonly string[]
    readonly taxId: string | null
  }[]
}

/** No seller is configured. */
export const NO_BILLING: BillingDetails = Object.freeze({
  name: null,
  address: [],
  taxId: null,
  taxRate: '0',
  invoicePrefix: 'INV',
  note: null,
  customers: [],
})

/** What makes a statement an invoice. Amounts are decimal strings in US dollars. */
export interface Invoice {
  /** The same for the same month and org, always, and never that of another. */
  readonly number: string
  readonly seller: Party
  readonly customer: Party
  /** All charges of the month, exact. */
  readonly subtotal: string
  /** What the one rounding of the subtotal to cents, half to even, added. */
  readonly rounding: string
  readonly net: string
  /** Percent. */
  readonly tax_rate: string
  /** Of the net, rounded once to cents, half to even. */
  readonly tax: string
  readonly total: string
  /** The net: charges are taken from prepaid credit when they arise. */
  readonly paid: string
  /** What is left to pay: the tax. */
  readonly due: string
  readonly note: string | null
}

/** The invoice over a month's charges, nanodollars; null while no seller is configured. */
export function buildInvoice(
  org: { readonly id: string; readonly name: string },
  month: string,
  chargesNanodollars: bigint,
  billing: BillingDetails,
): Invoice | null {
  if (billing.name === null) return null
  const customer = billing.customers.find(each => each.org === org.id)
  const net = roundToCents(chargesNanodollars)
  const tax = taxOf(net, billing.taxRate)
  return {
    number: invoiceNumber(billing.invoicePrefix, month, org.id),
    seller: { name: billing.name, address: billing.address, tax_id: billing.taxId },
    customer: { name: customer?.name ?? org.name, address: customer?.address ?? [], tax_id: customer?.taxId ?? null },
    subtotal: formatDollars(chargesNanodollars),
    rounding: formatDollars(net - chargesNanodollars),
    net: formatDollars(net),
    tax_rate: billing.taxRate,
    tax: formatDollars(tax),
    total: formatDollars(net + tax),
    paid: formatDollars(net),
    due: formatDollars(tax),
    note: billing.note,
  }
}

/** Tax on a net amount, both nanodollars: the exact product rounded once, half to even, to cents. */
export function taxOf(netNanodollars: bigint, ratePercent: string): bigint {
  const exact = netNanodollars * parsePercent(ratePercent)
  return divideHalfEven(exact, PARTS_PER_UNIT * NANODOLLARS_PER_CENT) * NANODOLLARS_PER_CENT
}

/** Made of nothing but month and org, so that a number is never given twice and a reprint has the same. */
function invoiceNumber(prefix: string, month: string, orgId: string): string {
  return `${prefix}-${month}-${orgId.replace(/^org_/, '')}`
}
