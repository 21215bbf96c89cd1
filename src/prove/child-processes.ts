import { type ChildProcess, spawn } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ProofError } from './proof-error.ts'

/** Longest wait for a child to say that it is ready, and for one that was told to stop. */
const READY_MS_MAX = 60_000
const STOP_MS_MAX = 30_000
/** Of what a child writes, so much of the end is kept for an error's message. */
const OUTPUT_CHARS_MAX = 8_192
/** The machine's settings for Headrace and for Node are not for these processes. */
const ENV_LEFT_OUT = /^(HEADRACE|NODE)_/

/** One child process. */
export interface Child {
  readonly pid: number
  /** The JSON document that it began with. */
  readonly ready: unknown
  /** The end of what it wrote to standard error. */
  log(): string
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals | null>
  /** `kill -9`; resolves when it is gone. */
  kill(): Promise<void>
  /** Asks it to stop, and answers its exit code; kills it when it takes too long. */
  stop(): Promise<number | NodeJS.Signals | null>
}

/** The processes of a run. Whatever happens, each of them ends by its own id, in `killAll` or with this process. */
export class ChildProcesses {
  readonly #running = new Set<ChildProcess>()
  #isClosed = false
  readonly #killAtExit = () => {
    for (const child of this.#running) child.kill('SIGKILL')
  }

  constructor() {
    process.on('exit', this.#killAtExit)
  }

  /**
   * Starts a program of this installation and waits for the JSON document that it prints first; lines after that go to `onLine`.
   *
   * @throws ProofError when it ends or stays silent instead.
   */
  async start(
    name: string,
    file: string,
    args: readonly string[],
    onLine: (line: string) => void = () => {},
  ): Promise<Child> {
    if (this.#isClosed) throw new ProofError(`${name} was not started: the proof is over.`, '')
    const leash = new URL(`./leash${extname(import.meta.url)}`, import.meta.url)
    const child = spawn(process.execPath, ['--import', leash.href, file, ...args], {
      env: Object.fromEntries(Object.entries(process.env).filter(([variable]) => !ENV_LEFT_OUT.test(variable))),
      stdio: ['pipe', 'pipe', 'pipe'],
      // Ctrl-C is for the parent, which then ends its children in order.
      detached: process.platform !== 'win32',
    })
    this.#running.add(child)
    let log = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-OUTPUT_CHARS_MAX)
    })
    const ended = new Promise<number | NodeJS.Signals | null>(resolve => {
      child.once('error', error => {
        log += error.message
        this.#running.delete(child)
        resolve(null)
      })
      child.once('close', (code, signal) => {
        this.#running.delete(child)
        resolve(code ?? signal)
      })
    })
    // A child that dies while it is being told of its end is no error.
    child.stdin.on('error', () => {})
    const said = readOutput(child, onLine)
    const early = ended.then(how => {
      throw new ProofError(`${name} ended with ${how} before it was ready.${tail(log)}`, 'Run: npx headrace doctor')
    })
    early.catch(() => {})
    const ready = await within(READY_MS_MAX, Promise.race([said, early]), () => {
      child.kill('SIGKILL')
      return new ProofError(
        `${name} was not ready within ${READY_MS_MAX / 1000} s.${tail(log)}`,
        'Run it again when the machine has less to do.',
      )
    })
    return {
      pid: child.pid as number,
      ready,
      log: () => log,
      ended,
      async kill() {
        child.kill('SIGKILL')
        await ended
      },
      async stop() {
        child.kill('SIGTERM')
        const force = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX)
        const how = await ended
        clearTimeout(force)
        return how
      },
    }
  }

  /** Kills all that still run, waits until they are gone, and starts none any more. */
  async killAll(): Promise<void> {
    this.#isClosed = true
    const gone = [...this.#running].map(child => new Promise<void>(resolve => child.once('close', () => resolve())))
    this.#killAtExit()
    await Promise.all(gone)
    process.off('exit', this.#killAtExit)
  }
}

/** A program beside this file. */
export function besideThis(name: string): string {
  return fileURLToPath(new URL(`./${name}${extname(import.meta.url)}`, import.meta.url))
}

/** Resolves with the document that a child begins with; hands on each line after it. */
function readOutput(child: ChildProcess, onLine: (line: string) => void): Promise<unknown> {
  let text = ''
  let isReady = false
  return new Promise(resolve => {
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      if (!isReady) {
        const document = documentIn(text)
        if (document === undefined) return
        isReady = true
        resolve(document.value)
        text = document.rest
      }
      const lines = text.split('\n')
      text = lines.pop() ?? ''
      for (const line of lines) onLine(line)
    })
  })
}

function documentIn(text: string): { value: unknown; rest: string } | undefined {
  for (let end = text.indexOf('}\n'); end !== -1; end = text.indexOf('}\n', end + 1)) {
    try {
      return { value: JSON.parse(text.slice(0, end + 1)), rest: text.slice(end + 2) }
    } catch {
      // A brace inside the document; its end is yet to come.
    }
  }
  return undefined
}

/** The promise's result, or the error when that takes too long. */
export async function within<Result>(waitMs: number, promise: Promise<Result>, late: () => Error): Promise<Result> {
  let timer: NodeJS.Timeout | undefined
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), waitMs)
  })
  try {
    return await Promise.race([promise, tooLate])
  } finally {
    clearTimeout(timer)
  }
}

function tail(log: string): string {
  return log.trim() === '' ? '' : ` It wrote:\n${log.trim().slice(-2000)}`
}
