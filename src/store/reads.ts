import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import type { LimitRule, Project } from '../inference/limit-rule.ts'
import type { Rates } from '../inference/price.ts'
import type { ApiKey, Org, Price } from '../inference/snapshot.ts'
import type { AccountId } from '../ledger/account.ts'
import type { CreditTotals, OpenGrant } from '../ledger/grant.ts'
import type { Admission, Settlement, Transfer } from '../ledger/journal.ts'
import { documentOfTariff, type TermsDocument, termsOfDocument } from '../pricing/document.ts'
import type { StoredDocument } from './control-writes.ts'
import { SPENDING_ORDER } from './grants.ts'
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
  SELECT u.*, o.name AS org, k.name AS key, m.name AS model, up.name AS upstream, p.name AS price, e.name AS end_user, t.name AS token FROM usage u
  JOIN names o ON o.n = u.org JOIN names k ON k.n = u.key JOIN names m ON m.n = u.model
  JOIN names up ON up.n = u.upstream JOIN names p ON p.n = u.price LEFT JOIN names e ON e.n = u.end_user
  LEFT JOIN names t ON t.n = u.token`

/** What the server needs to know at its start. */
export function loadState(database: DatabaseSync): {
  orgs: Org[]
  keys: ApiKey[]
  models: StoredDocument[]
  prices: Price[]
  projects: Project[]
  limits: LimitRule[]
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
    projects: all(database, 'SELECT * FROM projects ORDER BY created_ms, id').map(row => ({
      id: text(row.id),
      orgId: text(row.org_id),
      name: text(row.name),
    })),
    limits: all(database, 'SELECT document FROM limits ORDER BY id').map(row => limitOf(text(row.document))),
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

/** A price by its id, also one that is over. */
export function priceById(database: DatabaseSync, priceId: string): Price | null {
  const [row] = all(database, 'SELECT * FROM prices WHERE id = ?', priceId)
  return row === undefined ? null : priceOf(row)
}

const TRANSFER =
  'SELECT t.*, d.name AS debit, c.name AS credit FROM transfers t JOIN names d ON d.n = t.debit JOIN names c ON c.n = t.credit'

/** The transfers of a request. */
export function transfersOf(database: DatabaseSync, filter: { requestId: string }): Transfer[] {
  return all(database, `${TRANSFER} WHERE t.request_id = ? ORDER BY t.id`, filter.requestId).map(asTransfer)
}

const POSTED = `SELECT t.id, d.name AS debit, c.name AS credit, t.nanodollars, t.kind, t.request_id, t.at_ms, t.memo, t.actor, g.expires_ms
  FROM posted_transfers t JOIN names d ON d.n = t.debit JOIN names c ON c.n = t.credit LEFT JOIN grants g ON g.id = t.id`

/** One transfer that was posted by itself, not a charge; null when there is none of that id. */
export function transferOf(database: DatabaseSync, id: string): Transfer | null {
  const [row] = all(database, `${POSTED} WHERE t.id = ?`, id)
  return row === undefined ? null : asPosted(row)
}

/** The transfers of an org that are not charges, newest first. The cursor is the last id of the page before. */
export function creditTransfers(
  database: DatabaseSync,
  orgId: string,
  page: { limit: number; cursor?: string },
): { rows: Transfer[]; nextCursor: string | null } {
  const account = `org:${orgId}`
  const after =
    page.cursor === undefined ? '' : 'AND (t.at_ms, t.id) < (SELECT at_ms, id FROM posted_transfers WHERE id = ?)'
  // Each side has an index by time.
  const found = (['credit', 'debit'] as const).flatMap(side =>
    all(
      database,
      `${POSTED} WHERE t.${side} = (SELECT n FROM names WHERE name = ?) AND t.kind <> 'closing' ${after}
       ORDER BY t.at_ms DESC, t.id DESC LIMIT ?`,
      account,
      ...(page.cursor === undefined ? [] : [page.cursor]),
      page.limit + 1,
    ).map(asPosted),
  )
  found.sort((a, b) => b.atMs - a.atMs || (a.id < b.id ? 1 : -1))
  const rows = found.slice(0, page.limit)
  return { rows, nextCursor: found.length > page.limit ? (rows.at(-1)?.id ?? null) : null }
}

const GRANT = `SELECT g.id, substr(n.name, 5) AS org, g.amount, g.remaining, g.expires_ms FROM grants g JOIN names n ON n.n = g.account`

/** What changed an org's credit, by kind, and its open grants. */
export function creditTotals(database: DatabaseSync, orgId: string): CreditTotals {
  const account = `org:${orgId}`
  const sums = new Map<string, bigint>()
  // Summed here: what was ever moved can exceed 64 bits, although no balance does.
  for (const side of ['credit', 'debit'] as const) {
    const rows = all(
      database,
      `SELECT kind, nanodollars FROM posted_transfers WHERE ${side} = (SELECT n FROM names WHERE name = ?)`,
      account,
    )
    for (const { kind, nanodollars } of rows) {
      const name = `${text(kind)} ${side}`
      sums.set(name, (sums.get(name) ?? 0n) + (nanodollars as bigint))
    }
  }
  const sum = (name: string) => sums.get(name) ?? 0n
  return {
    creditedNanodollars: sum('credit credit'),
    grantedNanodollars: sum('grant credit'),
    refundedNanodollars: sum('refund debit'),
    chargedBackNanodollars: sum('chargeback debit'),
    correctedNanodollars: sum('correction credit') - sum('correction debit'),
    expiredNanodollars: sum('expiry debit'),
    grants: all(
      database,
      `${GRANT} WHERE g.account = (SELECT n FROM names WHERE name = ?) AND g.remaining > 0 ORDER BY ${SPENDING_ORDER}`,
      account,
    ).map(grantOf),
  }
}

/** Grants that are over while something is left of them and their org has a balance; of one org, or of all. */
export function dueGrants(database: DatabaseSync, nowMs: number, orgId: string | null): OpenGrant[] {
  return all(
    database,
    `${GRANT} JOIN balances b ON b.account = g.account WHERE g.remaining > 0 AND g.expires_ms <= ? AND b.nanodollars > 0
     AND (?2 IS NULL OR n.name = 'org:' || ?2) ORDER BY g.expires_ms, g.seq`,
    nowMs,
    orgId,
  ).map(grantOf)
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
    projectId: row.project_id === null ? null : text(row.project_id),
    name: text(row.name),
    hash: text(row.hash),
    hint: text(row.hint),
    capNanodollars: row.cap_nanodollars as bigint | null,
    ...(row.models !== null && { models: JSON.parse(text(row.models)) }),
    createdMs: Number(row.created_ms),
    expiresMs: maybeMs(row.expires_ms),
    revokedMs: maybeMs(row.revoked_ms),
  }
}

function limitOf(document: string): LimitRule {
  const limit = JSON.parse(document)
  return { ...limit, amount: BigInt(limit.amount) }
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

function asPosted(row: Row): Transfer {
  return { ...asTransfer(row), by: row.actor === null ? null : text(row.actor), expiresMs: maybeMs(row.expires_ms) }
}

function grantOf(row: Row): OpenGrant {
  return {
    id: text(row.id),
    orgId: text(row.org),
    amountNanodollars: row.amount as bigint,
    remainingNanodollars: row.remaining as bigint,
    expiresMs: maybeMs(row.expires_ms),
  }
}
