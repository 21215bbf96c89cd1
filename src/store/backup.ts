import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { BackupError, type CopyCheck, checkCopy, removeDatabase } from './check-copy.ts'
import { openForReading } from './open-database.ts'

/** Names in a whole backup, which is a folder. */
export const BACKUP_DATABASE = 'headrace.db'
export const BACKUP_PEPPER = 'pepper'

/** What to back up, and where to. */
export interface BackupRequest {
  readonly databasePath: string
  /** The file to be written; a folder when there is a pepper. Must not exist. */
  readonly target: string
  /** The secret that API keys are hashed with; null leaves it out. */
  readonly pepperPath: string | null
}

/** A backup that was made. */
export interface Backup extends CopyCheck {
  readonly path: string
  /** Of the database in it. */
  readonly bytes: number
}

/**
 * Copies the database while a server may write to it: a reading transaction sees one state, and with a write-ahead log nobody waits for it.
 * The copy is for its owner alone. It gets its name once it is on disk and its books were found to balance, so that a file of that
 * name is always a good one; a copy whose books do not balance is kept as `<target>.unsound`.
 *
 * @throws BackupError when there is nothing to copy, the target exists, or the books in the copy do not balance.
 */
export function backUp({ databasePath, target, pepperPath }: BackupRequest): Backup {
  if (!existsSync(databasePath))
    throw new BackupError(`There is no database at ${databasePath}; nothing was backed up.`)
  if (existsSync(target))
    throw new BackupError(`${target} exists already. Choose another name; a backup replaces nothing.`)
  if (!existsSync(dirname(target))) throw new BackupError(`There is no folder ${dirname(target)}. Create it first.`)
  const unfinished = `${target}.unfinished`
  rmSync(unfinished, { recursive: true, force: true })
  const isFolder = pepperPath !== null
  if (isFolder) mkdirSync(unfinished, { mode: 0o700 })
  const copy = isFolder ? join(unfinished, BACKUP_DATABASE) : unfinished
  try {
    copyDatabase(databasePath, copy)
    if (pepperPath !== null) copySecret(pepperPath, join(unfinished, BACKUP_PEPPER))
    const check = checkCopy(copy, `${copy}.checking`)
    const bytes = statSync(copy).size
    if (isFolder) syncFolder(unfinished)
    if (!check.verification.ok) {
      const unsound = `${target}.unsound`
      rmSync(unsound, { recursive: true, force: true })
      renameSync(unfinished, unsound)
      throw new BackupError(
        `The books in the copy do not balance; it is kept as ${unsound}.\n${check.verification.problems.join('\n')}`,
      )
    }
    renameSync(unfinished, target)
    syncFolder(dirname(target))
    return { ...check, path: target, bytes }
  } catch (error) {
    if (isFolder) rmSync(unfinished, { recursive: true, force: true })
    else removeDatabase(unfinished)
    throw error
  }
}

/** Copies a secret for its owner alone. */
export function copySecret(from: string, to: string): void {
  if (!existsSync(from)) throw new BackupError(`There is no ${from}, without which no API key works.`)
  copyFileSync(from, to)
  chmodSync(to, 0o600)
  syncFile(to)
}

/** Flushes a file to disk. */
export function syncFile(path: string): void {
  const file = openSync(path, 'r+')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** Flushes the names in a folder to disk, where the system can. */
export function syncFolder(path: string): void {
  if (process.platform === 'win32') return
  const folder = openSync(path, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

function copyDatabase(from: string, to: string): void {
  // Made before it is filled, so that it is never readable by others.
  closeSync(openSync(to, 'wx', 0o600))
  const database = openForReading(from)
  try {
    database.prepare('VACUUM INTO ?').run(to)
  } catch (cause) {
    throw new BackupError(`${from} cannot be copied to ${to}: ${(cause as Error).message}.`, { cause })
  } finally {
    database.close()
  }
  syncFile(to)
}
