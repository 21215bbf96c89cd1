import type { Protocol } from '../inference/request.ts'
import type { ServiceTier } from '../inference/service-tier.ts'
import type { Usage } from '../inference/usage.ts'
import type { AccountId } from './account.ts'
import type { KeptDocument } from './kept-document.ts'
import type { StoredAnswer } from './stored-answer.ts'

/**
 * How a request ended; the table of endings in docs/concepts/endings.md says what each is charged.
 * - `completed`: the answer was whole;
 * - `cancelled`: the client left; `timed_out`: a deadline passed; `aborted`: we drained or stopped it;
 * - `failed`: the upstream failed after the first token of a stream;
 * - `exhausted`: the hold could not be extended, the answer ended with `length`;
 * - `empty`: a generation that produced nothing, free of charge.
 */
export type Ending = 'completed' | 'cancelled' | 'timed_out' | 'aborted' | 'failed' | 'exhausted' | 'empty'

/** What a transfer can be; see `Transfer.kind`. */
export const TRANSFER_KINDS = [
  'credit',
  'grant',
  'refund',
  'chargeback',
  'correction',
  'expiry',
  'charge',
  'overrun',
  'closing',
] as const

/** One immutable movement between two accounts. The id makes a repeated append harmless. */
export interface Transfer {
  readonly id: string
  readonly debit: AccountId
  readonly credit: AccountId
  /** Nanodollars, above zero. */
  readonly amountNanodollars: bigint
  /**
   * - `credit`: an org paid for it; `grant`: it got it for free, perhaps until some time;
   * - `refund`: money given back to the customer; `chargeback`: the customer's bank took it back;
   * - `correction`: either way, for the reason that its memo says;
   * - `expiry`: what was left of a grant goes back to the operator;
   * - `charge`, `overrun`: of a request; `closing` carries over what all charges of a month were, once its usage rows were dropped.
   */
  readonly kind: (typeof TRANSFER_KINDS)[number]
  readonly requestId: string | null
  readonly atMs: number
  readonly memo: string | null
  /** Who made it, such as a user's name; null or absent where that is not known. */
  readonly by?: string | null
  /** When a grant ends, milliseconds since 1970; null or absent: never. */
  readonly expiresMs?: number | null
}

/**
 * The end of one request's hold: what was used and what it was charged. It is at once the transfer of its charge
 * (`<requestId>:charge`, from the org to revenue) and of its overrun (`<requestId>:overrun`, from overrun to revenue); the store keeps
 * it, the balances and the hourly sums in one database transaction. A second settlement of the same request is a no-op.
 */
export interface Settlement {
  readonly requestId: string
  readonly orgId: string
  readonly keyId: string
  /** The token derived from the key that the request came with; null or absent: it came with the key itself. */
  readonly tokenId?: string | null
  readonly modelId: string
  readonly protocol: Protocol
  readonly stream: boolean
  /** Upstream that produced the answer; empty when none was reached. */
  readonly upstreamId: string
  /** Attempts made. */
  readonly attempts: number
  readonly ending: Ending
  /** The customer's own name for whom the request was made (`safety_identifier`, `user`); null when it said none. */
  readonly endUserId: string | null
  readonly usage: Usage
  readonly priceId: string
  /** The tier that was charged: the one really served, as far as that is known. */
  readonly serviceTier: ServiceTier
  /** Charged to the org, 0 or more. */
  readonly chargeNanodollars: bigint
  /** Priced usage above the hold; not charged to the org. */
  readonly overrunNanodollars: bigint
  /** What the upstream takes for it, nanodollars, as reported or by its cost list; null when neither is known. */
  readonly costNanodollars: bigint | null
  /** The hold at its largest. */
  readonly heldNanodollars: bigint
  readonly admittedMs: number
  readonly settledMs: number
  /** Request received to first output token, milliseconds; null when there was none. */
  readonly ttftMs: number | null
  /** Request received to settlement, milliseconds. */
  readonly durationMs: number
}

/** A request that was let in, written without waiting, so that a restart can list what a crash interrupted. */
export interface Admission {
  readonly requestId: string
  readonly orgId: string
  readonly keyId: string
  readonly modelId: string
  readonly heldNanodollars: bigint
  readonly admittedMs: number
}

/** Makes money durable. Implemented by the store, and by the simulation. */
export interface Journal {
  /** Not awaited by anybody: loss on a crash is allowed. */
  admitted(admission: Admission): void
  /** Forgets an admission that ended without settlement. */
  voided(requestId: string): void
  /**
   * Resolves once the settlement is on disk. Rejects with `JournalFailure` when it cannot be (disk full, I/O error);
   * then nothing of it was kept. An answer and documents given with it become durable in the same instant, and with a second settlement
   * of a request none of them changes.
   */
  settle(settlement: Settlement, answer?: StoredAnswer, documents?: readonly KeptDocument[]): Promise<void>
}

/** The journal could not make a record durable. */
export class JournalFailure extends Error {
  override name = 'JournalFailure'
}

/** The journal works, and refuses this one record, because it breaks a rule of the books. */
export class JournalRefusal extends JournalFailure {
  override name = 'JournalRefusal'
}
