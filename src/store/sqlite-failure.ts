import type { WorkerFailure } from './messages.ts'

/** SQLite's primary result codes (sqlite.org/rescode.html); an extended code carries its primary one in the low byte. */
const SQLITE_BUSY = 5
const SQLITE_IOERR = 10
const SQLITE_CORRUPT = 11
const SQLITE_FULL = 13
const SQLITE_CONSTRAINT = 19
const SQLITE_MISMATCH = 20
const SQLITE_NOTADB = 26

function primaryCode(error: unknown): number {
  const { errcode } = error as { errcode?: number }
  return errcode === undefined ? 0 : errcode & 0xff
}

/** Whether a row broke a rule of the schema. */
export function isRefusal(error: unknown): boolean {
  const code = primaryCode(error)
  return code === SQLITE_CONSTRAINT || code === SQLITE_MISMATCH
}

/** Whether another connection has the lock. */
export function isBusy(error: unknown): boolean {
  return primaryCode(error) === SQLITE_BUSY
}

/** An error of SQLite as it travels between threads. */
export function failureOf(error: unknown): WorkerFailure {
  const code = primaryCode(error)
  const lost = code === SQLITE_IOERR || code === SQLITE_CORRUPT || code === SQLITE_NOTADB
  const { message } = error as Error
  return { message, kind: code === SQLITE_FULL ? 'full' : lost ? 'io' : 'refused' }
}
