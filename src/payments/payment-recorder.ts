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
  /** Posts a refund or chargeback unless one of its id is on record; null as transfer when the books refuse it. On disk when it resolves. */
  post(transfer: Transfer): Promise<{ added: boolean; transfer: Transfer | null }>
  /** The sum of the transfers whose ids begin so, nanodollars. */
  bookedTotal(idPrefix: string): Promise<bigint>
  /** Adds credit that is on disk, or takes it away, at once. */
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
 * that no payment is credited twice; and what went back into refunds and chargebacks. What it cannot book it records as ignored, with
 * the reason.
 */
export class PaymentRecorder implements PaymentEvents {
  readonly #parts: PaymentRecorderParts
  #last: Promise<unknown> = Promise.resolve()

  constructor(parts: PaymentRecorderParts) {
    this.#parts = parts
  }

  async paid(payment: Payment): Promise<PaymentOutcome> {
    const refusal = this.#refusal(payment)
    return await this.#record(payment, payment.amountCents, refusal ?? (await this.#credit(payment)), 'credited')
  }

  /** Books what went back beyond what is booked for the charge already, whatever order its refunds come in. */
  async refunded(event: Refund): Promise<PaymentOutcome> {
    const refund = await this.#withOrg(event)
    const { provider, id, totalCents } = refund
    const prefix = `${provider}:${id}:refund:`
    return await this.#record(
      refund,
      totalCents,
      await this.#taken(refund, totalCents, async () => {
        const rest = totalCents * NANODOLLARS_PER_CENT - (await this.#parts.bookedTotal(prefix))
        return rest > 0n ? this.#take('refund', `${prefix}${totalCents}`, refund, rest) : null
      }),
      'refunded',
    )
  }

  /** Books what the bank took; a dispute that was only opened is recorded. */
  async disputed(event: Dispute): Promise<PaymentOutcome> {
    const dispute = await this.#withOrg(event)
    const { provider, id, stage, amountCents } = dispute
    const ignored =
      stage === 'opened'
        ? 'a dispute was opened, and no money taken yet: look at it at the provider'
        : await this.#taken(dispute, amountCents, () =>
            this.#take('chargeback', `${provider}:${id}:chargeback`, dispute, amountCents * NANODOLLARS_PER_CENT),
          )
    return await this.#record(dispute, amountCents, ignored, 'charged_back')
  }

  // One after another: what is booked already must not change between being read and being added to.
  #taken(event: Refund | Dispute, cents: bigint, take: () => Promise<string | null>): Promise<string | null> {
    const refusal = this.#foreign(event) ?? (cents > 0n ? null : 'nothing went back')
    if (refusal !== null) return Promise.resolve(refusal)
    const result = this.#last.then(take)
    this.#last = result.catch(() => undefined)
    return result
  }

  // The money has gone already, so it is taken back also where that leaves the org with less than nothing.
  async #take(
    kind: 'refund' | 'chargeback',
    id: string,
    { orgId, paymentId }: Refund | Dispute,
    amountNanodollars: bigint,
  ): Promise<string | null> {
    const { post, credit, nowMs } = this.#parts
    const org = orgId as string
    const account = orgAccount(org)
    const memo = `${kind} of payment ${paymentId ?? 'unknown'}`
    const { added, transfer } = await post({
      ...{ id, debit: account, credit: FUNDING, amountNanodollars, kind, requestId: null, atMs: nowMs(), memo },
    })
    if (transfer === null || transfer.debit !== account) return `${id} is on record already, of another org`
    if (added) credit(org, -amountNanodollars)
    return null
  }

  /** An event says whose payment it is about, or the payment does. */
  async #withOrg<Event extends Refund | Dispute>(event: Event): Promise<Event> {
    if (event.orgId !== null || event.paymentId === null) return event
    return { ...event, orgId: await this.#parts.orgOf(event.paymentId) }
  }

  #refusal(payment: Payment): string | null {
    if (!payment.paid) return 'not paid yet'
    return this.#foreign(payment) ?? (payment.amountCents > 0n ? null : 'nothing was paid')
  }

  /** Why an event is not about money of ours; null when it is. */
  #foreign({ currency, orgId }: Payment | Refund | Dispute): string | null {
    if (orgId === null) return 'it names no org: the checkout was not begun here'
    if (!this.#parts.isOrg(orgId)) return `there is no org ${orgId}`
    return currency === CURRENCY ? null : `it was paid in ${currency}, and the books are in ${CURRENCY}`
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
    booked: Exclude<PaymentOutcome['kind'], 'ignored'>,
  ): Promise<PaymentOutcome> {
    const kind = ignoredBecause === null ? booked : 'ignored'
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
