import Stripe from 'stripe'

/**
 * Events as Stripe sends them, for tests. They are not recordings: they were made by hand after the public documentation
 * (https://docs.stripe.com/api/checkout/sessions/object, /api/charges/object, /api/disputes/object, /api/events/object) and have
 * the documented fields around those that are read, as a real event has.
 */

export const WEBHOOK_SECRET = 'whsec_for_tests_only'

/** An event in its envelope. `createdS` is when it happened. */
export function stripeEvent(id: string, type: string, object: object, createdS: number): object {
  return {
    id,
    object: 'event',
    api_version: '2025-03-31.basil',
    created: createdS,
    data: { object },
    livemode: false,
    pending_webhooks: 1,
    request: { id: null, idempotency_key: null },
    type,
  }
}

/** A Checkout Session that was paid: $25.00 with a bonus of $1.50. */
export function paidSession(changes: object = {}): object {
  return {
    id: 'cs_test_a1',
    object: 'checkout.session',
    adaptive_pricing: { enabled: false },
    amount_subtotal: 2500,
    amount_total: 2500,
    cancel_url: 'https://example.com/credit',
    client_reference_id: 'org_a',
    created: 1_769_860_000,
    currency: 'usd',
    currency_conversion: null,
    customer: null,
    customer_details: { address: null, email: 'ada@example.com', name: 'Ada', phone: null, tax_exempt: 'none' },
    expires_at: 1_769_946_400,
    livemode: false,
    metadata: { headrace_org: 'org_a', headrace_bonus: '1.50', headrace_pack: 'medium' },
    mode: 'payment',
    payment_intent: 'pi_1',
    payment_method_types: ['card'],
    payment_status: 'paid',
    status: 'complete',
    success_url: 'https://example.com/paid',
    total_details: { amount_discount: 0, amount_shipping: 0, amount_tax: 0 },
    url: null,
    ...changes,
  }
}

/** The charge of that session, refunded in part. */
export function refundedCharge(changes: object = {}): object {
  return {
    id: 'ch_1',
    object: 'charge',
    amount: 2500,
    amount_captured: 2500,
    amount_refunded: 1000,
    balance_transaction: 'txn_1',
    captured: true,
    currency: 'usd',
    disputed: false,
    metadata: { headrace_org: 'org_a', headrace_bonus: '1.50', headrace_pack: 'medium' },
    paid: true,
    payment_intent: 'pi_1',
    refunded: false,
    status: 'succeeded',
    ...changes,
  }
}

/** A dispute of that charge. */
export function dispute(changes: object = {}): object {
  return {
    id: 'dp_1',
    object: 'dispute',
    amount: 2500,
    charge: 'ch_1',
    currency: 'usd',
    is_charge_refundable: false,
    livemode: false,
    metadata: {},
    payment_intent: 'pi_1',
    reason: 'fraudulent',
    status: 'needs_response',
    ...changes,
  }
}

/** The header that Stripe signs a body with, by the library's own helper for tests. */
export function signatureOf(body: string, atMs: number, secret = WEBHOOK_SECRET): string {
  return Stripe.webhooks.generateTestHeaderString({ payload: body, secret, timestamp: Math.floor(atMs / 1000) })
}
