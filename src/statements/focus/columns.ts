/**
 * Columns of the Cost and Usage dataset of FOCUS (FinOps Open Cost and Usage Specification). 1.4 is what Headrace speaks; 1.2
 * differs in the names of two columns and is what many tools, and the validator that can be installed today, know.
 */
export type FocusVersion = '1.4' | '1.2'

/** A column of a FOCUS file. */
export interface FocusColumn {
  readonly name: string
  /** `mandatory`: in every dataset; the others are there because Headrace has what they are about. */
  readonly level: 'mandatory' | 'recommended' | 'conditional' | 'custom'
  readonly type: 'text' | 'decimal' | 'time'
  readonly nullable: boolean
  readonly allowed?: readonly string[]
  /** Its name in 1.2 where that differs; null when 1.2 has no such column. */
  readonly nameIn12?: string
}

const column = (
  name: string,
  level: FocusColumn['level'],
  type: FocusColumn['type'],
  nullable: boolean,
  more: Pick<FocusColumn, 'allowed' | 'nameIn12'> = {},
): FocusColumn => ({ name, level, type, nullable, ...more })

/** FOCUS columns first, in alphabetical order, custom ones (`x_`) after them, as the specification wants. */
export const FOCUS_COLUMNS: readonly FocusColumn[] = [
  column('BilledCost', 'mandatory', 'decimal', false),
  column('BillingAccountId', 'mandatory', 'text', false),
  column('BillingAccountName', 'mandatory', 'text', true),
  column('BillingCurrency', 'mandatory', 'text', false, { allowed: ['USD'] }),
  column('BillingPeriodEnd', 'mandatory', 'time', false),
  column('BillingPeriodStart', 'mandatory', 'time', false),
  column('ChargeCategory', 'mandatory', 'text', false, {
    allowed: ['Usage', 'Purchase', 'Tax', 'Credit', 'Adjustment'],
  }),
  column('ChargeClass', 'mandatory', 'text', true, { allowed: ['Correction'] }),
  column('ChargeDescription', 'mandatory', 'text', true),
  column('ChargeFrequency', 'recommended', 'text', false, { allowed: ['One-Time', 'Recurring', 'Usage-Based'] }),
  column('ChargePeriodEnd', 'mandatory', 'time', false),
  column('ChargePeriodStart', 'mandatory', 'time', false),
  // Always empty; the specification's rules for ConsumedQuantity refer to it, and a checker needs it to apply them.
  column('CommitmentDiscountStatus', 'conditional', 'text', true, { allowed: ['Used', 'Unused'] }),
  column('ConsumedQuantity', 'conditional', 'decimal', true),
  column('ConsumedUnit', 'conditional', 'text', true),
  column('ContractedCost', 'mandatory', 'decimal', false),
  column('ContractedUnitPrice', 'conditional', 'decimal', true),
  column('EffectiveCost', 'mandatory', 'decimal', false),
  column('HostProviderName', 'mandatory', 'text', true, { nameIn12: 'PublisherName' }),
  column('InvoiceId', 'recommended', 'text', true),
  column('InvoiceIssuerName', 'mandatory', 'text', false),
  column('ListCost', 'mandatory', 'decimal', false),
  column('ListUnitPrice', 'conditional', 'decimal', true),
  column('PricingCategory', 'conditional', 'text', true, { allowed: ['Standard', 'Dynamic', 'Committed', 'Other'] }),
  column('PricingQuantity', 'mandatory', 'decimal', true),
  column('PricingUnit', 'mandatory', 'text', true),
  column('ServiceCategory', 'mandatory', 'text', false, { allowed: ['AI and Machine Learning'] }),
  column('ServiceName', 'mandatory', 'text', false),
  column('ServiceProviderName', 'mandatory', 'text', false, { nameIn12: 'ProviderName' }),
  column('ServiceSubcategory', 'recommended', 'text', false, { allowed: ['Generative AI'] }),
  column('SkuId', 'conditional', 'text', true),
  column('SkuMeter', 'conditional', 'text', true),
  column('SkuPriceDetails', 'conditional', 'text', true),
  column('SkuPriceId', 'conditional', 'text', true),
  column('SubAccountId', 'conditional', 'text', true),
  column('SubAccountName', 'conditional', 'text', true),
  column('SubAccountType', 'conditional', 'text', true, { allowed: ['API Key'] }),
  column('x_ModelId', 'custom', 'text', true),
  column('x_PriceId', 'custom', 'text', true),
  column('x_RequestCount', 'custom', 'decimal', true),
  column('x_TransferId', 'custom', 'text', true),
]

/** A column's name in a version. */
export function focusName(column: FocusColumn, version: FocusVersion): string {
  return version === '1.2' ? (column.nameIn12 ?? column.name) : column.name
}
