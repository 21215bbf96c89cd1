import { copyFileSync, existsSync, rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { MIGRATIONS } from './migrations.ts'
import { migrate, NewerSchemaError, openForReading } from './open-database.ts'
import { type Verification, verify } from './verify.ts'

/** The file is no backup that can be used; the message says why. */
export class BackupError extends Error {
  override name = 'BackupError'
}

/** What a copy of the database holds, and whether its books balance. */
export interface CopyCheck {
  /** The schema that it was written with; older ones are brought up to date when a server opens it. */
  readonly schema: number
  readonly verification: Verification
  /** The last request in it; null when there is none. */
  readonly newest: { readonly requestId: string; readonly settledMs: number } | null
}

/**
 * Checks a copy of the database as `headrace ledger verify` checks the books. A copy of an older schema is checked as it will be once it
 * is up to date: on a copy of its own at `scratchPath`, so that the file itself is not changed.
 *
 * @throws BackupError when the file is no database of Headrace; NewerSchemaError when a newer version wrote it.
 */
export function checkCopy(path: string, scratchPath: string): CopyCheck {
  const schema = schemaOf(path)
  if (schema > MIGRATIONS.length) {
    throw new NewerSchemaError(
      `${path} has schema ${schema}; this version of Headrace knows up to ${MIGRATIONS.length}. Use the newer version.`,
    )
  }
  if (schema === MIGRATIONS.length) return { schema, ...inspect(path) }
  try {
    copyFileSync(path, scratchPath)
    const database = new DatabaseSync(scratchPath)
    try {
      migrate(database, null)
    } finally {
      database.close()
    }
    return { schema, ...inspect(scratchPath) }
  } catch (cause) {
    throw new BackupError(`${path} cannot be brought up to date: ${(cause as Error).message}`, { cause })
  } finally {
    removeDatabase(scratchPath)
  }
}

/** Removes a database and the files that SQLite keeps beside it. */
export function removeDatabase(path: string): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(`${path}${suffix}`, { force: true })
}

function inspect(path: string): Omit<CopyCheck, 'schema'> {
  const database = openForReading(path)
  try {
    const verification = verify(database)
    let newest: CopyCheck['newest'] = null
    try {
      const row = database.prepare('SELECT request_id, settled_ms FROM usage ORDER BY settled_ms DESC LIMIT 1').get()
      if (row !== undefined) newest = { requestId: String(row.request_id), settledMs: Number(row.settled_ms) }
    } catch {
      // A damaged page; the verification has said so.
    }
    return { verification, newest }
  } finally {
    database.close()
  }
}

function schemaOf(path: string): number {
  if (!existsSync(path)) throw new BackupError(`There is no file ${path}.`)
  let schema: number
  try {
    const database = openForReading(path)
    try {
      schema = Number(database.prepare('PRAGMA user_version').get()?.user_version)
    } finally {
      database.close()
    }
  } catch (cause) {
    throw new BackupError(`${path} is damaged, or no database of Headrace: ${(cause as Error).message}.`, { cause })
  }
  if (schema === 0) throw new BackupError(`${path} is no database of Headrace.`)
  return schema
}
