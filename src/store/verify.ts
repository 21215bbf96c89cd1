import type { DatabaseSync } from 'node:sqlite'
import type { Price } from '../inference/snapshot.ts'
import { chargeOf } from '../pricing/worth.ts'
import { priceById } from './reads.ts'
import { tierOf } from './settlement-row.ts'
import { listMonths } from './usage-partitions.ts'
import { grantProblems } from './verify-grants.ts'

const NANODOLLARS_PER_DOLLAR = 1_000_000_000n
/** Most problems that are spelled out; more are counted. */
const PROBLEMS_MAX = 50

/** What the books' check of themselves found. */
export interface Verification {
  readonly ok: boolean
  readonly transfers: number
  readonly settlements: number
  /** One sentence per discrepancy, the first fifty; empty when the books balance. */
  readonly problems: readonly string[]
}

/**
 * Whether a charge is not worked out by the database: its price is a calendar, or a product of a count and a price could leave 64 bits,
 * where SQLite goes on with floats. Below these bounds the four terms of a charge sum to 8 * 10^18 at most.
 */
const IS_OTHER = `(p.terms IS NOT NULL OR p.cache_write_picodollars IS NOT NULL OR p.reasoning_picodollars IS NOT NULL
  OR p.search_unit_picodollars IS NOT NULL
  OR max(p.input_picodollars, p.cached_input_picodollars, p.output_picodollars) > 2000000000
  OR max(u.input, u.output) > 1000000000 OR p.request_picodollars > 2000000000000000000)`

/** Whether the row of an hourly sum belongs to a month whose usage rows were dropped. */
const IN_CLOSED_MONTH = 'EXISTS (SELECT 1 FROM closed_months m WHERE hour >= m.from_hour AND hour < m.to_hour)'

/**
 * Each check is a query that finds nothing in sound books; what it finds is one sentence. The database does the sums, row after
 * row, so that a ledger of any size needs no memory of ours.
 */
const CHECKS: readonly string[] = [
  // Balances against transfers; the sums by account are checked below.
  `SELECT 'All balances sum to ' || total || ' n$ instead of 0.' FROM (SELECT coalesce(sum(nanodollars), 0) AS total FROM balances) WHERE total <> 0`,
  // What was taken back may leave less than nothing; charges never do.
  `SELECT 'The account ' || n.name || ' is overdrawn: ' || b.nanodollars || ' n$' ||
     CASE WHEN taken > 0 THEN ', of which only ' || taken || ' n$ were taken back.' ELSE '.' END
   FROM (SELECT account, nanodollars, coalesce((SELECT sum(t.nanodollars) FROM posted_transfers t
     WHERE t.debit = account AND t.kind IN ('refund', 'chargeback', 'correction')), 0) AS taken FROM balances WHERE nanodollars < 0) b
   JOIN names n ON n.n = b.account WHERE n.name GLOB 'org:*' AND b.nanodollars + b.taken < 0`,
  `SELECT 'Transfer ' || t.id || ' is a ' || t.kind || ' from ' || d.name || ' to ' || c.name || ', which no ' || t.kind || ' is.'
   FROM posted_transfers t JOIN names d ON d.n = t.debit JOIN names c ON c.n = t.credit WHERE NOT CASE t.kind
     WHEN 'credit' THEN d.name = 'operator:funding' AND c.name GLOB 'org:*'
     WHEN 'grant' THEN d.name = 'operator:grants' AND c.name GLOB 'org:*'
     WHEN 'refund' THEN d.name GLOB 'org:*' AND c.name = 'operator:funding'
     WHEN 'chargeback' THEN d.name GLOB 'org:*' AND c.name = 'operator:funding'
     WHEN 'correction' THEN (d.name GLOB 'org:*' AND c.name = 'operator:funding') OR (d.name = 'operator:funding' AND c.name GLOB 'org:*')
     WHEN 'expiry' THEN d.name GLOB 'org:*' AND c.name = 'operator:grants'
     WHEN 'closing' THEN (d.name GLOB 'org:*' OR d.name = 'operator:overrun') AND c.name = 'operator:revenue'
     ELSE 0 END`,
  `SELECT 'Request ' || u.request_id || ' was charged to another org than its own.' FROM usage u
   JOIN names o ON o.n = u.org JOIN names a ON a.n = u.account WHERE a.name <> 'org:' || o.name`,
  `SELECT 'Request ' || u.request_id || ' was made with key ' || k.name || ' of another org than its own.' FROM usage u JOIN names k ON k.n = u.key
   JOIN api_keys a ON a.id = k.name JOIN names o ON o.n = u.org WHERE a.org_id <> o.name`,
  `SELECT 'The correction ' || id || ' does not say what it corrects.' FROM posted_transfers WHERE kind = 'correction' AND trim(coalesce(memo, '')) = ''`,
  // Grants against the transfers that gave and ended them; what is left of each is checked below.
  `SELECT 'The grant ' || t.id || ' is a transfer of ' || t.nanodollars || ' n$ and is kept as ' || coalesce(g.amount || ' n$ of account ' || g.account, 'nothing') || '.'
   FROM posted_transfers t LEFT JOIN grants g ON g.id = t.id WHERE t.kind = 'grant' AND (g.id IS NULL OR g.amount <> t.nanodollars OR g.account <> t.credit)`,
  `SELECT 'The grant ' || g.id || ' was given by no transfer.' FROM grants g LEFT JOIN posted_transfers t ON t.id = g.id WHERE t.kind IS NOT 'grant'`,
  `SELECT 'Transfer ' || t.id || ' ends the grant ' || coalesce(t.grant_id, 'of no name') || ', which its org never had, or which had not ended.'
   FROM posted_transfers t LEFT JOIN grants g ON g.id = t.grant_id
   WHERE t.kind = 'expiry' AND (g.id IS NULL OR g.account <> t.debit OR g.expires_ms IS NULL OR g.expires_ms > t.at_ms)`,
  `SELECT 'Transfer ' || id || ' is a ' || kind || ' and names a grant that it ends.' FROM posted_transfers WHERE grant_id IS NOT NULL AND kind <> 'expiry'`,
  // Each charge against its hold, its price and its counts.
  `SELECT 'Request ' || u.request_id || ' was charged ' || u.charge || ' n$, more than its hold of ' || u.held || ' n$.' FROM usage u WHERE u.charge > u.held`,
  `SELECT 'Request ' || u.request_id || ' was charged by a price that is not on record.' FROM usage u LEFT JOIN names p ON p.n = u.price
   WHERE NOT EXISTS (SELECT 1 FROM prices WHERE id = p.name)`,
  `SELECT 'Request ' || request_id || ' was charged ' || charge || ' n$ with ' || overrun || ' n$ overrun, its counts at its price are worth ' || worth || ' n$.'
   FROM (
     SELECT request_id, ending, charge, overrun, CASE
       WHEN pico % 1000 > 500 OR (pico % 1000 = 500 AND (pico / 1000) % 2 = 1) THEN pico / 1000 + 1 ELSE pico / 1000 END AS worth
     FROM (SELECT u.*, (u.input - u.cached) * p.input_picodollars + u.cached * p.cached_input_picodollars + u.output * p.output_picodollars
       + p.request_picodollars AS pico FROM usage u JOIN names n ON n.n = u.price JOIN prices p ON p.id = n.name WHERE NOT ${IS_OTHER})
   ) WHERE charge + overrun <> worth AND (charge > 0 OR overrun > 0 OR ending IN ('completed', 'exhausted'))`,
  `SELECT 'Request ' || request_id || ' ended empty, which is free, and was charged ' || charge || ' n$.' FROM usage
   WHERE ending = 'empty' AND (charge > 0 OR overrun > 0)`,
  // What is stored to be told again was settled.
  `SELECT 'The answer of request ' || a.request_id || ' is stored, but the request was not settled.' FROM stored_answers a
   WHERE NOT EXISTS (SELECT 1 FROM usage u WHERE u.request_id = a.request_id)
   AND NOT EXISTS (SELECT 1 FROM closed_months m WHERE a.settled_ms / 3600000 >= m.from_hour AND a.settled_ms / 3600000 < m.to_hour)`,
  // Sums against rows, both ways.
  `SELECT 'Key ' || coalesce(n.name, key) || ' has spent ' || sum(spent) || ' n$, its requests sum to ' || sum(charged) || ' n$.' FROM (
     SELECT key, nanodollars AS spent, 0 AS charged FROM key_spent
     UNION ALL SELECT key, 0, sum(charge) FROM usage GROUP BY key
     UNION ALL SELECT key, 0, sum(charge) FROM rollups WHERE ${IN_CLOSED_MONTH} GROUP BY key
   ) LEFT JOIN names n ON n.n = key GROUP BY key HAVING sum(spent) <> sum(charged)`,
  `SELECT 'With the token ' || coalesce(n.name, token) || ' ' || sum(spent) || ' n$ were spent, its requests sum to ' || sum(charged) || ' n$.' FROM (
     SELECT token, nanodollars AS spent, 0 AS charged FROM token_spent
     UNION ALL SELECT token, 0, sum(charge) FROM usage WHERE token IS NOT NULL GROUP BY token
     UNION ALL SELECT token, 0, nanodollars FROM closed_token_charges
   ) LEFT JOIN names n ON n.n = token GROUP BY token HAVING sum(spent) <> sum(charged)`,
  `SELECT 'With the token ' || t.id || ' ' || s.nanodollars || ' n$ were spent, more than its limit of ' || t.limit_nanodollars || ' n$.'
   FROM scoped_tokens t JOIN names n ON n.name = t.id JOIN token_spent s ON s.token = n.n WHERE s.nanodollars > t.limit_nanodollars`,
  `SELECT 'Request ' || u.request_id || ' was made with the token ' || t.id || ', which was derived from another key than ' || k.name || '.'
   FROM usage u JOIN names n ON n.n = u.token JOIN scoped_tokens t ON t.id = n.name JOIN names k ON k.n = u.key WHERE t.key_id <> k.name`,
  `SELECT 'The sums of the hour ' || strftime('%Y-%m-%dT%H:00Z', hour * 3600, 'unixepoch') || ' say ' || sum(requests) || ' requests, ' || sum(charge)
     || ' n$; its rows say ' || sum(row_requests) || ' requests, ' || sum(row_charge) || ' n$ (org ' || coalesce(o.name, org) || ', key '
     || coalesce(k.name, key) || ', model ' || coalesce(m.name, model) || ', ' || ending || ').' FROM (
     SELECT hour, org, key, model, upstream, price, ending, requests, input, cached, output, charge,
       0 AS row_requests, 0 AS row_input, 0 AS row_cached, 0 AS row_output, 0 AS row_charge FROM rollups WHERE NOT ${IN_CLOSED_MONTH}
     UNION ALL SELECT settled_ms / 3600000, org, key, model, upstream, price, ending, 0, 0, 0, 0, 0,
       count(*), sum(input), sum(cached), sum(output), sum(charge) FROM usage GROUP BY 1, 2, 3, 4, 5, 6, 7
   ) LEFT JOIN names o ON o.n = org LEFT JOIN names k ON k.n = key LEFT JOIN names m ON m.n = model
   GROUP BY hour, org, key, model, upstream, price, ending
   HAVING sum(requests) <> sum(row_requests) OR sum(input) <> sum(row_input) OR sum(cached) <> sum(row_cached)
     OR sum(output) <> sum(row_output) OR sum(charge) <> sum(row_charge)`,
  // The months whose rows were dropped: what was carried over from them against their hourly sums.
  `SELECT 'The closed month ' || month || ' carried over ' || sum(carried) || ' n$ of ' || coalesce(n.name, account) || ', its sums say ' || sum(summed) || ' n$.' FROM (
     SELECT substr(t.id, 9, 7) AS month, t.debit AS account, t.nanodollars AS carried, 0 AS summed FROM posted_transfers t
       JOIN names d ON d.n = t.debit WHERE t.kind = 'closing' AND d.name GLOB 'org:*'
     UNION ALL SELECT m.name, a.n, 0, sum(r.charge) FROM closed_months m JOIN rollups r ON r.hour >= m.from_hour AND r.hour < m.to_hour
       JOIN names o ON o.n = r.org JOIN names a ON a.name = 'org:' || o.name GROUP BY m.name, a.n
   ) LEFT JOIN names n ON n.n = account GROUP BY month, account HAVING sum(carried) <> sum(summed)`,
  // The file itself: pages, indexes, and the rules of the schema on every row.
  `SELECT 'The database file is damaged: ' || integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'`,
]

/**
 * Recomputes every balance from the transfers, every charge from its counts and price, and every sum from its rows, and lets the
 * database check its file.
 */
export function verify(database: DatabaseSync): Verification {
  // One read transaction: settlements that arrive meanwhile belong to the next check.
  database.exec('BEGIN')
  try {
    const problems: string[] = []
    let found = 0
    const add = (problem: string) => {
      found++
      if (problems.length < PROBLEMS_MAX) problems.push(problem)
    }
    const checks = [
      balanceProblems,
      grantProblems,
      partitionProblems,
      otherChargeProblems,
      ...CHECKS.map(sql => () => problemsOf(database, sql)),
    ]
    for (const check of checks) {
      try {
        for (const problem of check(database)) add(problem)
      } catch (error) {
        // A damaged page, or sums beyond 64 bits; the other checks may still say more.
        add(`A check could not be made: ${(error as Error).message}.`)
      }
    }
    const count = (table: string) => {
      try {
        return Number(database.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.n)
      } catch (error) {
        add(`The ${table} cannot be counted: ${(error as Error).message}.`)
        return 0
      }
    }
    const [transfers, settlements] = [count('transfers'), count('usage')]
    if (found > PROBLEMS_MAX) problems.push(`And ${found - PROBLEMS_MAX} more.`)
    return { ok: found === 0, transfers, settlements, problems }
  } finally {
    database.exec('ROLLBACK')
  }
}

function rowsOf(database: DatabaseSync, sql: string): Iterable<Record<string, unknown>> {
  const statement = database.prepare(sql)
  statement.setReadBigInts(true)
  return statement.iterate() as Iterable<Record<string, unknown>>
}

function* problemsOf(database: DatabaseSync, sql: string): Iterable<string> {
  for (const row of rowsOf(database, sql)) yield String(Object.values(row)[0])
}

// What ever went through an account can exceed 64 bits, although no balance does, so each sum is taken in two halves.
function* balanceProblems(database: DatabaseSync): Iterable<string> {
  const moved = new Map<bigint, bigint>()
  for (const [side, sign] of [
    ['credit', 1n],
    ['debit', -1n],
  ] as const) {
    const sums = `SELECT ${side} AS account, sum(nanodollars / ${NANODOLLARS_PER_DOLLAR}) AS whole, sum(nanodollars % ${NANODOLLARS_PER_DOLLAR}) AS rest FROM transfers GROUP BY ${side}`
    for (const { account, whole, rest } of rowsOf(database, sums)) {
      const amount = sign * ((whole as bigint) * NANODOLLARS_PER_DOLLAR + (rest as bigint))
      moved.set(account as bigint, (moved.get(account as bigint) ?? 0n) + amount)
    }
  }
  const balances = `SELECT account, nanodollars, coalesce(n.name, 'account ' || account) AS name FROM balances LEFT JOIN names n ON n.n = account`
  for (const { account, nanodollars, name } of rowsOf(database, balances)) {
    const sum = moved.get(account as bigint) ?? 0n
    moved.delete(account as bigint)
    if (nanodollars !== sum) yield `The balance of ${name} is ${nanodollars} n$, its transfers sum to ${sum} n$.`
  }
  for (const [account, sum] of moved) {
    const name = database.prepare('SELECT name FROM names WHERE n = ?').get(account)?.name ?? `account ${account}`
    if (sum !== 0n) yield `The balance of ${name} is 0 n$, its transfers sum to ${sum} n$.`
  }
}

// A row lies in the month in which it settled, and a request that ran into a new month has one row in all.
function* partitionProblems(database: DatabaseSync): Iterable<string> {
  const months = listMonths(database)
  for (const [i, { name, fromMs, toMs }] of months.entries()) {
    yield* problemsOf(
      database,
      `SELECT 'Request ' || request_id || ' is in the rows of the month ${name}, in which it did not settle.' FROM usage_${name}
       WHERE settled_ms < ${fromMs} OR settled_ms >= ${toMs}`,
    )
    const before = months[i - 1]
    if (before === undefined) continue
    yield* problemsOf(
      database,
      `SELECT 'Request ' || u.request_id || ' was settled twice, in two months.' FROM usage_${name} u
       WHERE u.admitted_ms < ${fromMs} AND EXISTS (SELECT 1 FROM usage_${before.name} b WHERE b.request_id = u.request_id)`,
    )
  }
}

// The charges that SQLite does not recompute: those of a calendar, and the few beyond 64 bits.
function* otherChargeProblems(database: DatabaseSync): Iterable<string> {
  const prices = new Map<string, Price | null>()
  const rows = `SELECT u.request_id, u.ending, u.charge, u.overrun, u.input, u.cached, u.written, u.output, u.reasoning, u.admitted_ms, u.tier,
    u.search_units, n.name AS price FROM usage u JOIN names n ON n.n = u.price JOIN prices p ON p.id = n.name WHERE ${IS_OTHER}`
  for (const row of rowsOf(database, rows)) {
    const id = String(row.price)
    if (!prices.has(id)) prices.set(id, priceById(database, id))
    const price = prices.get(id) as Price
    const count = (column: string) => Number(row[column])
    const counts = {
      inputTokens: count('input'),
      cachedInputTokens: count('cached'),
      cacheWriteTokens: count('written'),
      outputTokens: count('output'),
      reasoningTokens: count('reasoning'),
      searchUnits: count('search_units'),
    }
    const worth = chargeOf(price, counts, count('admitted_ms'), tierOf(count('tier')))
    const [charge, overrun] = [row.charge as bigint, row.overrun as bigint]
    const owed = charge + overrun > 0n || row.ending === 'completed' || row.ending === 'exhausted'
    if (owed && charge + overrun !== worth)
      yield `Request ${row.request_id} was charged ${charge} n$ with ${overrun} n$ overrun, its counts at its price are worth ${worth} n$.`
  }
}
