import { formatDollars } from '../../ledger/money.ts'
import { type CsvValue, csvRow, exact } from '../csv.ts'
import { monthOf } from '../month.ts'
import type { ClassLine, PriceClass } from '../price-classes.ts'
import { picodollarsToDollars } from '../statement.ts'
import { FOCUS_COLUMNS, type FocusVersion, focusName } from './columns.ts'

/** Settled usage of one hour, key, model and price. */
export interface FocusUsage {
  readonly hourMs: number
  readonly org: { readonly id: string; readonly name: string }
  readonly key: { readonly id: string; readonly name: string }
  readonly model: string
  readonly priceId: string
  readonly requests: number
  /** At the price, class by class, exact; empty when the price is gone. */
  readonly lines: readonly ClassLine[]
  readonly chargeNanodollars: bigint
}

/** A movement of an org's account that is no charge. */
export interface FocusTransfer {
  readonly id: string
  readonly org: { readonly id: string; readonly name: string }
  readonly kind: string
  /** Above zero when the org's balance rose, nanodollars. */
  readonly effectNanodollars: bigint
  readonly atMs: number
  readonly memo: string | null
}

type FocusValues = Readonly<Partial<Record<(typeof FOCUS_COLUMNS)[number]['name'], string | null>>>

const HOUR_MS = 3_600_000
const NOTHING = '0.00'
const METERS: Readonly<Record<PriceClass, { readonly name: string; readonly unit: string }>> = {
  input: { name: 'Input Tokens', unit: 'Tokens' },
  cached_input: { name: 'Cached Input Tokens', unit: 'Tokens' },
  output: { name: 'Output Tokens', unit: 'Tokens' },
  request: { name: 'Requests', unit: 'Requests' },
}

/** The header line. */
export function focusHeader(version: FocusVersion): string {
  return csvRow(FOCUS_COLUMNS.map(column => focusName(column, version)))
}

/**
 * Lines for usage: one for each class, whose costs are quantity times unit price, exact; then, where the charge is not their
 * sum (each charge is rounded once, some endings are free, a charge never exceeds its hold), one Adjustment that makes it so.
 * The sum of EffectiveCost over all of them is the sum of the charges. BilledCost is zero: it was billed when the credit that
 * pays for it was bought.
 */
export function focusUsageRows(usage: FocusUsage, seller: string): string {
  const month = monthOf(usage.hourMs)
  const common: FocusValues = {
    ...sellerValues(seller),
    ...accountValues(usage.org),
    ...monthValues(month),
    ChargePeriodStart: time(usage.hourMs),
    ChargePeriodEnd: time(usage.hourMs + HOUR_MS),
    BilledCost: NOTHING,
    SubAccountId: usage.key.id,
    SubAccountName: usage.key.name,
    SubAccountType: 'API Key',
    x_ModelId: usage.model,
    x_PriceId: usage.priceId,
    ChargeFrequency: 'Usage-Based',
  }
  const rows = usage.lines.map(line => {
    const meter = METERS[line.class]
    const cost = picodollarsToDollars(line.picodollars)
    const unitPrice = picodollarsToDollars(line.picodollarsEach)
    return focusRow({
      ...common,
      ChargeCategory: 'Usage',
      ChargeDescription: `${meter.name} of ${usage.model}`,
      ListCost: cost,
      ContractedCost: cost,
      EffectiveCost: cost,
      ListUnitPrice: unitPrice,
      ContractedUnitPrice: unitPrice,
      PricingCategory: 'Standard',
      PricingQuantity: decimal(line.quantity),
      PricingUnit: meter.unit,
      ConsumedQuantity: decimal(line.quantity),
      ConsumedUnit: meter.unit,
      SkuId: `${usage.model}:${line.class}`,
      SkuMeter: meter.name,
      SkuPriceId: `${usage.priceId}:${line.class}`,
      x_RequestCount: decimal(usage.requests),
    })
  })
  const worth = usage.lines.reduce((sum, line) => sum + line.picodollars, 0n)
  const difference = usage.chargeNanodollars * 1_000n - worth
  if (difference !== 0n) {
    const cost = picodollarsToDollars(difference)
    rows.push(
      focusRow({
        ...common,
        ChargeCategory: 'Adjustment',
        ChargeDescription: `Rounding of charges, and work that was not charged, of ${usage.model}`,
        ListCost: cost,
        ContractedCost: cost,
        EffectiveCost: cost,
        x_RequestCount: decimal(usage.requests),
      }),
    )
  }
  return rows.join('')
}

/**
 * The line of a transfer. Credit that was bought is a Purchase, billed now and effective as it is used (EffectiveCost 0). Any other
 * movement is an Adjustment that bills and costs nothing by itself, such as a grant: what it does to the balance is in its description.
 * A refund is a Purchase of less: its BilledCost is below zero.
 */
export function focusTransferRow(transfer: FocusTransfer, seller: string): string {
  const month = monthOf(transfer.atMs)
  const hourMs = Math.floor(transfer.atMs / HOUR_MS) * HOUR_MS
  const bought = transfer.kind === 'credit' || transfer.kind === 'refund'
  const amount = formatDollars(transfer.effectNanodollars)
  const common: FocusValues = {
    ...sellerValues(seller),
    ...accountValues(transfer.org),
    ...monthValues(month),
    ChargePeriodStart: time(hourMs),
    ChargePeriodEnd: time(hourMs + HOUR_MS),
    ChargeFrequency: 'One-Time',
    EffectiveCost: NOTHING,
    x_TransferId: transfer.id,
  }
  if (!bought) {
    return focusRow({
      ...common,
      ChargeCategory: transfer.kind === 'grant' || transfer.kind === 'expiry' ? 'Credit' : 'Adjustment',
      ChargeDescription: `${transfer.kind} of ${amount} USD to the prepaid balance${transfer.memo === null ? '' : `: ${transfer.memo}`}`,
      BilledCost: NOTHING,
      ListCost: NOTHING,
      ContractedCost: NOTHING,
    })
  }
  return focusRow({
    ...common,
    ChargeCategory: 'Purchase',
    ChargeDescription: transfer.memo ?? (transfer.kind === 'credit' ? 'Prepaid credit' : 'Refund of prepaid credit'),
    BilledCost: amount,
    ListCost: amount,
    ContractedCost: amount,
    ListUnitPrice: '1.0',
    ContractedUnitPrice: '1.0',
    PricingCategory: 'Standard',
    PricingQuantity: amount,
    PricingUnit: 'Credits',
    SkuId: 'prepaid-credit',
    SkuMeter: 'Prepaid Credit',
    SkuPriceId: 'prepaid-credit-usd',
  })
}

function sellerValues(seller: string): FocusValues {
  return {
    ServiceProviderName: seller,
    HostProviderName: seller,
    InvoiceIssuerName: seller,
    ServiceName: 'Headrace Inference',
    ServiceCategory: 'AI and Machine Learning',
    ServiceSubcategory: 'Generative AI',
    BillingCurrency: 'USD',
  }
}

function accountValues(org: { readonly id: string; readonly name: string }): FocusValues {
  return { BillingAccountId: org.id, BillingAccountName: org.name }
}

function monthValues(month: { readonly fromMs: number; readonly toMs: number }): FocusValues {
  return { BillingPeriodStart: time(month.fromMs), BillingPeriodEnd: time(month.toMs) }
}

function focusRow(values: FocusValues): string {
  return csvRow(
    FOCUS_COLUMNS.map((column): CsvValue => {
      const value = values[column.name] ?? null
      return column.type === 'text' ? value : exact(value)
    }),
  )
}

/** `YYYY-MM-DDTHH:mm:ssZ`, the form that the specification wants. */
function time(atMs: number): string {
  return new Date(atMs).toISOString().replace('.000Z', 'Z')
}

/** With a place after the point: programs that guess a column's type from its values, the validator among them, then see decimals. */
function decimal(quantity: number): string {
  return `${quantity}.0`
}
