import type { DatabaseSync } from 'node:sqlite'

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
 * Each check is a query that finds nothing in sound books; what it finds is one sentence. The database does the sums, so that a
 * ledger of any size needs no memory of ours.
 */
const CHECKS: readonly string[] = [
  `SELECT 'The balance of ' || n.name || ' is ' || b.nanodollars || ' n$, its transfers sum to ' || coalesce(t.total, 0) || ' n$.'
   FROM balances b JOIN names n ON n.n = b.account LEFT JOIN (
     SELECT account, sum(amount) AS total FROM (
       SELECT credit AS account, sum(nanodollars) AS amount FROM transfers GROUP BY credit
       UNION ALL SELECT debit, -sum(nanodollars) FROM transfers GROUP BY debit
     ) GROUP BY account
   ) t ON t.account = b.account WHERE b.nanodollars <> coalesce(t.total, 0)`,
  `SELECT 'Account ' || t.account || ' has transfers and no balance.' FROM (SELECT credit AS account FROM transfers UNION SELECT debit FROM transfers) t
   WHERE t.account NOT IN (SELECT account FROM balances)`,
  `SELECT 'All balances sum to ' || total || ' n$ instead of 0.' FROM (SELECT coalesce(sum(nanodollars), 0) AS total FROM balances) WHERE total <> 0`,
  `SELECT 'Org account ' || n.name || ' is overdrawn: ' || b.nanodollars || ' n$.' FROM balances b JOIN names n ON n.n = b.account
   WHERE n.name LIKE 'org:%' AND b.nanodollars < 0`,
  `SELECT 'Request ' || u.request_id || ' was charged ' || u.charge || ' n$, its transfer says ' || coalesce(t.nanodollars, 0) || ' n$.'
   FROM usage u LEFT JOIN transfers t ON t.id = u.request_id || ':charge' WHERE u.charge <> coalesce(t.nanodollars, 0)`,
  `SELECT 'Request ' || u.request_id || ' was charged to another org than its own.' FROM usage u JOIN transfers t ON t.id = u.request_id || ':charge'
   JOIN names o ON o.n = u.org JOIN names d ON d.n = t.debit WHERE d.name <> 'org:' || o.name`,
  `SELECT 'Transfer ' || t.id || ' belongs to no settled request.' FROM transfers t
   WHERE t.kind <> 'credit' AND NOT EXISTS (SELECT 1 FROM usage u WHERE u.request_id = t.request_id)`,
  `SELECT 'Request ' || u.request_id || ' was charged ' || u.charge || ' n$, more than its hold of ' || u.held || ' n$.' FROM usage u WHERE u.charge > u.held`,
  `SELECT 'Request ' || u.request_id || ' was charged by a price that is not on record.' FROM usage u JOIN names p ON p.n = u.price
   WHERE NOT EXISTS (SELECT 1 FROM prices WHERE id = p.name)`,
  `SELECT 'Request ' || request_id || ' was charged ' || charge || ' n$, its counts at its price are worth ' || worth || ' n$.' FROM (
     SELECT u.request_id, u.charge, u.overrun, CASE
       WHEN pico % 1000 > 500 OR (pico % 1000 = 500 AND (pico / 1000) % 2 = 1) THEN pico / 1000 + 1 ELSE pico / 1000 END AS worth
     FROM (SELECT u.*, (u.input - u.cached) * p.input_picodollars + u.cached * p.cached_input_picodollars + u.output * p.output_picodollars
       + p.request_picodollars AS pico FROM usage u JOIN names n ON n.n = u.price JOIN prices p ON p.id = n.name) u
   ) WHERE charge + overrun <> worth AND (charge > 0 OR overrun > 0)`,
  `SELECT 'Key ' || n.name || ' has spent ' || coalesce(s.nanodollars, 0) || ' n$, its requests sum to ' || u.total || ' n$.'
   FROM (SELECT key, sum(charge) AS total FROM usage GROUP BY key) u JOIN names n ON n.n = u.key LEFT JOIN key_spent s ON s.key = u.key
   WHERE u.total <> coalesce(s.nanodollars, 0)`,
  `SELECT 'The hourly sums say ' || r.requests || ' requests, ' || r.charge || ' n$; the rows say ' || u.requests || ' requests, ' || u.charge || ' n$.'
   FROM (SELECT coalesce(sum(requests), 0) AS requests, coalesce(sum(charge), 0) AS charge, coalesce(sum(input), 0) AS input, coalesce(sum(output), 0) AS output FROM rollups) r,
   (SELECT count(*) AS requests, coalesce(sum(charge), 0) AS charge, coalesce(sum(input), 0) AS input, coalesce(sum(output), 0) AS output FROM usage) u
   WHERE r.requests <> u.requests OR r.charge <> u.charge OR r.input <> u.input OR r.output <> u.output`,
]

/** Recomputes every balance from the transfers, every charge from its counts and price, and every sum from its rows. */
export function verify(database: DatabaseSync): Verification {
  // One read transaction: settlements that arrive meanwhile belong to the next check.
  database.exec('BEGIN')
  try {
    const problems: string[] = []
    let found = 0
    for (const check of CHECKS) {
      for (const row of database.prepare(check).iterate()) {
        found++
        if (problems.length < PROBLEMS_MAX) problems.push(String(Object.values(row)[0]))
      }
    }
    if (found > PROBLEMS_MAX) problems.push(`And ${found - PROBLEMS_MAX} more.`)
    const count = (table: string) => Number(database.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.n)
    return { ok: found === 0, transfers: count('transfers'), settlements: count('usage'), problems }
  } finally {
    database.exec('ROLLBACK')
  }
}
