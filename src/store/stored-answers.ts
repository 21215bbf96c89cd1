import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import { promisify } from 'node:util'
import { deflate, inflateSync } from 'node:zlib'
import type { StoredAnswer } from '../ledger/stored-answer.ts'
import type { PackedAnswer } from './messages.ts'

/** Bodies up to this length are stored as they are: there is little to win. */
const PLAIN_BYTES_MAX = 512
/** Answers deleted in one go, so that no settlement waits long behind. */
const SWEEP_ANSWERS_MAX = 256
/** Answers that are over, deleted along with each new one: more than one, so that the table shrinks. */
const SWEEP_PER_ANSWER_MAX = 4

const deflated = promisify<Uint8Array, Buffer>(deflate)

/** An answer as it goes to the worker, compressed in the thread pool where that pays. */
export async function packAnswer({
  keyHash,
  fingerprint,
  status,
  headers,
  body,
  expiresMs,
}: StoredAnswer): Promise<Omit<PackedAnswer, 'at'>> {
  const parts = { keyHash, fingerprint, status, headers: JSON.stringify(headers), expiresMs: Math.round(expiresMs) }
  if (body.length <= PLAIN_BYTES_MAX) return { ...parts, deflated: false, body }
  return { ...parts, deflated: true, body: await deflated(body) }
}

/** The answer under a key's hash, also one that is over; null when there is none. */
export function findAnswer(database: DatabaseSync, keyHash: string): StoredAnswer | null {
  const row = database.prepare('SELECT * FROM stored_answers WHERE key_hash = ?').get(keyHash)
  if (row === undefined) return null
  const body = row.body as Uint8Array
  return {
    keyHash,
    fingerprint: String(row.fingerprint),
    requestId: String(row.request_id),
    status: Number(row.status),
    headers: JSON.parse(String(row.headers)),
    body: row.deflated === 1 ? inflateSync(body) : body,
    expiresMs: Number(row.expires_ms),
  }
}

/** Keeps answers within the transactions of their settlements, and within bounds: what is over goes, then the oldest. */
export class StoredAnswers {
  readonly #bytesMax: number
  readonly #sum: StatementSync
  readonly #insert: StatementSync
  readonly #delete: StatementSync
  readonly #deleteOver: StatementSync
  readonly #deleteOldest: StatementSync
  /** Of all bodies as stored; null when it has to be summed up anew. */
  #bytes: number | null = null

  constructor(database: DatabaseSync, bytesMax: number) {
    this.#bytesMax = bytesMax
    this.#sum = database.prepare('SELECT coalesce(sum(bytes), 0) AS bytes FROM stored_answers')
    this.#insert = database.prepare(
      `INSERT INTO stored_answers (key_hash, fingerprint, request_id, status, headers, deflated, bytes, settled_ms, expires_ms, body)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    )
    this.#delete = database.prepare('DELETE FROM stored_answers WHERE key_hash = ? RETURNING bytes')
    const deleteFirst = (condition: string) =>
      database.prepare(
        `DELETE FROM stored_answers WHERE id IN (SELECT id FROM stored_answers ${condition} ORDER BY expires_ms LIMIT ?) RETURNING bytes`,
      )
    this.#deleteOver = deleteFirst('WHERE expires_ms <= ?')
    this.#deleteOldest = deleteFirst('')
  }

  /** Stores an answer, in the place of one under the same key that is over. Only within a transaction. */
  put(answer: PackedAnswer, requestId: string, nowMs: number): void {
    const { keyHash, fingerprint, status, headers, body, expiresMs } = answer
    this.#bytes ??= Number(this.#sum.get()?.bytes)
    this.#forgetBytes(this.#delete, keyHash)
    const values = [keyHash, fingerprint, requestId, status, headers, answer.deflated ? 1 : 0, body.length, nowMs]
    this.#insert.run(...values, expiresMs, body)
    this.#bytes += body.length
    this.#forgetBytes(this.#deleteOver, nowMs, SWEEP_PER_ANSWER_MAX)
    while (this.#bytes > this.#bytesMax && this.#forgetBytes(this.#deleteOldest, 1) > 0);
  }

  /** Deletes answers that are over, up to a bound; answers how many. */
  sweep(nowMs: number): number {
    return this.#forgetBytes(this.#deleteOver, nowMs, SWEEP_ANSWERS_MAX)
  }

  /** After a rollback: what was added up in the lost transaction is not on disk. */
  forget(): void {
    this.#bytes = null
  }

  #forgetBytes(statement: StatementSync, ...values: SQLInputValue[]): number {
    const rows = statement.all(...values)
    if (this.#bytes !== null) for (const { bytes } of rows) this.#bytes -= Number(bytes)
    return rows.length
  }
}
