import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import type { Rates } from '../inference/price.ts'
import type { ApiKey, Org, Price } from '../inference/snapshot.ts'
import type { AccountId } from '../ledger/account.ts'
import type { Admission, Settlement, Transfer } from '../ledger/journal.ts'
import { documentOfTariff, type TermsDocument, termsOfDocument } from '../pricing/document.ts'
import type { StoredDocument } from './control-writes.ts'
import { admissionOf, settlementOf } from './settlement-row.ts'

/** Which usage rows; what is undefined does not restrict. Times are those of settlement. */
export interface UsageSelection {
  readonly orgId?: string
  readonly keyId?: string
  readonly modelId?: string
  readonly fromMs?: number
  readonly toMs?: number
}

/** What sums can be grouped by. */
export type UsageGroup = 'org' | 'key' | 'model' | 'upstream' | 'ending' | 'day' | 'hour'

type Row = Record<string, unknown>

const HOUR_MS = 3_600_000
const SETTLEMENT = `
  SELECT u.*, o.name AS org, k.name AS key, m.name AS model, up.name AS upstream, p.name AS price FROM usage u
  JOIN names o ON o.n = u.org JOIN names k ON k.n = u.key JOIN names m ON m.n = u.model
  JOIN names up ON up.n = u.upstream JOIN names p ON p.n = u.price`

/** What the server needs to know at its start. */
export function loadState(database: DatabaseSync): {
  orgs: Org[]
  keys: ApiKey[]
  models: StoredDocument[]
  prices: Price[]
  balances: Map<string, bigint>
  spent: Map<string, bigint>
} {
  return {
    orgs: all(database, 'SELECT * FROM orgs ORDER BY created_ms, id').map(row => ({
      id: text(row.id),
      name: text(row.name),
      disabled: Number(row.disabled) === 1,
      ...(row.price_group !== null && { priceGroup: text(row.price_group) }),
    })),
    keys: all(database, 'SELECT * FROM api_keys ORDER BY created_ms, id').map(keyOf),
    models: all(database, 'SELECT document FROM models ORDER BY id').map(row => JSON.parse(text(row.document))),
    prices: all(database, 'SELECT * FROM prices ORDER BY seq').map(priceOf),
    balances: new Map(
      all(
        database,
        `SELECT substr(n.name, 5) AS org, b.nanodollars FROM balances b JOIN names n ON n.n = b.account WHERE n.name LIKE 'org:%'`,
      ).map(row => [text(row.org), row.nanodollars as bigint]),
    ),
    spent: new Map(
      all(database, 'SELECT n.name, s.nanodollars FROM key_spent s JOIN names n ON n.n = s.key').map(row => [
        text(row.name),
        row.nanodollars as bigint,
      ]),
    ),
  }
}

/** The settlement of one request; null when there is none. */
export function usageByRequest(database: DatabaseSync, requestId: string): Settlement | null {
  const [row] = all(database, `${SETTLEMENT} WHERE u.request_id = ?`, requestId)
  return row === undefined ? null : settlementOf(row)
}

/** Settlements, newest first: by request id, which begins with the time. The cursor is the last request id of the page before. */
export function usageList(
  database: DatabaseSync,
  selection: UsageSelection,
  page: { limit: number; cursor?: string },
): { rows: Settlement[]; nextCursor: string | null } {
  const { where, values } = conditions(selection, 'u.settled_ms', 1)
  const before = page.cursor === undefined ? '' : ' AND u.request_id < ?'
  if (page.cursor !== undefined) values.push(page.cursor)
  const newest = (restriction: string, ...restricted: SQLInputValue[]) =>
    all(
      database,
      `SELECT u.request_id FROM usage u WHERE ${where}${before}${restriction} ORDER BY u.request_id DESC LIMIT ?`,
      ...values,
      ...restricted,
      page.limit + 1,
    ).map(row => text(row.request_id))
  const keys = keysOf(database, selection)
  // The newest of an org are among the newest of its keys, so that one index serves both and nothing large is sorted.
  const found =
    keys === null
      ? newest('')
      : keys
          .flatMap(key => newest(' AND u.key = ?', key))
          .sort()
          .reverse()
  const rows = found.slice(0, page.limit).map(requestId => usageByRequest(database, requestId) as Settlement)
  return { rows, nextCursor: found.length > page.limit ? (rows.at(-1)?.requestId ?? null) : null }
}

// Numbers of the keys that a selection is about; null when it is about all.
function keysOf(database: DatabaseSync, { orgId, keyId }: UsageSelection): bigint[] | null {
  const [sql, id] =
    keyId !== undefined
      ? ['SELECT n FROM names WHERE name = ?', keyId]
      : ['SELECT n.n FROM api_keys k JOIN names n ON n.name = k.id WHERE k.org_id = ?', orgId]
  return id === undefined ? null : all(database, sql, id).map(row => row.n as bigint)
}

/** Sums over settlements of one group. */
export interface UsageSum {
  /** The group's id; for days and hours the RFC 3339 time of its start, in UTC. */
  readonly group: string
  readonly requests: number
  readonly inputTokens: number
  readonly cachedInputTokens: number
  readonly outputTokens: number
  readonly chargeNanodollars: bigint
}

const ROLLUPS = 'SELECT hour, org, key, model, upstream, ending, requests, input, cached, output, charge FROM rollups u'
const ROWS = `SELECT settled_ms / ${HOUR_MS} AS hour, org, key, model, upstream, ending, 1 AS requests, input, cached, output, charge FROM usage u`

/** Sums by group. Whole hours come from the rollups; the hours that the selection cuts are summed from their rows. */
export function usageSummary(database: DatabaseSync, selection: UsageSelection, group: UsageGroup): UsageSum[] {
  const parts: string[] = []
  const values: SQLInputValue[] = []
  const add = (select: string, column: string, unitMs: number, fromMs?: number, toMs?: number) => {
    const condition = conditions({ ...selection, fromMs, toMs }, column, unitMs)
    parts.push(`${select} WHERE ${condition.where}`)
    values.push(...condition.values)
  }
  const { fromMs, toMs } = selection
  const firstMs = fromMs === undefined ? undefined : Math.ceil(fromMs / HOUR_MS) * HOUR_MS
  const lastMs = toMs === undefined ? undefined : Math.floor(toMs / HOUR_MS) * HOUR_MS
  if (firstMs !== undefined && lastMs !== undefined && firstMs >= lastMs) {
    add(ROWS, 'u.settled_ms', 1, fromMs, toMs)
  } else {
    add(ROLLUPS, 'u.hour', HOUR_MS, firstMs, lastMs)
    if (fromMs !== firstMs) add(ROWS, 'u.settled_ms', 1, fromMs, firstMs)
    if (toMs !== lastMs) add(ROWS, 'u.settled_ms', 1, lastMs, toMs)
  }
  const byTime = group === 'hour' || group === 'day'
  const named = !byTime && group !== 'ending'
  const by = group === 'day' ? 'hour / 24' : group
  const rows = all(
    database,
    `SELECT ${named ? `(SELECT name FROM names WHERE n = ${by})` : by} AS grp, sum(requests) AS requests, sum(input) AS input,
     sum(cached) AS cached, sum(output) AS output, sum(charge) AS charge FROM (${parts.join(' UNION ALL ')})
     GROUP BY ${by} ORDER BY ${byTime ? 'grp' : 'charge DESC, grp'}`,
    ...values,
  )
  const hours = group === 'day' ? 24 : 1
  return rows.map(row => ({
    group: byTime ? new Date(Number(row.grp) * hours * HOUR_MS).toISOString() : text(row.grp),
    requests: Number(row.requests),
    inputTokens: Number(row.input),
    cachedInputTokens: Number(row.cached),
    outputTokens: Number(row.output),
    chargeNanodollars: row.charge as bigint,
  }))
}

/** All credit ever added to an org, nanodollars. */
export function creditedTotal(database: DatabaseSync, orgId: string): bigint {
  // Summed here: what was ever credited can exceed 64 bits, although no balance does.
  return all(
    database,
    `SELECT nanodollars FROM transfers WHERE kind = 'credit' AND credit = (SELECT n FROM names WHERE name = ?)`,
    `org:${orgId}`,
  ).reduce((sum, row) => sum + (row.nanodollars as bigint), 0n)
}

/** A price by its id, also one that is over. */
export function priceById(database: DatabaseSync, priceId: string): Price | null {
  const [row] = all(database, 'SELECT * FROM prices WHERE id = ?', priceId)
  return row === undefined ? null : priceOf(row)
}

const TRANSFER =
  'SELECT t.*, d.name AS debit, c.name AS credit FROM transfers t JOIN names d ON d.n = t.debit JOIN names c ON c.n = t.credit'

/** The transfers of a request. */
export function transfersOf(database: DatabaseSync, filter: { requestId: string }): Transfer[] {
  // The ids are known, which spares an index over millions of rows.
  const ids = ['charge', 'overrun'].map(kind => `${filter.requestId}:${kind}`)
  return all(database, `${TRANSFER} WHERE t.id IN (?, ?) ORDER BY t.id`, ...ids).map(asTransfer)
}

/** One transfer; null when there is none of that id. */
export function transferOf(database: DatabaseSync, id: string): Transfer | null {
  const [row] = all(database, `${TRANSFER} WHERE t.id = ?`, id)
  return row === undefined ? null : asTransfer(row)
}

/** Requests that a crash interrupted, newest first. */
export function interrupted(database: DatabaseSync): Admission[] {
  return all(database, 'SELECT * FROM interrupted ORDER BY request_id DESC LIMIT 1000').map(admissionOf)
}

function conditions(
  selection: UsageSelection,
  timeColumn: string,
  timeUnitMs: number,
): { where: string; values: SQLInputValue[] } {
  const parts = ['1 = 1']
  const values: SQLInputValue[] = []
  for (const [column, value] of [
    ['org', selection.orgId],
    ['key', selection.keyId],
    ['model', selection.modelId],
  ] as const) {
    if (value === undefined) continue
    parts.push(`u.${column} = (SELECT n FROM names WHERE name = ?)`)
    values.push(value)
  }
  if (selection.fromMs !== undefined) {
    parts.push(`${timeColumn} >= ?`)
    values.push(Math.floor(selection.fromMs / timeUnitMs))
  }
  if (selection.toMs !== undefined) {
    parts.push(`${timeColumn} < ?`)
    values.push(Math.floor(selection.toMs / timeUnitMs))
  }
  return { where: parts.join(' AND '), values }
}

function all(database: DatabaseSync, sql: string, ...values: SQLInputValue[]): Row[] {
  const statement = database.prepare(sql)
  statement.setReadBigInts(true)
  return statement.all(...values) as Row[]
}

function text(value: unknown): string {
  return String(value)
}

function maybeMs(value: unknown): number | null {
  return value === null ? null : Number(value)
}

function keyOf(row: Row): ApiKey {
  return {
    id: text(row.id),
    orgId: text(row.org_id),
    name: text(row.name),
    hash: text(row.hash),
    hint: text(row.hint),
    capNanodollars: row.cap_nanodollars as bigint | null,
    createdMs: Number(row.created_ms),
    expiresMs: maybeMs(row.expires_ms),
    revokedMs: maybeMs(row.revoked_ms),
  }
}

function priceOf(row: Row): Price {
  const rate = (column: string, name: string) => (row[column] === null ? {} : { [name]: row[column] as bigint })
  const rates: Rates = {
    inputPicodollars: row.input_picodollars as bigint,
    cachedInputPicodollars: row.cached_input_picodollars as bigint,
    ...rate('cache_write_picodollars', 'cacheWritePicodollars'),
    outputPicodollars: row.output_picodollars as bigint,
    ...rate('reasoning_picodollars', 'reasoningPicodollars'),
    requestPicodollars: row.request_picodollars as bigint,
    ...rate('search_unit_picodollars', 'searchUnitPicodollars'),
  }
  const terms =
    row.terms === null
      ? undefined
      : termsOfDocument(JSON.parse(text(row.terms)) as TermsDocument, documentOfTariff(rates))
  return {
    id: text(row.id),
    modelId: text(row.model_id),
    ...(row.price_group !== null && { group: text(row.price_group) }),
    fromMs: Number(row.from_ms),
    toMs: maybeMs(row.to_ms),
    ...rates,
    ...(terms !== undefined && { terms }),
  }
}

function asTransfer(row: Row): Transfer {
  return {
    id: text(row.id),
    debit: row.debit as AccountId,
    credit: row.credit as AccountId,
    amountNanodollars: row.nanodollars as bigint,
    kind: row.kind as Transfer['kind'],
    requestId: row.request_id === null ? null : text(row.request_id),
    atMs: Number(row.at_ms),
    memo: row.memo === null ? null : text(row.memo),
  }
}
