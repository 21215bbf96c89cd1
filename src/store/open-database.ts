import { existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { MIGRATIONS } from './migrations.ts'

/** The database was written by a newer version of the program. */
export class NewerSchemaError extends Error {
  override name = 'NewerSchemaError'
}

/**
 * Opens the database for writing: WAL, every commit on disk before it returns. Migrations that are due run now, each in a
 * transaction; a database that is not new is copied beside itself first (`<path>.before-<version>`).
 *
 * @throws NewerSchemaError when the schema is beyond what this version knows.
 */
export function openForWriting(path: string, pagesMax?: number): DatabaseSync {
  const database = new DatabaseSync(path)
  database.exec(
    'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000; PRAGMA cache_size = -16384',
  )
  migrate(database, path)
  if (pagesMax !== undefined) database.exec(`PRAGMA max_page_count = ${pagesMax}`)
  return database
}

/** A second connection that only reads, beside the one that writes. */
export function openForReading(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { readOnly: true })
  database.exec('PRAGMA busy_timeout = 5000')
  return database
}

function migrate(database: DatabaseSync, path: string): void {
  const version = Number(database.prepare('PRAGMA user_version').get()?.user_version)
  if (version > MIGRATIONS.length) {
    throw new NewerSchemaError(
      `${path} has schema ${version}; this version of Headrace knows up to ${MIGRATIONS.length}. Use the newer version, or restore a backup.`,
    )
  }
  if (version === MIGRATIONS.length) return
  const backup = `${path}.before-${version + 1}`
  if (version > 0 && !existsSync(backup)) database.prepare('VACUUM INTO ?').run(backup)
  for (const [i, { sql }] of MIGRATIONS.entries()) {
    if (i < version) continue
    database.exec(`BEGIN IMMEDIATE; ${sql}; PRAGMA user_version = ${i + 1}; COMMIT`)
  }
}
