import { chmodSync, closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { MIGRATIONS, type Migration } from './migrations.ts'

/** The database was written by a newer version of the program. */
export class NewerSchemaError extends Error {
  override name = 'NewerSchemaError'
}

/**
 * Opens the database for writing: WAL, every commit on disk before it returns; its files are for their owner alone. Migrations that are due run now, each in a
 * transaction; a database that is not new is copied beside itself first.
 *
 * @throws NewerSchemaError when the schema is beyond what this version knows.
 */
export function openForWriting(path: string, pagesMax?: number): DatabaseSync {
  keepPrivate(path)
  const database = new DatabaseSync(path)
  // The write-ahead log is carried over into the database every 1,000 pages, after a commit; one that grew beyond 64 MiB, because
  // a long query kept it from starting over, is cut back then.
  database.exec(
    `PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
     PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 1000; PRAGMA journal_size_limit = 67108864`,
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

/**
 * Brings a database up to the last of the migrations, each in a transaction of its own. The copy made before the first one lies
 * beside the database as `<path>.before-<version>`, and is whole: it gets its name once it is on disk. Without a path none is made, for a
 * database that is a copy itself.
 *
 * @throws NewerSchemaError when the schema is beyond the last migration.
 */
export function migrate(
  database: DatabaseSync,
  path: string | null,
  migrations: readonly Migration[] = MIGRATIONS,
): void {
  const version = Number(database.prepare('PRAGMA user_version').get()?.user_version)
  if (version > migrations.length) {
    throw new NewerSchemaError(
      `${path ?? 'The copy'} has schema ${version}; this version of Headrace knows up to ${migrations.length}. Use the newer version, or restore a backup.`,
    )
  }
  if (version === migrations.length) return
  if (version > 0 && path !== null) backUp(database, `${path}.before-${version + 1}`)
  for (const [i, { name, sql, run }] of migrations.entries()) {
    if (i < version) continue
    try {
      database.exec(`BEGIN IMMEDIATE; ${sql}`)
      run?.(database)
      database.exec(`PRAGMA user_version = ${i + 1}; COMMIT`)
    } catch (cause) {
      if (database.isTransaction) database.exec('ROLLBACK')
      throw new Error(
        `Migration ${i + 1} (${name}) of ${path ?? 'a copy'} failed, and nothing of it was kept: ${(cause as Error).message}`,
        { cause },
      )
    }
  }
}

function backUp(database: DatabaseSync, backupPath: string): void {
  // A copy of this name was made before the same migration failed, from the same schema; requests may have settled since.
  const unfinished = `${backupPath}.unfinished`
  rmSync(unfinished, { force: true })
  keepPrivate(unfinished)
  database.prepare('VACUUM INTO ?').run(unfinished)
  const file = openSync(unfinished, 'r+')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(unfinished, backupPath)
}

// SQLite gives its log and index files the mode of the database. A file that is there is changed by its path: to open and close it
// would drop the locks that this process may have on it.
function keepPrivate(path: string): void {
  if (existsSync(path)) chmodSync(path, 0o600)
  else closeSync(openSync(path, 'a', 0o600))
}
