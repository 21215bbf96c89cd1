import { mkdir, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { throwIfCancelled } from './model-error.ts'

const POLL_MS = 100
const HEARTBEAT_MS = 5_000
// A holder touches its lock every 5 s; one that was silent for a minute died, or its machine slept.
const SILENT_MS_MAX = 60_000

/** Ends of the work in this process, by lock; the next one waits for it. */
const inProcess = new Map<string, Promise<unknown>>()

/**
 * Runs `work` while no other caller, of this process or another on this machine, runs under the same lock file.
 * Waits for its turn. The file names the holder's process, so a lock left by a crash is taken over. Should two
 * processes ever take over the same dead lock in the same instant, both would work on one file, and the hash check
 * after the download would refuse the result: the lock saves work, the hash keeps it right.
 */
export async function withFileLock<T>(
  lockFile: string,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  const before = inProcess.get(lockFile) ?? Promise.resolve()
  const turn = unlessCancelled(before, signal).then(() => acquireAndRun(lockFile, signal, work))
  // A caller that gives up waiting must not let the next one in before the holder is done.
  const settled = Promise.allSettled([before, turn])
  inProcess.set(lockFile, settled)
  try {
    return await turn
  } finally {
    if (inProcess.get(lockFile) === settled) inProcess.delete(lockFile)
  }
}

/** Waits for a promise that cannot fail, or rejects once the signal fires. */
async function unlessCancelled(waited: Promise<unknown>, signal: AbortSignal | undefined): Promise<void> {
  throwIfCancelled(signal)
  if (signal === undefined) return void (await waited)
  const { promise, resolve } = Promise.withResolvers<void>()
  const wake = () => resolve()
  signal.addEventListener('abort', wake, { once: true })
  await Promise.race([waited, promise])
  signal.removeEventListener('abort', wake)
  throwIfCancelled(signal)
}

async function acquireAndRun<T>(lockFile: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  await mkdir(path.dirname(lockFile), { recursive: true })
  while (!(await tryAcquire(lockFile))) {
    throwIfCancelled(signal)
    await sleep(POLL_MS)
  }
  const heartbeat = setInterval(
    () => void utimes(lockFile, new Date(), new Date()).catch(() => undefined),
    HEARTBEAT_MS,
  )
  heartbeat.unref()
  try {
    throwIfCancelled(signal)
    return await work()
  } finally {
    clearInterval(heartbeat)
    await rm(lockFile, { force: true })
  }
}

async function tryAcquire(lockFile: string): Promise<boolean> {
  try {
    const handle = await open(lockFile, 'wx', 0o600)
    await handle.writeFile(String(process.pid))
    await handle.close()
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  if (await isDead(lockFile)) {
    // Only one of several waiters can move it away.
    const grave = `${lockFile}.${process.pid}`
    await rename(lockFile, grave).catch(() => undefined)
    await rm(grave, { force: true })
  }
  return false
}

async function isDead(lockFile: string): Promise<boolean> {
  try {
    const [holder, { mtimeMs }] = await Promise.all([readFile(lockFile, 'utf8'), stat(lockFile)])
    if (Date.now() - mtimeMs > SILENT_MS_MAX) return true
    const pid = Number(holder)
    // Empty: the holder is between creating the file and writing its number.
    if (!Number.isInteger(pid) || pid <= 0) return false
    // Our own callers wait in memory, so a file with our number is from an earlier process that had it.
    return pid === process.pid || !isRunning(pid)
  } catch {
    return false
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
