import type Stripe from 'stripe'
import type { Dispute, Payment, PaymentEvents, PaymentOutcome, Refund } from '../payment-events.ts'
import { fromMetadata } from './metadata.ts'

/** The provider's name, with which ids of transfers begin. */
export const PROVIDER = 'stripe'

/**
 * Hands a checked event on in words of ours; null for one that says nothing about our money.
 * Source of the fields: https://docs.stripe.com/api/events/types and the objects linked there.
 */
export function dispatchEvent(event: Stripe.Event, events: PaymentEvents): Promise<PaymentOutcome> | null {
  switch (event.type) {
    // With slow ways to pay (bank debits) the first comes unpaid and the second when the money has come; else only the first.
    case 'checkout.session.completed':
    case 'checkout.session.async_payment_succeeded':
      return events.paid(paymentOf(event, event.data.object))
    case 'charge.refunded':
      return events.refunded(refundOf(event, event.data.object))
    case 'charge.dispute.created':
      return events.disputed(disputeOf(event, event.data.object, 'opened'))
    case 'charge.dispute.funds_withdrawn':
      return events.disputed(disputeOf(event, event.data.object, 'withdrawn'))
    default:
      return null
  }
}

function paymentOf(event: Stripe.Event, session: Stripe.Checkout.Session): Payment {
  const { orgId, pack, bonusNanodollars } = fromMetadata(session.metadata)
  return {
    ...common(event, session.currency, session.payment_intent),
    id: session.id,
    orgId,
    paid: session.mode === 'payment' && session.payment_status === 'paid',
    amountCents: BigInt(session.amount_total ?? 0),
    pack,
    bonusNanodollars,
  }
}

// A charge has the metadata of its payment intent, which the session gave it.
function refundOf(event: Stripe.Event, charge: Stripe.Charge): Refund {
  const { orgId } = fromMetadata(charge.metadata)
  return {
    ...common(event, charge.currency, charge.payment_intent),
    id: charge.id,
    orgId,
    totalCents: BigInt(charge.amount_refunded),
  }
}

// A dispute has metadata of its own; whose it is, its payment tells.
function disputeOf(event: Stripe.Event, dispute: Stripe.Dispute, stage: Dispute['stage']): Dispute {
  return {
    ...common(event, dispute.currency, dispute.payment_intent),
    id: dispute.id,
    orgId: null,
    stage,
    amountCents: BigInt(dispute.amount),
  }
}

function common(event: Stripe.Event, currency: string | null, payment: string | { readonly id: string } | null) {
  return {
    provider: PROVIDER,
    eventId: event.id,
    type: event.type,
    paymentId: typeof payment === 'string' ? payment : (payment?.id ?? null),
    currency: currency ?? '',
    atMs: event.created * 1000,
  }
}
