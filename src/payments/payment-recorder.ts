import { FUNDING, orgAccount } from '../ledger/account.ts'
import type { Transfer } from '../ledger/journal.ts'
import type { Notifier } from '../ledger/notifier.ts'
import type { Dispute, Payment, PaymentEvents, PaymentOutcome, Refund } from './payment-events.ts'

/** The currency of the books. */
const CURRENCY = 'usd'
const NANODOLLARS_PER_CENT = 10_000_000n

/** An event and what became of it, for the record. */
export interface RecordedEvent extends PaymentOutcome {
  /** Provider and its id of the event. */
  readonly id: string
  readonly type: string
  readonly orgId: string | null
  readonly paymentId: string | null
  /** Null when it is not a sum of US dollars. */
  readonly amountNanodollars: bigint | null
  readonly atMs: number
  readonly receivedMs: number
}

/** What the recorder works with. */
export interface PaymentRecorderParts {
  /** Adds the transfer unless one of its id is on record; answers the one on record. On disk when it resolves. */
  addCredit(transfer: Transfer): Promise<{ added: boolean; transfer: Transfer }>
  /** Makes credit that is on disk available at once. */
  credit(orgId: string, nanodollars: bigint): void
  isOrg(orgId: string): boolean
  record(event: RecordedEvent): Promise<void>
  /** Whose payment it was that was credited; null when none of this id was. */
  orgOf(paymentId: string): Promise<string | null>
  readonly notifier: Notifier
  readonly nowMs: () => number
  /** Told of each event after it was recorded. */
  onOutcome(event: RecordedEvent): void
}

/**
 * Turns payments into credit: a transfer for what was paid, and one for the bonus, whose ids are made of that of the checkout, so
 * that no payment is credited twice. What it cannot book it records as ignored, with the reason.
 */
export class PaymentRecorder implements PaymentEvents {
  readonly #parts: PaymentRecorderParts

  constructor(parts: PaymentRecorderParts) {
    this.#parts = parts
  }

  async paid(payment: Payment): Promise<PaymentOutcome> {
    const refusal = this.#refusal(payment)
    return await this.#record(payment, payment.amountCents, refusal ?? (await this.#credit(payment)))
  }

  /** Refunds are recorded and not booked. */
  async refunded(refund: Refund): Promise<PaymentOutcome> {
    return this.#record(
      await this.#withOrg(refund),
      refund.totalCents,
      'refunds are not booked by themselves: take the credit back by hand',
    )
  }

  /** Disputes are recorded and not booked. */
  async disputed(dispute: Dispute): Promise<PaymentOutcome> {
    return this.#record(
      await this.#withOrg(dispute),
      dispute.amountCents,
      'disputes are not booked by themselves: look at it at the provider',
    )
  }

  /** An event says whose payment it is about, or the payment does. */
  async #withOrg<Event extends Refund | Dispute>(event: Event): Promise<Event> {
    if (event.orgId !== null || event.paymentId === null) return event
    return { ...event, orgId: await this.#parts.orgOf(event.paymentId) }
  }

  #refusal({ paid, currency, orgId, amountCents }: Payment): string | null {
    if (!paid) return 'not paid yet'
    if (orgId === null) return 'it names no org: the checkout was not begun here'
    if (!this.#parts.isOrg(orgId)) return `there is no org ${orgId}`
    if (currency !== CURRENCY) return `it was paid in ${currency}, and the books are in ${CURRENCY}`
    return amountCents > 0n ? null : 'nothing was paid'
  }

  /** Why it was not credited; null when it is, now or before. */
  async #credit(payment: Payment): Promise<string | null> {
    const { notifier } = this.#parts
    const orgId = payment.orgId as string
    const transferId = `${payment.provider}:${payment.id}`
    const amountNanodollars = payment.amountCents * NANODOLLARS_PER_CENT
    const { bonusNanodollars, pack, paymentId } = payment
    const memo = [`payment ${paymentId ?? payment.id}`, ...(pack === null ? [] : [`pack ${pack}`])].join(', ')
    const added = await this.#add(transferId, orgId, amountNanodollars, memo)
    if (added === 'other') return `${transferId} is on record already, with another amount or org`
    if (bonusNanodollars > 0n) {
      const bonus = await this.#add(`${transferId}:bonus`, orgId, bonusNanodollars, `bonus of ${memo}`)
      if (bonus === 'other') return `the bonus of ${transferId} is on record already, with another amount`
    }
    if (added === 'added') notifier.paymentReceived({ orgId, transferId, amountNanodollars, bonusNanodollars })
    return null
  }

  async #add(
    id: string,
    orgId: string,
    amountNanodollars: bigint,
    memo: string,
  ): Promise<'added' | 'before' | 'other'> {
    const { addCredit, credit, nowMs } = this.#parts
    const account = orgAccount(orgId)
    const { added, transfer } = await addCredit({
      id,
      debit: FUNDING,
      credit: account,
      amountNanodollars,
      kind: 'credit',
      requestId: null,
      atMs: nowMs(),
      memo,
    })
    if (transfer.amountNanodollars !== amountNanodollars || transfer.credit !== account) return 'other'
    if (added) credit(orgId, amountNanodollars)
    return added ? 'added' : 'before'
  }

  async #record(
    { provider, eventId, type, orgId, paymentId, currency, atMs }: Payment | Refund | Dispute,
    cents: bigint,
    ignoredBecause: string | null,
  ): Promise<PaymentOutcome> {
    const kind = ignoredBecause === null ? 'credited' : 'ignored'
    const event: RecordedEvent = {
      id: `${provider}:${eventId}`,
      type,
      kind,
      reason: ignoredBecause ?? '',
      orgId,
      paymentId,
      amountNanodollars: currency === CURRENCY ? cents * NANODOLLARS_PER_CENT : null,
      atMs,
      receivedMs: this.#parts.nowMs(),
    }
    await this.#parts.record(event)
    this.#parts.onOutcome(event)
    return { kind, reason: event.reason }
  }
}
