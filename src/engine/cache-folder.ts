import { createHash } from 'node:crypto'
import { existsSync, lstatSync, mkdirSync, rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'

const MEMORY_FOLDER = '/dev/shm'

/** Where saved prompt states go. */
export interface CacheFolder {
  readonly path: string
  /** Whether its files take memory rather than disk. */
  readonly inMemory: boolean
}

/**
 * A folder of this installation for prompt states: in memory where there is a memory-backed file system with twice the
 * room, else under `stateDir`. The name follows from `stateDir`, so the next start finds and wipes what a crash left.
 */
export function chooseCacheFolder(
  stateDir: string,
  bytesMax: number,
  memoryFolder: string = MEMORY_FOLDER,
): CacheFolder {
  const onDisk = { path: join(stateDir, 'prompt-cache'), inMemory: false }
  if (!existsSync(memoryFolder)) return onDisk
  try {
    const room = statfsSync(memoryFolder)
    if (room.bavail * room.bsize < 2 * bytesMax) return onDisk
    const uid = process.getuid?.() ?? 0
    const path = join(
      memoryFolder,
      `headrace-${uid}-${createHash('sha256').update(stateDir).digest('hex').slice(0, 16)}`,
    )
    // Anyone may create names in there: a folder that is not ours alone is not used.
    if (existsSync(path)) {
      const found = lstatSync(path)
      if (!found.isDirectory() || found.uid !== uid) return onDisk
    }
    return { path, inMemory: true }
  } catch {
    return onDisk
  }
}

/** Makes the folder empty and private. */
export function resetCacheFolder(folder: CacheFolder): void {
  wipeCacheFolder(folder)
  mkdirSync(folder.path, { recursive: true, mode: 0o700 })
}

/** Deletes the folder with all prompt states. */
export function wipeCacheFolder(folder: CacheFolder): void {
  rmSync(folder.path, { recursive: true, force: true })
}
