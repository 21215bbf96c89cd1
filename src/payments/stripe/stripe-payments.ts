import type { IncomingHttpHeaders } from 'node:http'
import type Stripe from 'stripe'
import type { Config } from '../../config/schema.ts'
import { ApiError } from '../../errors.ts'
import { formatDollars } from '../../ledger/money.ts'
import { type CheckoutOffer, type CheckoutWish, sumOf } from '../checkout.ts'
import type { PaymentEvents } from '../payment-events.ts'
import { toMetadata } from './metadata.ts'
import { dispatchEvent } from './read-event.ts'

const CALL_TIMEOUT_MS = 20_000
const CALL_RETRIES_MAX = 2
/** An event that was signed longer ago is refused: somebody may have kept it. Stripe signs anew each time it sends. */
const SIGNATURE_AGE_S_MAX = 300
const NANODOLLARS_PER_CENT = 10_000_000n

type Settings = NonNullable<Config['payments']['stripe']>

/** What payments through Stripe are made of. */
export interface StripeParts {
  readonly settings: Settings
  /** Holds the secrets. */
  readonly env: Readonly<Record<string, string | undefined>>
  readonly events: PaymentEvents
  readonly newId: (prefix: string) => string
  readonly nowMs: () => number
  /** Where Stripe's API is, when it is not where it always is. */
  readonly api?: { readonly host: string; readonly port: number; readonly protocol: 'http' | 'https' }
}

/** Payments through Stripe Checkout. */
export interface StripePayments {
  /** Begins a checkout. Throws ApiError 400 for a sum that is not on offer, 502 when Stripe does not do it. */
  checkout(wish: CheckoutWish): Promise<CheckoutOffer>
  /** Takes an event from Stripe. Throws ApiError 400 when it is not signed as it should be. */
  receive(headers: IncomingHttpHeaders, body: Uint8Array): Promise<void>
}

/**
 * Loads Stripe's library, which takes a tenth of a second and 40 MB, hence only when payments are configured.
 * Rejects with the cure when a secret is missing.
 */
export async function createStripePayments(parts: StripeParts): Promise<StripePayments> {
  const { settings, events, newId, nowMs, env } = parts
  const secretKey = secretOf(env, settings.secretKeyEnv)
  const webhookSecret = secretOf(env, settings.webhookSecretEnv)
  const { default: StripeClient } = await import('stripe')
  const client = new StripeClient(secretKey, {
    maxNetworkRetries: CALL_RETRIES_MAX,
    timeout: CALL_TIMEOUT_MS,
    telemetry: false,
    ...parts.api,
  })

  return {
    async checkout(wish) {
      const { cents, pack, bonusNanodollars } = sumOf(wish, settings)
      const { orgId } = wish
      const amountNanodollars = cents * NANODOLLARS_PER_CENT
      const metadata = toMetadata({ orgId, pack, bonusNanodollars })
      const name = `Credit of $${formatDollars(amountNanodollars)}`
      const session = await called(
        StripeClient,
        client.checkout.sessions.create(
          {
            mode: 'payment',
            line_items: [
              {
                quantity: 1,
                // Below a hundred million cents, so the number is exact.
                price_data: { currency: 'usd', unit_amount: Number(cents), product_data: { name } },
              },
            ],
            // What is paid is what is credited: no amount in another currency, converted by somebody's rate.
            adaptive_pricing: { enabled: false },
            client_reference_id: orgId,
            metadata,
            payment_intent_data: { metadata },
            success_url: settings.successUrl,
            cancel_url: settings.cancelUrl,
          },
          { idempotencyKey: `headrace:${orgId}:${wish.id ?? newId('checkout_')}` },
        ),
      )
      if (session.url === null) throw new ApiError('payment_provider_error', 'Stripe began a checkout without a page.')
      const expiresMs = session.expires_at * 1000
      return { id: session.id, url: session.url, amountNanodollars, bonusNanodollars, expiresMs }
    },

    async receive(headers, body) {
      const event = checkedEvent(client, headers['stripe-signature'], body, webhookSecret, nowMs())
      await dispatchEvent(event, events)
    },
  }
}

function checkedEvent(
  client: Stripe,
  signature: string | string[] | undefined,
  body: Uint8Array,
  secret: string,
  nowMs: number,
): Stripe.Event {
  if (typeof signature !== 'string')
    throw new ApiError('invalid_signature', 'The header stripe-signature is missing: this is no event from Stripe.')
  try {
    return client.webhooks.constructEvent(Buffer.from(body), signature, secret, SIGNATURE_AGE_S_MAX, undefined, nowMs)
  } catch (cause) {
    if (cause instanceof SyntaxError)
      throw new ApiError('invalid_json', 'The event is signed, and is not JSON.', { cause })
    throw new ApiError(
      'invalid_signature',
      `The signature does not fit the body and the secret of payments.stripe.webhookSecretEnv, or is older than ${SIGNATURE_AGE_S_MAX} seconds.`,
      { cause },
    )
  }
}

async function called<Answer>(client: typeof Stripe, call: Promise<Answer>): Promise<Answer> {
  try {
    return await call
  } catch (cause) {
    if (!(cause instanceof client.errors.StripeError)) throw cause
    if (cause instanceof client.errors.StripeIdempotencyError)
      throw new ApiError('conflict', 'id: was used before for another checkout; choose another', { param: 'id', cause })
    throw new ApiError('payment_provider_error', `Stripe did not begin the checkout: ${cause.message}`, { cause })
  }
}

function secretOf(env: Readonly<Record<string, string | undefined>>, name: string): string {
  const secret = env[name]
  if (secret !== undefined && secret !== '') return secret
  throw new Error(`payments.stripe takes a secret from the environment variable ${name}, which is not set. Set it.`)
}
