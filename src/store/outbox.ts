import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite'
import { StoreRefused } from './refusal.ts'

/** One event on its way to one endpoint. */
export interface Delivery {
  /** Its place in the order; events of an endpoint are delivered by it. */
  readonly seq: number
  /** The same on every try, so that a receiver knows a repetition. */
  readonly id: string
  /** URL. */
  readonly endpoint: string
  readonly type: string
  /** JSON, as it is sent. */
  readonly body: string
  readonly state: 'pending' | 'delivered' | 'failed'
  readonly tries: number
  readonly createdMs: number
  /** From when the time for trying counts: when it was created, or last asked for again. */
  readonly sinceMs: number
  /** Not tried before. */
  readonly nextMs: number
  readonly triedMs: number | null
  /** What came of the last try, for people; empty before the first. */
  readonly outcome: string
}

/** An event that is to be delivered. */
export type NewDelivery = Pick<Delivery, 'id' | 'endpoint' | 'type' | 'body' | 'createdMs'>

/** How a try ended: what the row becomes. */
export interface Tried {
  readonly state: Delivery['state']
  readonly triedMs: number
  readonly nextMs: number
  readonly outcome: string
}

/** Which deliveries, newest first. */
export interface DeliverySelection {
  readonly state?: Delivery['state']
  /** Only older ones: `seq` of the last one of the page before. */
  readonly beforeSeq?: number
  readonly limit: number
}

/** Deliveries that wait for one endpoint at most; what comes on top is dropped and counted. */
export const PENDING_MAX = 10_000
/** Deliveries of one endpoint that are over and kept to be listed. */
export const KEPT_MAX = 1_000
const BODY_BYTES_MAX = 16 * 1024

/** What the rest of the program asks of the outbox. Each change is on disk when its promise resolves. */
export interface Outbox {
  /** Appends; answers how many were dropped because too many wait for their endpoint. */
  add(deliveries: readonly NewDelivery[]): Promise<number>
  /** The oldest delivery that waits for an endpoint. */
  head(endpoint: string): Promise<Delivery | null>
  tried(seq: number, tried: Tried): Promise<void>
  list(selection: DeliverySelection): Promise<readonly Delivery[]>
  /** How many wait for each endpoint. */
  pending(): Promise<ReadonlyMap<string, number>>
  /** Lets deliveries that failed wait again, to be tried first; answers how many. `id` restricts to one event. */
  retry(id: string | null, nowMs: number): Promise<number>
  /** Fails what waits for an endpoint that is not among these; answers how many. */
  failOthers(endpoints: readonly string[], nowMs: number): Promise<number>
}

type Call = <Result>(method: string, ...args: readonly unknown[]) => Promise<Result>

/** The outbox, kept by the store's worker, which `call` asks. */
export function outboxOver(call: Call): Outbox {
  return {
    add: deliveries => call('outboxAdd', deliveries),
    head: endpoint => call('outboxHead', endpoint),
    tried: (seq, tried) => call('outboxTried', seq, tried),
    list: selection => call('outboxList', selection),
    pending: () => call('outboxPending'),
    retry: (id, nowMs) => call('outboxRetry', id, nowMs),
    failOthers: (endpoints, nowMs) => call('outboxFailOthers', endpoints, nowMs),
  }
}

/** The worker's side: the methods that `outboxOver` calls. Each is one transaction. */
export function outboxMethods(database: DatabaseSync) {
  const prepared = new Map<string, StatementSync>()
  const statement = (sql: string) => {
    let found = prepared.get(sql)
    if (found === undefined) {
      found = database.prepare(sql)
      prepared.set(sql, found)
    }
    return found
  }
  const pendingOf = (endpoint: string) =>
    Number(
      statement(`SELECT count(*) AS n FROM webhook_deliveries WHERE endpoint = ? AND state = 'pending'`).get(endpoint)
        ?.n,
    )
  const prune = (endpoint: string) =>
    statement(
      `DELETE FROM webhook_deliveries WHERE endpoint = ?1 AND state <> 'pending' AND seq <= (
         SELECT seq FROM webhook_deliveries WHERE endpoint = ?1 AND state <> 'pending' ORDER BY seq DESC LIMIT 1 OFFSET ${KEPT_MAX})`,
    ).run(endpoint)

  return {
    outboxAdd: (deliveries: readonly NewDelivery[]) =>
      inTransaction(database, () => {
        let dropped = 0
        const waiting = new Map<string, number>()
        for (const { id, endpoint, type, body, createdMs } of deliveries) {
          if (Buffer.byteLength(body) > BODY_BYTES_MAX)
            throw new StoreRefused(`The event ${id} has more than ${BODY_BYTES_MAX} bytes.`)
          const before = waiting.get(endpoint) ?? pendingOf(endpoint)
          if (before >= PENDING_MAX) {
            dropped++
            continue
          }
          waiting.set(endpoint, before + 1)
          statement(
            `INSERT INTO webhook_deliveries (id, endpoint, type, body, state, tries, created_ms, since_ms, next_ms, outcome)
             VALUES (?1, ?2, ?3, ?4, 'pending', 0, ?5, ?5, ?5, '') ON CONFLICT DO NOTHING`,
          ).run(id, endpoint, type, body, createdMs)
        }
        return dropped
      }),

    outboxHead: (endpoint: string) => {
      const row = statement(
        `SELECT * FROM webhook_deliveries WHERE endpoint = ? AND state = 'pending' ORDER BY seq LIMIT 1`,
      ).get(endpoint)
      return row === undefined ? null : deliveryOf(row)
    },

    outboxTried: (seq: number, { state, triedMs, nextMs, outcome }: Tried) =>
      inTransaction(database, () => {
        const row = statement(
          `UPDATE webhook_deliveries SET state = ?, tries = tries + 1, tried_ms = ?, next_ms = ?, outcome = ?
           WHERE seq = ? RETURNING endpoint`,
        ).get(state, triedMs, nextMs, outcome, seq)
        if (row !== undefined && state !== 'pending') prune(String(row.endpoint))
      }),

    outboxList: ({ state, beforeSeq, limit }: DeliverySelection) =>
      statement(
        'SELECT * FROM webhook_deliveries WHERE state = coalesce(?, state) AND seq < coalesce(?, 1 << 62) ORDER BY seq DESC LIMIT ?',
      )
        .all(state ?? null, beforeSeq ?? null, limit)
        .map(deliveryOf),

    outboxPending: () =>
      new Map(
        statement(`SELECT endpoint, count(*) AS n FROM webhook_deliveries WHERE state = 'pending' GROUP BY endpoint`)
          .all()
          .map(row => [String(row.endpoint), Number(row.n)]),
      ),

    outboxRetry: (id: string | null, nowMs: number) =>
      Number(
        statement(
          `UPDATE webhook_deliveries SET state = 'pending', tries = 0, since_ms = ?1, next_ms = ?1
           WHERE state = 'failed' AND id = coalesce(?2, id)`,
        ).run(nowMs, id).changes,
      ),

    outboxFailOthers: (endpoints: readonly string[], nowMs: number) =>
      Number(
        statement(
          `UPDATE webhook_deliveries SET state = 'failed', next_ms = ?1, outcome = 'no such endpoint is configured any more'
           WHERE state = 'pending' AND endpoint NOT IN (SELECT value FROM json_each(?2))`,
        ).run(nowMs, JSON.stringify(endpoints)).changes,
      ),
  }
}

function deliveryOf(row: Record<string, SQLOutputValue>): Delivery {
  return {
    seq: Number(row.seq),
    id: String(row.id),
    endpoint: String(row.endpoint),
    type: String(row.type),
    body: String(row.body),
    state: row.state as Delivery['state'],
    tries: Number(row.tries),
    createdMs: Number(row.created_ms),
    sinceMs: Number(row.since_ms),
    nextMs: Number(row.next_ms),
    triedMs: row.tried_ms === null ? null : Number(row.tried_ms),
    outcome: String(row.outcome),
  }
}

function inTransaction<Result>(database: DatabaseSync, work: () => Result): Result {
  database.exec('BEGIN IMMEDIATE')
  try {
    const result = work()
    database.exec('COMMIT')
    return result
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}
