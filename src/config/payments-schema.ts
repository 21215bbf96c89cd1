import { z } from 'zod'
import { parseDollars } from '../ledger/money.ts'
import { envName } from './webhooks-schema.ts'

/** Money is paid in whole cents. */
const NANODOLLARS_PER_CENT = 10_000_000n
/** The least and the most that the provider takes for one payment in US dollars. */
const DOLLARS_MIN = '0.50'
const DOLLARS_MAX = '999999.99'
const URL_CHARS_MAX = 2_048

const cents = (min: string, description: string) =>
  z
    .string()
    .refine(inCents(parseDollars(min), parseDollars(DOLLARS_MAX)))
    .meta({
      description,
      unit: 'dollars',
      decimal: true,
      allowed: `a decimal such as "25.00", ${min} to ${DOLLARS_MAX}, at most 2 places`,
    })

const returnUrl = (description: string) =>
  z.string().max(URL_CHARS_MAX).refine(isHttpUrl).meta({ description, allowed: 'an http or https URL' })

const pack = z.strictObject({
  id: z
    .string()
    .regex(/^[a-z][a-z0-9_-]{0,31}$/)
    .meta({
      description: 'What it is asked for by.',
      allowed: '1 to 32 of a-z, 0-9, "_" and "-", the first a letter',
    }),
  dollars: cents(DOLLARS_MIN, 'What is paid, and credited.'),
  bonus: cents('0.00', 'Credited on top.').default('0.00'),
})

const stripe = z.strictObject({
  secretKeyEnv: envName.meta({
    description:
      'Environment variable with the secret key ("sk_..."), or better a restricted key ("rk_...") that may write Checkout Sessions.',
    allowed: 'the name of an environment variable',
  }),
  webhookSecretEnv: envName.meta({
    description: 'Environment variable with the signing secret ("whsec_...") of the endpoint POST /webhooks/stripe.',
    allowed: 'the name of an environment variable',
  }),
  successUrl: returnUrl('Where the payer is sent after paying. The credit is added by the event, not by this visit.'),
  cancelUrl: returnUrl('Where the payer is sent who gives up.'),
  packs: z.array(pack).max(32).default([]).meta({
    description: 'Sums that are offered by name, each with a bonus or without.',
  }),
  minDollars: cents(DOLLARS_MIN, 'Least amount that can be paid without a pack.').default('5.00'),
  maxDollars: cents(DOLLARS_MIN, 'Most that can be paid without a pack.').default('1000.00'),
})

/** The section `payments`. */
export const payments = z.strictObject({
  stripe: stripe.nullable().default(null).meta({
    description: 'Credit is bought through Stripe Checkout; null: it is not.',
    sample:
      '{secretKeyEnv: STRIPE_SECRET_KEY, webhookSecretEnv: STRIPE_WEBHOOK_SECRET, successUrl: "https://example.com/paid", cancelUrl: "https://example.com/credit", packs: [{id: large, dollars: "100.00", bonus: "5.00"}]}',
  }),
})

/** The hosts that each provider of payments is reached at, by its name in `payments`. */
export const PAYMENT_HOSTS: Readonly<Record<keyof z.output<typeof payments>, string>> = { stripe: 'api.stripe.com' }

function inCents(min: bigint, max: bigint): (text: string) => boolean {
  return text => {
    try {
      const amount = parseDollars(text)
      return amount >= min && amount <= max && amount % NANODOLLARS_PER_CENT === 0n
    } catch {
      return false
    }
  }
}

function isHttpUrl(text: string): boolean {
  const protocol = URL.parse(text)?.protocol
  return protocol === 'http:' || protocol === 'https:'
}
