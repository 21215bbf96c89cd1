import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { OVERRUN, REVENUE } from '../ledger/account.ts'
import { FACTS_COLUMNS } from './settlement-row.ts'

/**
 * Usage rows lie in one table for each month (UTC) in which they settled, `usage_2026_11`, so that old ones can be dropped whole. A row is
 * at once the record of what was used and the transfer of its charge from the org to revenue: the view `usage` shows all of them as
 * records, the view `transfers` as movements of money, beside those that were posted by themselves (credit, for instance).
 */
export interface Month {
  /** Such as `2026_11`. */
  readonly name: string
  /** Inclusive. */
  readonly fromMs: number
  /** Exclusive. */
  readonly toMs: number
}

/** Columns of a partition, in order. */
export const USAGE_COLUMNS = 23

const TABLE = /^usage_\d{4}_\d{2}$/

/** The month of a time. */
export function monthOf(atMs: number): Month {
  const date = new Date(atMs)
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()]
  return {
    name: `${String(year).padStart(4, '0')}_${String(month + 1).padStart(2, '0')}`,
    fromMs: Date.UTC(year, month),
    toMs: Date.UTC(year, month + 1),
  }
}

/** The partitions of a database, oldest first. */
export function listMonths(database: DatabaseSync): Month[] {
  const tables = database.prepare(
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'usage_*' ORDER BY name",
  )
  return tables
    .all()
    .map(row => String(row.name))
    .filter(name => TABLE.test(name))
    .map(name => monthOf(Date.UTC(Number(name.slice(6, 10)), Number(name.slice(11)) - 1)))
}

/** Makes the partition of a month, and the views over all partitions anew. Only within a transaction. */
export function createPartition(database: DatabaseSync, { name }: Month): void {
  database.exec(`
    CREATE TABLE usage_${name} (
      request_id TEXT PRIMARY KEY, account INTEGER NOT NULL, org INTEGER NOT NULL, key INTEGER NOT NULL, model INTEGER NOT NULL,
      upstream INTEGER NOT NULL, price INTEGER NOT NULL, end_user INTEGER, facts INTEGER NOT NULL,
      input INTEGER NOT NULL CHECK (input >= 0), cached INTEGER NOT NULL CHECK (cached BETWEEN 0 AND input),
      written INTEGER NOT NULL CHECK (written BETWEEN 0 AND input), output INTEGER NOT NULL CHECK (output >= 0),
      reasoning INTEGER NOT NULL CHECK (reasoning BETWEEN 0 AND output), charge INTEGER NOT NULL CHECK (charge BETWEEN 0 AND held),
      overrun INTEGER NOT NULL CHECK (overrun >= 0), held INTEGER NOT NULL, cost INTEGER CHECK (cost >= 0), admitted_ms INTEGER NOT NULL,
      settled_ms INTEGER NOT NULL, ttft_us INTEGER, duration_us INTEGER NOT NULL, token INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX usage_${name}_by_key ON usage_${name} (key, request_id);
    CREATE INDEX usage_${name}_by_end_user ON usage_${name} (end_user, request_id) WHERE end_user IS NOT NULL;
    CREATE TRIGGER usage_${name}_no_update BEFORE UPDATE ON usage_${name} BEGIN SELECT RAISE(ABORT, 'usage rows are never changed'); END;
    CREATE TRIGGER usage_${name}_no_delete BEFORE DELETE ON usage_${name} BEGIN SELECT RAISE(ABORT, 'usage rows are never deleted'); END;
  `)
  createViews(database)
}

/** Makes the views over the partitions that there are. Only within a transaction. */
export function createViews(database: DatabaseSync): void {
  const months = listMonths(database)
  const rows = `request_id, account, org, key, model, upstream, price, end_user, input, cached, written, output, reasoning, charge, overrun, held, cost,
    admitted_ms, settled_ms, ttft_us, duration_us, token, ${FACTS_COLUMNS}`
  const number = (account: string) => `(SELECT n FROM names WHERE name = '${account}')`
  const usage = months.map(({ name }) => `SELECT ${rows} FROM usage_${name}`)
  // Of a table that is there, though never a row of it: only a statement that touches a table learns that the views were made anew.
  const none = `SELECT ${rows} FROM (SELECT ${rows
    .slice(0, rows.indexOf(', ((facts'))
    .split(',')
    .map(column => `NULL AS ${column.trim()}`)
    .join(', ')}, 0 AS facts FROM names) WHERE 0`
  const transfers = [
    'SELECT id, debit, credit, nanodollars, kind, request_id, at_ms, memo FROM posted_transfers',
    ...months.flatMap(({ name }) => [
      `SELECT request_id || ':charge', account, ${number(REVENUE)}, charge, 'charge', request_id, settled_ms, NULL FROM usage_${name} WHERE charge > 0`,
      `SELECT request_id || ':overrun', ${number(OVERRUN)}, ${number(REVENUE)}, overrun, 'overrun', request_id, settled_ms, NULL
       FROM usage_${name} WHERE overrun > 0`,
    ]),
  ]
  database.exec(`
    DROP VIEW IF EXISTS usage;
    CREATE VIEW usage AS ${usage.length === 0 ? none : usage.join(' UNION ALL ')};
    DROP VIEW IF EXISTS transfers;
    CREATE VIEW transfers AS ${transfers.join(' UNION ALL ')};
  `)
}

/** Writes usage rows into the partitions that their times belong to, which come to be as they are needed. */
export class UsageWriter {
  readonly #database: DatabaseSync
  #month: Month = { name: '', fromMs: 0, toMs: 0 }
  #insert: StatementSync | null = null
  readonly #months = new Set<string>()

  constructor(database: DatabaseSync) {
    this.#database = database
    this.forget()
  }

  /**
   * Adds a row; false when the request has one. Only within a transaction.
   *
   * @param row the columns of a partition, in order.
   */
  insert(row: readonly (string | number | bigint | null)[], admittedMs: number, settledMs: number): boolean {
    if (settledMs < this.#month.fromMs || settledMs >= this.#month.toMs || this.#insert === null) this.#open(settledMs)
    if (admittedMs < this.#month.fromMs && this.#isSettledEarlier(row[0] as string, admittedMs)) return false
    return Number((this.#insert as StatementSync).run(...row).changes) === 1
  }

  /** After a rollback: a partition that was made in the lost transaction is not there. */
  forget(): void {
    this.#insert = null
    this.#months.clear()
    for (const { name } of listMonths(this.#database)) this.#months.add(name)
  }

  #open(settledMs: number): void {
    const month = monthOf(Number.isFinite(settledMs) ? settledMs : 0)
    if (!this.#months.has(month.name)) {
      createPartition(this.#database, month)
      this.#months.add(month.name)
    }
    this.#month = month
    // Not INSERT OR IGNORE: that would also pass over a row that breaks a CHECK, and report it as written.
    this.#insert = this.#database.prepare(
      `INSERT INTO usage_${month.name} VALUES (${Array(USAGE_COLUMNS).fill('?').join(', ')}) ON CONFLICT (request_id) DO NOTHING`,
    )
  }

  // A request that ran into a new month may have a row in the month in which it began.
  #isSettledEarlier(requestId: string, admittedMs: number): boolean {
    const { name } = monthOf(Number.isFinite(admittedMs) ? admittedMs : 0)
    if (name === this.#month.name || !this.#months.has(name)) return false
    return this.#database.prepare(`SELECT 1 FROM usage_${name} WHERE request_id = ?`).get(requestId) !== undefined
  }
}
