import type { Logger } from 'pino'
import type { Config } from '../config/schema.ts'
import type { Publisher } from '../control/publisher.ts'
import { ApiError } from '../errors.ts'
import type { Books } from '../ledger/books.ts'
import type { Notifier } from '../ledger/notifier.ts'
import { PaymentRecorder } from '../payments/payment-recorder.ts'
import { PROVIDER } from '../payments/stripe/read-event.ts'
import { createStripePayments, type StripePayments } from '../payments/stripe/stripe-payments.ts'
import type { HeadraceStore } from './foundation.ts'

/** What sells credit. */
export type Payments = StripePayments & { readonly provider: string }

/** Builds what sells credit; null when nothing is configured. */
export async function createPayments(
  config: Config,
  parts: {
    readonly store: HeadraceStore
    readonly books: Books
    readonly publisher: Publisher
    readonly notifier: Notifier
    readonly newId: (prefix: string) => string
    readonly log: Logger
  },
): Promise<Payments | null> {
  const { stripe: settings } = config.payments
  if (settings === null) return null
  const { store, books, publisher, notifier, newId, log } = parts
  const nowMs = () => Date.now()
  const events = new PaymentRecorder({
    addCredit: transfer => store.addCredit(transfer),
    post: transfer => store.post(transfer, { force: true }),
    bookedTotal: idPrefix => store.payments.bookedTotal(idPrefix),
    credit: (orgId, amount) => books.credit(orgId, amount),
    isOrg: orgId => publisher.current().orgs.has(orgId),
    record: event => store.payments.record(event),
    orgOf: paymentId => store.payments.orgOf(paymentId),
    notifier,
    nowMs,
    onOutcome({ id, type, kind, reason, orgId }) {
      if (kind === 'credited') log.info({ id, type, org: orgId }, 'a payment was credited')
      else if (kind !== 'ignored')
        log.warn({ id, type, org: orgId, kind }, 'what went back of a payment was taken back')
      else log.warn({ id, type, org: orgId, reason }, 'an event of a payment was not booked')
    },
  })
  const payments = await createStripePayments({ settings, env: process.env, events, newId, nowMs })
  return {
    provider: PROVIDER,
    checkout: payments.checkout,
    async receive(headers, body) {
      try {
        await payments.receive(headers, body)
      } catch (error) {
        if (error instanceof ApiError) throw error
        log.error({ err: error }, 'an event of a payment could not be written down; it will be sent again')
        throw new ApiError('settlement_unavailable', 'The event could not be written down. Send it again.', {
          cause: error,
        })
      }
    },
  }
}
