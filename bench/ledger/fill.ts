import { openForWriting } from '../../src/store/open-database.ts'
import { createPartition, monthOf } from '../../src/store/usage-partitions.ts'

/** Rows of one transaction. */
const ROWS_AT_ONCE = 500_000

/** Puts so many usage rows into a new database, of the month before the running one and of the running one, half each. */
export function fill(path: string, rows: number, nowMs: number): void {
  const database = openForWriting(path)
  database.exec('PRAGMA synchronous = OFF')
  const month = monthOf(nowMs)
  const months = [monthOf(month.fromMs - 1), month]
  for (const { name, fromMs } of months) {
    database.exec('BEGIN')
    createPartition(database, { name, fromMs, toMs: fromMs })
    database.exec('COMMIT')
    for (let done = 0; done < rows / 2; done += ROWS_AT_ONCE) {
      const count = Math.min(ROWS_AT_ONCE, Math.ceil(rows / 2) - done)
      // Ids sort before those of requests made now, as old ones do.
      database
        .prepare(
          `INSERT INTO usage_${name} WITH RECURSIVE n (i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i < ?)
           SELECT printf('req_00%024d', i), 1, 2, 1000 + i % 1000, 3, 4, 5, NULL, 4194369, 20, 4, 0, 16, 0, 62800, 0, 100000, NULL,
           ? + i, ? + i, 1500, 2500, NULL FROM n`,
        )
        .run(done, done + count - 1, fromMs, fromMs)
    }
  }
  database.exec('PRAGMA synchronous = FULL; PRAGMA wal_checkpoint(TRUNCATE)')
  database.close()
}
