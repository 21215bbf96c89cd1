import { z } from 'zod'
import { about } from './setting-kinds.ts'

const printed = (max: number, description: string) => z.string().trim().min(1).max(max).meta(about(description))
const printedOrNull = (max: number, description: string) =>
  z
    .string()
    .trim()
    .min(1)
    .max(max)
    .nullable()
    .default(null)
    .meta(about(description, { allowed: 'text, or null' }))
const addressLines = (description: string) =>
  z
    .array(z.string().trim().min(1).max(200))
    .max(10)
    .default([])
    .meta(about(description, { sample: '[Hauptstraße 12, 10115 Berlin, Germany]' }))

/** The section `billing`. */
export const billing = z.strictObject({
  name: printedOrNull(200, 'Who sells, as printed on invoices; null: statements only, no invoices.'),
  address: addressLines('Lines under the name.'),
  taxId: printedOrNull(100, 'Tax number of the seller.'),
  taxRate: z
    .string()
    .refine(text => /^\d{1,2}(\.\d{1,4})?$|^100(\.0{1,4})?$/.test(text))
    .default('0')
    .meta(
      about('Tax on the net amount of an invoice.', {
        unit: 'percent',
        decimal: true,
        allowed: 'a decimal such as "8.875", from 0 to 100, at most 4 places',
      }),
    ),
  invoicePrefix: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,15}$/)
    .default('INV')
    .meta(
      about('First part of the number of every invoice; month and org follow.', {
        allowed: '1 to 16 letters, digits, "_" and "-", the first a letter or digit',
      }),
    ),
  note: printedOrNull(500, 'A line for the foot of invoices, such as terms or in which currency to pay.'),
  customers: z
    .array(
      z.strictObject({
        org: printed(128, 'Id of the org.'),
        name: printed(200, 'Name of the customer as printed.'),
        address: addressLines('Lines under the name.'),
        taxId: printedOrNull(100, 'Tax number of the customer.'),
      }),
    )
    .max(10_000)
    .default([])
    .meta(
      about('Whom invoices of an org are made out to; without an entry, to the name of the org.', {
        sample: '[{org: org_0aB3dE5gH7jK9m, name: Acme Robotics Inc.}]',
      }),
    ),
})
