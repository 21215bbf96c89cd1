import { statfs as nodeStatfs } from 'node:fs/promises'
import { ModelError } from './model-error.ts'

/** What is asked of a file system: blocks free for us, and bytes per block. */
export type Statfs = (path: string) => Promise<{ readonly bavail: number; readonly bsize: number }>

// The database shares the disk, and a settlement that cannot be written stops the service.
const RESERVE_BYTES = 256 * 1024 * 1024

/** Refuses work for which the disk has no room, with numbers. A disk filled all the same ends as `no_space` too. */
export async function requireSpace(folder: string, bytesNeeded: number, statfs: Statfs = nodeStatfs): Promise<void> {
  const { bavail, bsize } = await statfs(folder)
  const bytesFree = bavail * bsize
  if (bytesFree >= bytesNeeded + RESERVE_BYTES) return
  throw new ModelError(
    'no_space',
    `the disk of ${folder} has ${formatBytes(bytesFree)} free; ${formatBytes(bytesNeeded)} are needed and ` +
      `${formatBytes(RESERVE_BYTES)} stay in reserve for the ledger. Free some space, or move the home (HEADRACE_HOME)`,
  )
}

/** The error for a write that the disk refused; other errors come back unchanged. */
export function asSpaceError(error: unknown, folder: string): unknown {
  const code = (error as NodeJS.ErrnoException | null)?.code
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error
  return new ModelError(
    'no_space',
    `the disk of ${folder} became full; free some space and repeat, what was fetched is kept`,
    error,
  )
}

/** Bytes for people, in powers of 1,000 as disks and registries count them. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}
