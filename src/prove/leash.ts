import { isMainThread } from 'node:worker_threads'

/**
 * Loaded ahead of a child's own program. A child whose parent is gone, however that ended, ends too: its standard input is a pipe
 * that the parent holds, and never writes to.
 */
if (isMainThread) {
  process.stdin.on('close', () => process.kill(process.pid, 'SIGKILL')).resume()
  // A pipe is a socket, and does not have to keep a program alive that has nothing else to do.
  ;(process.stdin as { unref?: () => void }).unref?.()
}
