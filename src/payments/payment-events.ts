/** What every event of a payment has. */
interface PaymentEvent {
  /** Such as `provider`; it begins the ids of transfers. */
  readonly provider: string
  /** The provider's id of the event. */
  readonly eventId: string
  /** The provider's name for what happened. */
  readonly type: string
  /** The org that the payment was for, as was said when it was begun; null when the event does not say. */
  readonly orgId: string | null
  /** The provider's id of the payment, which a payment, its refunds and its disputes have in common. */
  readonly paymentId: string | null
  /** ISO 4217, in lower case. */
  readonly currency: string
  /** When it happened, by the provider's clock. */
  readonly atMs: number
}

/** Somebody went through a checkout. */
export interface Payment extends PaymentEvent {
  /** The provider's id of the checkout: the same however often and by whatever events it is told. */
  readonly id: string
  /** False while a slow payment is under way; it is told again when the money has come. */
  readonly paid: boolean
  /** In the smallest unit of the currency: cents. */
  readonly amountCents: bigint
  readonly pack: string | null
  /** Promised on top when the checkout was begun. */
  readonly bonusNanodollars: bigint
}

/** Money of a payment went back. */
export interface Refund extends PaymentEvent {
  /** The provider's id of the charge that it went back from: one for each payment. */
  readonly id: string
  /** All that went back so far, this time included: of two events that come in the wrong order the larger one is the newer. */
  readonly totalCents: bigint
}

/** A payer disputes a payment at the bank. */
export interface Dispute extends PaymentEvent {
  /** The provider's id of the dispute. */
  readonly id: string
  /** `opened`: there is one; `withdrawn`: the bank has taken the money. Either may come first, or alone. */
  readonly stage: 'opened' | 'withdrawn'
  readonly amountCents: bigint
}

/** What became of an event. */
export interface PaymentOutcome {
  readonly kind: 'credited' | 'refunded' | 'charged_back' | 'ignored'
  /** Why it was ignored; else empty. */
  readonly reason: string
}

/**
 * Where events of payments go once their signature was checked. The same event may come more than once, and in any order: what
 * was done for it before is not done again. A rejection means that nothing is on disk, and that the provider shall send it again.
 */
export interface PaymentEvents {
  paid(payment: Payment): Promise<PaymentOutcome>
  refunded(refund: Refund): Promise<PaymentOutcome>
  disputed(dispute: Dispute): Promise<PaymentOutcome>
}
