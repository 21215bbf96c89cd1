import type { DatabaseSync } from 'node:sqlite'
import { createPartition, createViews, monthOf } from './usage-partitions.ts'

/** How the columns of the one table of old become the integer `facts`; see `settlement-row.ts` for its bits. */
const FACTS = `input_source | (cached_source << 2) | (written_source << 4) | (output_source << 6) | (reasoning_source << 8) | (stream << 10)
  | (protocol << 11) | (CASE ending WHEN 'completed' THEN 0 WHEN 'cancelled' THEN 1 WHEN 'timed_out' THEN 2 WHEN 'aborted' THEN 3
  WHEN 'failed' THEN 4 WHEN 'exhausted' THEN 5 ELSE 6 END << 15) | (min(attempts, 255) << 22)`

/**
 * Moves the usage rows from one table to a table a month, where they stand for the transfers of their charges as well.
 *
 * @throws Error when a charge and its transfer do not agree: then neither may be thrown away.
 */
export function moveUsageByMonth(database: DatabaseSync): void {
  const [first] = database
    .prepare(
      `SELECT u.request_id FROM old_usage u LEFT JOIN old_transfers c ON c.id = u.request_id || ':charge'
       LEFT JOIN old_transfers o ON o.id = u.request_id || ':overrun'
       WHERE u.charge <> coalesce(c.nanodollars, 0) OR u.overrun <> coalesce(o.nanodollars, 0) LIMIT 1`,
    )
    .all()
  const count = (table: string, where: string) =>
    Number(database.prepare(`SELECT count(*) AS n FROM ${table} WHERE ${where}`).get()?.n)
  const moved = count('old_usage', 'charge > 0') + count('old_usage', 'overrun > 0')
  if (first !== undefined || count('old_transfers', "kind <> 'credit'") !== moved) {
    throw new Error(
      `the charges and their transfers do not agree${first === undefined ? '' : ` (${first.request_id})`}; "headrace ledger verify" of the version before tells how`,
    )
  }
  const months = database.prepare(
    "SELECT DISTINCT strftime('%Y-%m', settled_ms / 1000, 'unixepoch') AS month FROM old_usage ORDER BY month",
  )
  for (const { month } of months.all()) {
    const { name, fromMs, toMs } = monthOf(Date.parse(`${month}-01T00:00:00Z`))
    createPartition(database, { name, fromMs, toMs })
    database
      .prepare(
        `INSERT INTO usage_${name} SELECT u.request_id, a.n, u.org, u.key, u.model, u.upstream, u.price, NULL, ${FACTS}, u.input, u.cached, u.written,
         u.output, u.reasoning, u.charge, u.overrun, u.held, NULL, u.admitted_ms, u.settled_ms, u.ttft_us, u.duration_us, NULL
         FROM old_usage u JOIN names o ON o.n = u.org JOIN names a ON a.name = 'org:' || o.name WHERE u.settled_ms >= ? AND u.settled_ms < ?`,
      )
      .run(fromMs, toMs)
  }
  createViews(database)
  database.exec('DROP TABLE old_usage; DROP TABLE old_transfers')
}
