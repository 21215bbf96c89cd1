import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { BACKUP_DATABASE, BACKUP_PEPPER, copySecret, syncFile, syncFolder } from './backup.ts'
import { BackupError, type CopyCheck, checkCopy, removeDatabase } from './check-copy.ts'
import { acquireHomeLock } from './home-lock.ts'

/** What is in the database that was replaced and not in the backup. */
export interface Loss {
  readonly settlements: number
  /** What they were charged, nanodollars. */
  readonly chargeNanodollars: bigint
  /** Credit, grants, refunds and the like. */
  readonly transfers: number
}

/** A backup that was put in place. */
export interface Restored extends CopyCheck {
  /** Where the database that was there is now; null when there was none. */
  readonly replacedPath: string | null
  /** Null when nothing was replaced, or the two could not be compared. */
  readonly loss: Loss | null
  /**
   * `restored`: from the backup; the one that was there, if another, is kept beside. `kept`: the backup has none, the home's stays.
   * `none`: neither has one, so that no API key in the backup works.
   */
  readonly pepper: 'restored' | 'kept' | 'none'
}

/**
 * Puts a backup in place of a home's database, under the home's lock. The backup is copied into the home and checked there first; then
 * it takes the name in one step, so that there is a database at every instant. What was there stays beside it as
 * `headrace.db.replaced-<time>`.
 *
 * @param source a file, or the folder of a whole backup.
 * @throws HomeLockedError while another process is on the home; BackupError when the backup is damaged or does not balance;
 * NewerSchemaError when a newer version wrote it. Then nothing was changed.
 */
export function restore(source: string, home: string, nowMs: number): Restored {
  const isFolder = existsSync(source) && statSync(source).isDirectory()
  const from = isFolder ? join(source, BACKUP_DATABASE) : source
  if (!existsSync(from)) throw new BackupError(`There is no backup at ${from}.`)
  if (existsSync(`${from}-wal`) && statSync(`${from}-wal`).size > 0)
    throw new BackupError(
      `${from} is a database in use, not a backup: ${from}-wal lies beside it. Make one: headrace backup.`,
    )
  mkdirSync(home, { recursive: true, mode: 0o700 })
  const lock = acquireHomeLock(home)
  try {
    return underLock(from, isFolder ? join(source, BACKUP_PEPPER) : null, home, nowMs)
  } finally {
    lock.release()
  }
}

function underLock(from: string, pepperFrom: string | null, home: string, nowMs: number): Restored {
  const path = join(home, 'headrace.db')
  const restoring = `${path}.restoring`
  const suffix = `.replaced-${new Date(nowMs).toISOString().replace(/[:.]/g, '-')}`
  removeDatabase(restoring)
  try {
    copyFileSync(from, restoring)
    chmodSync(restoring, 0o600)
    syncFile(restoring)
    const check = checkCopy(restoring, `${restoring}.checking`)
    if (!check.verification.ok) {
      throw new BackupError(
        `The books in ${from} do not balance; nothing was changed.\n${check.verification.problems.join('\n')}`,
      )
    }
    const replaced = existsSync(path)
      ? { replacedPath: `${path}${suffix}`, loss: keepOld(path, restoring, suffix) }
      : null
    removeLog(path)
    renameSync(restoring, path)
    const pepper = restorePepper(pepperFrom, join(home, BACKUP_PEPPER), suffix)
    syncFolder(home)
    return { ...check, replacedPath: replaced?.replacedPath ?? null, loss: replaced?.loss ?? null, pepper }
  } finally {
    removeDatabase(restoring)
  }
}

// Keeps the old database under another name beside its own, where it stays until the new one takes it.
function keepOld(path: string, restoring: string, suffix: string): Loss | null {
  const loss = compareAndFold(path, restoring)
  try {
    linkSync(path, `${path}${suffix}`)
  } catch {
    // No links on this file system.
    copyFileSync(path, `${path}${suffix}`)
    syncFile(`${path}${suffix}`)
  }
  // Only where the log could not be carried over, as the database is damaged: it stays with its database.
  if (existsSync(`${path}-wal`)) renameSync(`${path}-wal`, `${path}${suffix}-wal`)
  return loss
}

// What the old database has beyond the backup. Closing it carries its log over into it.
function compareAndFold(path: string, restoring: string): Loss | null {
  // Opened, what is no database would take its log with it.
  if (!isDatabase(path)) return null
  const database = new DatabaseSync(path)
  try {
    database.prepare('ATTACH ? AS backup').run(restoring)
    const settlements = database.prepare(
      `SELECT count(*) AS n, sum(charge / 1000000000) AS whole, sum(charge % 1000000000) AS rest FROM main.usage u
       WHERE NOT EXISTS (SELECT 1 FROM backup.usage b WHERE b.request_id = u.request_id)`,
    )
    settlements.setReadBigInts(true)
    const { n, whole, rest } = settlements.get() as { n: bigint; whole: bigint | null; rest: bigint | null }
    const transfers = database
      .prepare(
        `SELECT count(*) AS n FROM main.posted_transfers WHERE kind <> 'closing' AND id NOT IN (SELECT id FROM backup.posted_transfers)`,
      )
      .get()
    const chargeNanodollars = (whole ?? 0n) * 1_000_000_000n + (rest ?? 0n)
    return { settlements: Number(n), chargeNanodollars, transfers: Number(transfers?.n) }
  } catch {
    // Damaged, or of another schema: perhaps the reason why it is replaced.
    return null
  } finally {
    database.close()
  }
}

// The header of the file format, sqlite.org/fileformat2.html.
function isDatabase(path: string): boolean {
  const header = Buffer.alloc(16)
  const file = openSync(path, 'r')
  try {
    readSync(file, header, 0, header.length, 0)
  } finally {
    closeSync(file)
  }
  return header.toString('latin1') === 'SQLite format 3\0'
}

// A log that belongs to another database would be carried over into the new one.
function removeLog(path: string): void {
  for (const suffix of ['-wal', '-shm', '-journal']) rmSync(`${path}${suffix}`, { force: true })
}

function restorePepper(from: string | null, to: string, suffix: string): Restored['pepper'] {
  if (from === null || !existsSync(from)) return existsSync(to) ? 'kept' : 'none'
  if (existsSync(to)) {
    if (readFileSync(to, 'utf8') === readFileSync(from, 'utf8')) return 'restored'
    renameSync(to, `${to}${suffix}`)
  }
  copySecret(from, to)
  return 'restored'
}
