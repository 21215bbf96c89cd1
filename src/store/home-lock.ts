import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { isBusy } from './sqlite-failure.ts'

/** Another process works on the home. The message says which. */
export class HomeLockedError extends Error {
  override name = 'HomeLockedError'
}

/** The right to be the only process on a home. */
export interface HomeLock {
  release(): void
}

/**
 * Takes the home for this process alone. The lock is SQLite's exclusive lock on a file of its own, which the operating system
 * releases when the process dies, however it dies; there is no stale lock to clean up.
 *
 * @throws HomeLockedError when another process has it, or another lock of this one.
 */
export function acquireHomeLock(home: string): HomeLock {
  const holderPath = join(home, 'lock.json')
  const lockPath = join(home, 'lock')
  const database = openLock(lockPath)
  try {
    // Without a rollback journal: a lock needs no durability, and a journal file would outlive a killed process.
    database.exec('PRAGMA busy_timeout = 0; PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE')
    // By its path: to open and close the file would drop the lock.
    chmodSync(lockPath, 0o600)
  } catch (cause) {
    database.close()
    if (!isBusy(cause))
      throw new Error(
        `${lockPath} cannot be locked: ${(cause as Error).message}. If it is no lock of Headrace, remove it.`,
        {
          cause,
        },
      )
    throw new HomeLockedError(
      `The home ${home} is in use by another process${describeHolder(holderPath)}. Stop it, or use another home (--home).`,
      { cause },
    )
  }
  writeFileSync(holderPath, `${JSON.stringify({ pid: process.pid, since: new Date().toISOString() })}\n`, {
    mode: 0o600,
  })
  return {
    release() {
      rmSync(holderPath, { force: true })
      database.close()
    },
  }
}

function openLock(path: string): DatabaseSync {
  try {
    return new DatabaseSync(path)
  } catch (cause) {
    throw new Error(`${path} cannot be opened: ${(cause as Error).message}. Check that the home exists and is yours.`, {
      cause,
    })
  }
}

function describeHolder(path: string): string {
  try {
    const { pid, since } = JSON.parse(readFileSync(path, 'utf8'))
    return ` (process ${pid}, since ${since})`
  } catch {
    return ''
  }
}
