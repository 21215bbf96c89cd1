import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import { type AccountId, orgAccount } from '../ledger/account.ts'
import type { Ending, Transfer } from '../ledger/journal.ts'

/** Which hours of usage; times are whole hours, what is undefined does not restrict. */
export interface HourSelection {
  readonly orgId?: string
  readonly keyId?: string
  readonly modelId?: string
  readonly upstreamId?: string
  readonly fromMs?: number
  readonly toMs?: number
}

/** Which transfers that are no charge and no overrun. */
export interface TransferSelection {
  readonly orgId?: string
  readonly fromMs?: number
  readonly toMs?: number
}

/** Settled requests of an hour that agree in all that the rollups keep apart. */
export interface UsageHourRow {
  readonly hourMs: number
  readonly orgId: string
  readonly keyId: string
  readonly modelId: string
  readonly upstreamId: string
  readonly priceId: string
  readonly ending: Ending
  readonly requests: number
  readonly inputTokens: number
  readonly cachedInputTokens: number
  readonly outputTokens: number
  readonly chargeNanodollars: bigint
  /** Null while the rollups do not keep it. */
  readonly costNanodollars: bigint | null
}

/** What the books say of an org and a month. */
export interface StatementRead {
  readonly openingNanodollars: bigint
  readonly closingNanodollars: bigint
  readonly transfers: readonly Transfer[]
  readonly charges: readonly {
    readonly modelId: string
    readonly priceId: string
    readonly requests: number
    readonly inputTokens: number
    readonly cachedInputTokens: number
    readonly outputTokens: number
    readonly chargeNanodollars: bigint
    readonly costNanodollars: bigint | null
  }[]
}

interface Page {
  readonly limit: number
  readonly cursor?: string
}

type Row = Record<string, unknown>

const HOUR_MS = 3_600_000
const HOUR_KEY = 'r.hour, r.org, r.key, r.model, r.upstream, r.price, r.ending'
/** Charges are read from the hourly sums, those of closed months as well: there are too many to read one by one. */
const NO_CHARGE = "t.kind <> 'closing'"
const TRANSFERS = `
  SELECT t.id, t.nanodollars, t.kind, t.request_id, t.at_ms, t.memo, d.name AS debit_name, c.name AS credit_name
  FROM posted_transfers t JOIN names d ON d.n = t.debit JOIN names c ON c.n = t.credit WHERE ${NO_CHARGE}`

/** The queries behind statements and exports, by the name that the store calls them by. */
export function statementReads(database: DatabaseSync) {
  return {
    usageHours: (selection: HourSelection, page: Page) => usageHours(database, selection, page),
    transferList: (selection: TransferSelection, page: Page) => transferList(database, selection, page),
    statementRecords: (orgId: string, fromMs: number, toMs: number) => statementRecords(database, orgId, fromMs, toMs),
  }
}

function usageHours(database: DatabaseSync, selection: HourSelection, page: Page) {
  const conditions = ['1 = 1']
  const values: SQLInputValue[] = []
  const restrict = (condition: string, ...given: SQLInputValue[]) => {
    conditions.push(condition)
    values.push(...given)
  }
  for (const [column, id] of [
    ['org', selection.orgId],
    ['key', selection.keyId],
    ['model', selection.modelId],
    ['upstream', selection.upstreamId],
  ] as const) {
    if (id !== undefined) restrict(`r.${column} = (SELECT n FROM names WHERE name = ?)`, id)
  }
  if (selection.fromMs !== undefined) restrict('r.hour >= ?', Math.floor(selection.fromMs / HOUR_MS))
  if (selection.toMs !== undefined) restrict('r.hour < ?', Math.floor(selection.toMs / HOUR_MS))
  if (page.cursor !== undefined)
    restrict(`(${HOUR_KEY}) > (?, ?, ?, ?, ?, ?, ?)`, ...(JSON.parse(page.cursor) as SQLInputValue[]))
  const found = all(
    database,
    `SELECT ${HOUR_KEY}, r.requests, r.input, r.cached, r.output, r.charge,
       o.name AS org_name, k.name AS key_name, m.name AS model_name, u.name AS upstream_name, p.name AS price_name
     FROM rollups r JOIN names o ON o.n = r.org JOIN names k ON k.n = r.key JOIN names m ON m.n = r.model
       JOIN names u ON u.n = r.upstream JOIN names p ON p.n = r.price
     WHERE ${conditions.join(' AND ')} ORDER BY ${HOUR_KEY} LIMIT ?`,
    ...values,
    page.limit + 1,
  )
  const shown = found.slice(0, page.limit)
  const last = shown.at(-1)
  return {
    rows: shown.map(usageHourOf),
    nextCursor: found.length > shown.length && last !== undefined ? hourCursor(last) : null,
  }
}

function hourCursor(row: Row): string {
  const numbers = [row.hour, row.org, row.key, row.model, row.upstream, row.price].map(Number)
  return JSON.stringify([...numbers, row.ending])
}

function usageHourOf(row: Row): UsageHourRow {
  return {
    hourMs: Number(row.hour) * HOUR_MS,
    orgId: String(row.org_name),
    keyId: String(row.key_name),
    modelId: String(row.model_name),
    upstreamId: String(row.upstream_name),
    priceId: String(row.price_name),
    ending: String(row.ending) as Ending,
    requests: Number(row.requests),
    inputTokens: Number(row.input),
    cachedInputTokens: Number(row.cached),
    outputTokens: Number(row.output),
    chargeNanodollars: row.charge as bigint,
    costNanodollars: null,
  }
}

function transferList(database: DatabaseSync, selection: TransferSelection, page: Page) {
  const { sql, values } = movements(database, selection)
  const after = page.cursor === undefined ? '' : ' AND t.id > ?'
  const found = all(
    database,
    `${sql}${after} ORDER BY t.id LIMIT ?`,
    ...values,
    ...(page.cursor === undefined ? [] : [page.cursor]),
    page.limit + 1,
  ).map(transferOf)
  const rows = found.slice(0, page.limit)
  return { rows, nextCursor: found.length > rows.length ? (rows.at(-1)?.id ?? null) : null }
}

function movements(database: DatabaseSync, { orgId, fromMs, toMs }: TransferSelection) {
  const values: SQLInputValue[] = []
  let sql = TRANSFERS
  if (orgId !== undefined) {
    const account = accountNumber(database, orgId)
    sql += ' AND (t.credit = ? OR t.debit = ?)'
    values.push(account, account)
  }
  if (fromMs !== undefined) {
    sql += ' AND t.at_ms >= ?'
    values.push(fromMs)
  }
  if (toMs !== undefined) {
    sql += ' AND t.at_ms < ?'
    values.push(toMs)
  }
  return { sql, values }
}

/**
 * The opening balance is summed from the beginning of the books, the closing balance is today's less what came after it, so that
 * a statement that foots has compared the two.
 */
function statementRecords(database: DatabaseSync, orgId: string, fromMs: number, toMs: number): StatementRead {
  // One transaction, so that a settlement in between is seen by all of the queries or by none.
  database.exec('BEGIN')
  try {
    const account = accountNumber(database, orgId)
    const { sql, values } = movements(database, { orgId })
    // All of them at once: they are few, and finding them goes through every transfer.
    const transfers = all(database, `${sql} ORDER BY t.at_ms, t.id`, ...values).map(transferOf)
    const moved = (from: number, to: number) =>
      movementSum(transfers, orgId, from, to) - chargeSum(database, orgId, from, to)
    const [balance] = all(database, 'SELECT nanodollars FROM balances WHERE account = ?', account)
    return {
      openingNanodollars: moved(0, fromMs),
      closingNanodollars: ((balance?.nanodollars as bigint | undefined) ?? 0n) - moved(toMs, Number.MAX_SAFE_INTEGER),
      transfers: transfers.filter(each => each.atMs >= fromMs && each.atMs < toMs),
      charges: all(
        database,
        `SELECT m.name AS model_name, p.name AS price_name, sum(r.requests) AS requests, sum(r.input) AS input, sum(r.cached) AS cached,
           sum(r.output) AS output, sum(r.charge) AS charge
         FROM rollups r JOIN names m ON m.n = r.model JOIN names p ON p.n = r.price
         WHERE r.org = (SELECT n FROM names WHERE name = ?) AND r.hour >= ? AND r.hour < ? GROUP BY r.model, r.price`,
        orgId,
        Math.floor(fromMs / HOUR_MS),
        Math.floor(toMs / HOUR_MS),
      ).map(row => ({
        modelId: String(row.model_name),
        priceId: String(row.price_name),
        requests: Number(row.requests),
        inputTokens: Number(row.input),
        cachedInputTokens: Number(row.cached),
        outputTokens: Number(row.output),
        chargeNanodollars: row.charge as bigint,
        costNanodollars: null,
      })),
    }
  } finally {
    database.exec('COMMIT')
  }
}

// Summed here: what was ever moved can exceed 64 bits, although no balance does.
function movementSum(transfers: readonly Transfer[], orgId: string, fromMs: number, toMs: number): bigint {
  return transfers
    .filter(each => each.atMs >= fromMs && each.atMs < toMs)
    .reduce(
      (sum, each) => sum + (each.credit === orgAccount(orgId) ? each.amountNanodollars : -each.amountNanodollars),
      0n,
    )
}

function chargeSum(database: DatabaseSync, orgId: string, fromMs: number, toMs: number): bigint {
  const [row] = all(
    database,
    `SELECT coalesce(sum(r.charge), 0) AS charge FROM rollups r
     WHERE r.org = (SELECT n FROM names WHERE name = ?) AND r.hour >= ? AND r.hour < ?`,
    orgId,
    Math.floor(fromMs / HOUR_MS),
    Math.floor(toMs / HOUR_MS),
  )
  return (row?.charge as bigint | undefined) ?? 0n
}

/** -1, which is nobody's, for an org whose account never moved. */
function accountNumber(database: DatabaseSync, orgId: string): bigint {
  const [row] = all(database, 'SELECT n FROM names WHERE name = ?', orgAccount(orgId))
  return (row?.n as bigint | undefined) ?? -1n
}

function transferOf(row: Row): Transfer {
  return {
    id: String(row.id),
    debit: row.debit_name as AccountId,
    credit: row.credit_name as AccountId,
    amountNanodollars: row.nanodollars as bigint,
    kind: row.kind as Transfer['kind'],
    requestId: row.request_id === null ? null : String(row.request_id),
    atMs: Number(row.at_ms),
    memo: row.memo === null ? null : String(row.memo),
  }
}

function all(database: DatabaseSync, sql: string, ...values: SQLInputValue[]): Row[] {
  const statement = database.prepare(sql)
  statement.setReadBigInts(true)
  return statement.all(...values) as Row[]
}
