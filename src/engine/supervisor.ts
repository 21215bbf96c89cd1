import { type ChildProcess, fork } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FromChild, ToChild } from './messages.ts'

/** Characters of the child's output that are kept for error messages. */
const TAIL_CHARS_MAX = 16_384
/** How long a child may take to go on its own before it is killed. */
const LEAVE_MS_MAX = 2_000

/**
 * Variables that a child inherits. Everything else stays with the parent: secrets above all, and `NODE_OPTIONS`, which
 * would make a child a debugger's or a test runner's.
 */
const ENV_KEPT =
  /^(PATH|HOME|TMPDIR|TEMP|TMP|LANG|LC_.*|LD_LIBRARY_PATH|SystemRoot|CUDA_.*|GGML_.*|LLAMA_.*|OMP_.*|VK_.*)$/

/** How a child ended. */
export interface ChildExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** One life of one child process. */
export interface Child {
  readonly pid: number | undefined
  send(message: ToChild): void
  /** The last of what the child and the native library wrote. */
  tail(): string
  /** Asks the child to go, kills it when it does not; resolves when it is gone. */
  stop(): Promise<void>
}

/** Starts the child's program. `onExit` is called once, whatever ended it; nothing is called after it. */
export function spawnChild(handlers: { onMessage(message: FromChild): void; onExit(exit: ChildExit): void }): Child {
  const entry = new URL(`./child${extname(import.meta.url)}`, import.meta.url)
  const child: ChildProcess = fork(fileURLToPath(entry), [], {
    // JSON is the cheaper of the two for small messages, and ours carry nothing that JSON cannot.
    serialization: 'json',
    execArgv: [],
    env: Object.fromEntries(Object.entries(process.env).filter(([name]) => ENV_KEPT.test(name))),
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  let tail = ''
  let gone = false
  const exited = new Promise<void>(resolve => {
    const leave = (exit: ChildExit): void => {
      if (gone) return
      gone = true
      handlers.onExit(exit)
      resolve()
    }
    child.once('exit', (code, signal) => leave({ code, signal }))
    // Emitted instead of `exit` when the process could not be started at all.
    child.once('error', error => {
      tail += error.message
      if (child.pid === undefined) leave({ code: null, signal: null })
    })
  })
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8')
    stream?.on('data', (text: string) => {
      tail = (tail + text).slice(-TAIL_CHARS_MAX)
    })
  }
  child.on('message', message => {
    if (!gone) handlers.onMessage(message as FromChild)
  })
  return {
    pid: child.pid,
    send(message) {
      // A channel that broke is followed by the exit, which tells everyone.
      if (child.connected) child.send(message, () => {})
    },
    tail: () => tail,
    async stop() {
      if (gone) return
      if (child.connected) child.disconnect()
      const timer = setTimeout(() => child.kill('SIGKILL'), LEAVE_MS_MAX)
      await exited
      clearTimeout(timer)
    },
  }
}
