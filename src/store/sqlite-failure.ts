import type { WorkerFailure } from './messages.ts'
import { StoreRefused } from './refusal.ts'

/** SQLite's primary result codes (sqlite.org/rescode.html); an extended code carries its primary one in the low byte. */
const KINDS: Readonly<Record<number, WorkerFailure['kind']>> = {
  // BUSY, LOCKED
  5: 'busy',
  6: 'busy',
  // READONLY (the file was moved or replaced under us, too), IOERR, CORRUPT, CANTOPEN, NOTADB
  8: 'io',
  10: 'io',
  11: 'io',
  14: 'io',
  26: 'io',
  // FULL
  13: 'full',
  // TOOBIG, CONSTRAINT, MISMATCH
  18: 'refused',
  19: 'refused',
  20: 'refused',
}
/** SQLITE_IOERR_SHMSIZE: the log's index could not grow. A full disk may show there first, before anything was written. */
const IOERR_SHMSIZE = 4874

/** An error of SQLite as it travels between threads. */
export function failureOf(error: unknown): WorkerFailure {
  const { message, errcode, code } = error as { message: string; errcode?: number; code?: string }
  if (errcode === IOERR_SHMSIZE) return { message, kind: 'full' }
  if (error instanceof StoreRefused) return { message, kind: 'refused' }
  if (errcode !== undefined) return { message, kind: KINDS[errcode & 0xff] ?? 'other' }
  // The binding refuses an integer beyond 64 bits before SQLite sees it.
  return { message, kind: code === 'ERR_INVALID_ARG_VALUE' ? 'refused' : 'other' }
}

/** Whether a row broke a rule of the schema, or of ours. */
export function isRefusal(error: unknown): boolean {
  return failureOf(error).kind === 'refused'
}

/** Whether another connection has the lock. */
export function isBusy(error: unknown): boolean {
  return failureOf(error).kind === 'busy'
}
