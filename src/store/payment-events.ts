import type { DatabaseSync, SQLOutputValue } from 'node:sqlite'

/** What a payment provider told, and what became of it. */
export interface PaymentRecord {
  /** The provider's name and its id of the event, such as `provider:evt_1`. */
  readonly id: string
  /** The provider's name for what happened. */
  readonly type: string
  /** `credited`, `refunded`, `charged_back`, or `ignored` with the reason. */
  readonly kind: string
  /** Why it was ignored; else empty. */
  readonly reason: string
  /** Null when the event names none that is known. */
  readonly orgId: string | null
  /** The provider's id of the payment, by which refunds and disputes find it; null when the event names none. */
  readonly paymentId: string | null
  /** What it is about; null when that is not a sum of US dollars. */
  readonly amountNanodollars: bigint | null
  /** When it happened, by the provider's clock. */
  readonly atMs: number
  readonly receivedMs: number
}

/**
 * Events that were ignored and are nobody's here are forgotten after so many later ones: a provider's account may also serve another
 * business, whose sales are not ours to keep.
 */
export const NOBODYS_MAX = 10_000

/** What the rest of the program asks of the records of payments. */
export interface PaymentRecords {
  /** Records an event once; one that was ignored may be recorded anew, when it came again and was not. On disk when it resolves. */
  record(event: PaymentRecord): Promise<void>
  /** Whose payment it was that was credited; null when none of this id was. */
  orgOf(paymentId: string): Promise<string | null>
  /** The sum of the transfers whose ids begin so, nanodollars. */
  bookedTotal(idPrefix: string): Promise<bigint>
  /** Newest first; `beforeId` is the last one of the page before. */
  list(page: { readonly limit: number; readonly beforeId?: string }): Promise<readonly PaymentRecord[]>
}

type Call = <Result>(method: string, ...args: readonly unknown[]) => Promise<Result>

/** The records, kept by the store's worker, which `call` asks. */
export function paymentRecordsOver(call: Call): PaymentRecords {
  return {
    record: event => call('paymentRecord', event),
    orgOf: paymentId => call('paymentOrgOf', paymentId),
    bookedTotal: idPrefix => call('paymentBooked', idPrefix),
    list: page => call('paymentList', page),
  }
}

/** The worker's side: the methods that `paymentRecordsOver` calls. */
export function paymentMethods(database: DatabaseSync) {
  return {
    paymentRecord: (event: PaymentRecord) => {
      database
        .prepare(
          `INSERT INTO payment_events (id, type, kind, reason, org, payment, nanodollars, at_ms, received_ms)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
           ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, reason = excluded.reason, org = excluded.org WHERE kind = 'ignored'`,
        )
        .run(
          event.id,
          event.type,
          event.kind,
          event.reason,
          event.orgId,
          event.paymentId,
          event.amountNanodollars,
          event.atMs,
          event.receivedMs,
        )
      if (event.kind === 'ignored' && event.orgId === null) {
        database
          .prepare(
            `DELETE FROM payment_events WHERE org IS NULL AND kind = 'ignored'
             AND seq <= (SELECT max(seq) FROM payment_events) - ${NOBODYS_MAX}`,
          )
          .run()
      }
    },
    paymentOrgOf: (paymentId: string) => {
      const row = database
        .prepare(`SELECT org FROM payment_events WHERE payment = ? AND kind = 'credited' LIMIT 1`)
        .get(paymentId)
      return (row?.org ?? null) as string | null
    },
    paymentBooked: (idPrefix: string) => {
      const statement = database.prepare('SELECT nanodollars FROM posted_transfers WHERE id >= ? AND id < ?')
      statement.setReadBigInts(true)
      // The ids behind the prefix are digits and letters, so that none sorts behind "~".
      return statement.all(idPrefix, `${idPrefix}~`).reduce((sum, row) => sum + (row.nanodollars as bigint), 0n)
    },
    paymentList: ({ limit, beforeId }: { limit: number; beforeId?: string }) => {
      const statement = database.prepare(
        `SELECT * FROM payment_events WHERE seq < coalesce((SELECT seq FROM payment_events WHERE id = ?), 1 << 62)
         ORDER BY seq DESC LIMIT ?`,
      )
      statement.setReadBigInts(true)
      return statement.all(beforeId ?? null, limit).map(recordOf)
    },
  }
}

function recordOf(row: Record<string, SQLOutputValue>): PaymentRecord {
  return {
    id: String(row.id),
    type: String(row.type),
    kind: String(row.kind),
    reason: String(row.reason),
    orgId: row.org as string | null,
    paymentId: row.payment as string | null,
    amountNanodollars: row.nanodollars as bigint | null,
    atMs: Number(row.at_ms),
    receivedMs: Number(row.received_ms),
  }
}
