import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import { EACH_END_USER, type LimitRule, type Measure } from '../inference/limit-rule.ts'
import { idStart } from '../std/request-id.ts'
import { listMonths } from './usage-partitions.ts'

/** What came under a limit in one piece of its window. */
export interface LimitUse {
  /** A time in the piece, milliseconds since 1970. */
  readonly atMs: number
  /** Whose it is, where each end user has the limit for itself; else null. */
  readonly endUserId: string | null
  /** In the measure of the limit. */
  readonly used: bigint
}

/** A request is admitted at most so long after it got its id, and settled at most so long after that. */
const REQUEST_MS_MAX = 24 * 3_600_000

const ROW_MEASURES: Record<Exclude<Measure, 'concurrency'>, string> = {
  nanodollars: 'sum(charge)',
  requests: 'count(*)',
  tokens: 'sum(input + output)',
  uncached_tokens: 'sum(input - cached + output)',
  input_tokens: 'sum(input)',
  output_tokens: 'sum(output)',
}

/**
 * What came under a limit since `fromMs`, by the time of admission, in pieces of `pieceMs` (null: one piece), oldest first. From all
 * time, where `fromMs` is not finite, it is read off the hourly sums, which are never dropped.
 */
export function limitUsage(
  database: DatabaseSync,
  rule: LimitRule,
  fromMs: number,
  pieceMs: number | null,
): LimitUse[] {
  if (rule.measure === 'concurrency') return []
  const keys = keysOf(database, rule)
  const where: string[] = []
  const values: SQLInputValue[] = []
  if (rule.modelId !== null) {
    where.push('model = (SELECT n FROM names WHERE name = ?)')
    values.push(rule.modelId)
  }
  if (!Number.isFinite(fromMs)) return everUsed(database, rule.measure, keys, where, values)
  const each = rule.endUserId === EACH_END_USER
  if (each) where.push('end_user IS NOT NULL')
  else if (rule.endUserId !== null) {
    where.push('end_user = (SELECT n FROM names WHERE name = ?)')
    values.push(rule.endUserId)
  }
  const piece = pieceMs === null ? '0' : `admitted_ms / ${pieceMs}`
  const parts: string[] = []
  const all: SQLInputValue[] = []
  const months = listMonths(database).filter(month => month.toMs > fromMs)
  for (const { name } of months) {
    // One part a key, so that each reads its own stretch of the index; no part reads far before the window.
    for (const key of keys ?? [null]) {
      const own = ['admitted_ms >= ?', 'request_id >= ?', ...(key === null ? [] : ['key = ?']), ...where]
      parts.push(
        `SELECT admitted_ms, end_user, charge, input, cached, output FROM usage_${name} WHERE ${own.join(' AND ')}`,
      )
      all.push(fromMs, idStart('req_', fromMs - REQUEST_MS_MAX), ...(key === null ? [] : [key]), ...values)
    }
  }
  const sums = new Map<string, LimitUse>()
  for (let i = 0; i < parts.length; i++) {
    const count = all.length / parts.length
    const statement = database.prepare(
      `SELECT ${piece} AS piece, ${each ? 'e.name' : 'NULL'} AS user, ${ROW_MEASURES[rule.measure]} AS used FROM (${parts[i]}) u
       LEFT JOIN names e ON e.n = u.end_user GROUP BY 1, 2`,
    )
    statement.setReadBigInts(true)
    for (const row of statement.iterate(...all.slice(i * count, (i + 1) * count))) {
      const atMs = pieceMs === null ? fromMs : Math.max(Number(row.piece) * pieceMs, fromMs)
      const endUserId = row.user === null ? null : String(row.user)
      const id = `${atMs} ${endUserId ?? ''}`
      sums.set(id, { atMs, endUserId, used: (sums.get(id)?.used ?? 0n) + (row.used as bigint) })
    }
  }
  return [...sums.values()].sort((a, b) => a.atMs - b.atMs)
}

function everUsed(
  database: DatabaseSync,
  measure: Exclude<Measure, 'concurrency'>,
  keys: readonly bigint[] | null,
  where: readonly string[],
  values: readonly SQLInputValue[],
): LimitUse[] {
  const sum = ROW_MEASURES[measure].replace('count(*)', 'sum(requests)')
  const own = keys === null ? where : [`key IN (${keys.map(() => '?').join(', ')})`, ...where]
  const statement = database.prepare(
    `SELECT ${sum} AS used FROM rollups${own.length === 0 ? '' : ` WHERE ${own.join(' AND ')}`}`,
  )
  statement.setReadBigInts(true)
  const row = statement.get(...(keys ?? []), ...values)
  return [{ atMs: 0, endUserId: null, used: (row?.used as bigint | null) ?? 0n }]
}

// Numbers of the keys in the scope of a rule; null when all are.
function keysOf(database: DatabaseSync, { orgId, projectId, keyId }: LimitRule): bigint[] | null {
  const [column, id] =
    keyId !== null ? ['id', keyId] : projectId !== null ? ['project_id', projectId] : ['org_id', orgId]
  if (id === null) return null
  const statement = database.prepare(`SELECT n.n FROM api_keys k JOIN names n ON n.name = k.id WHERE k.${column} = ?`)
  statement.setReadBigInts(true)
  return statement.all(id as string).map(row => row.n as bigint)
}
