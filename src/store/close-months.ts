import type { DatabaseSync } from 'node:sqlite'
import { OVERRUN, REVENUE } from '../ledger/account.ts'
import type { Names } from './names.ts'
import { createViews, listMonths } from './usage-partitions.ts'

const HOUR_MS = 3_600_000
const POSTED_COLUMNS = 'id, debit, credit, nanodollars, kind, request_id, at_ms, memo'

/**
 * Drops the usage rows of every month that ended at the latest at `beforeMs`, oldest first, each in one transaction. What all charges of
 * a month were is carried over by one transfer for each org (`closing:2026_10:<org>:<when>`), so that balances go on following from the
 * transfers; the hourly sums stay. Answers the months dropped, such as `2026_10`.
 */
export function closeMonths(database: DatabaseSync, names: Names, beforeMs: number, nowMs: number): string[] {
  const due = listMonths(database).filter(month => month.toMs <= beforeMs)
  for (const { name, fromMs, toMs } of due) {
    database.exec('BEGIN IMMEDIATE')
    try {
      const transfer = database.prepare(
        `INSERT INTO posted_transfers (${POSTED_COLUMNS}) SELECT 'closing:${name}:' || substr(n.name, 5) || ':${nowMs}', u.account, ?, sum(u.charge), 'closing', NULL, ?, NULL
         FROM usage_${name} u JOIN names n ON n.n = u.account WHERE u.charge > 0 GROUP BY u.account`,
      )
      transfer.run(names.number(REVENUE), toMs)
      database
        .prepare(
          `INSERT INTO posted_transfers (${POSTED_COLUMNS}) SELECT 'closing:${name}:${nowMs}:overrun', ?, ?, sum(overrun), 'closing', NULL, ?, NULL
           FROM usage_${name} HAVING sum(overrun) > 0`,
        )
        .run(names.number(OVERRUN), names.number(REVENUE), toMs)
      database
        .prepare(`INSERT INTO closed_months SELECT ?, ?, ?, count(*), ? FROM usage_${name} WHERE true
           ON CONFLICT DO UPDATE SET requests = requests + excluded.requests`)
        .run(name, fromMs / HOUR_MS, toMs / HOUR_MS, nowMs)
      database.exec(
        `INSERT INTO closed_token_charges SELECT '${name}', token, sum(charge) FROM usage_${name} WHERE token IS NOT NULL AND charge > 0 GROUP BY token
         ON CONFLICT DO UPDATE SET nanodollars = nanodollars + excluded.nanodollars`,
      )
      // The views name the table, so they have to be made anew before it can go.
      database.exec('DROP VIEW usage; DROP VIEW transfers')
      database.exec(`DROP TABLE usage_${name}`)
      createViews(database)
      database.exec('COMMIT')
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK')
      names.forget()
      throw error
    }
  }
  return due.map(({ name }) => name)
}
