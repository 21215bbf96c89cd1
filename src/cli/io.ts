import { readFileSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import type { Config } from '../config/schema.ts'
import { type ControlChannel, openControlChannel } from './control-connection.ts'
import type { Composition } from './serve-types.ts'

/** A stream that text is written to. */
export interface TextOut {
  write(text: string): unknown
  readonly isTTY?: boolean
  /** Width of the terminal. */
  readonly columns?: number
}

/** A file that is being written. It takes its name when it is whole: a command that fails leaves nothing behind. */
export interface FileOut {
  write(chunk: string | Uint8Array): Promise<void>
  /** Puts the file in its place; the one that was there before goes. */
  finish(): Promise<void>
  /** Removes what was written. */
  abandon(): Promise<void>
}

/** Everything that a command touches outside itself, handed in so that tests can stand in for it. */
export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly userHome: string
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean }
  readonly stdout: TextOut
  readonly stderr: TextOut
  nowMs(): number
  monotonicMs(): number
  /** The text of a file, null when there is none. */
  readFile(path: string): string | null
  /** Begins a file that only its owner can read. */
  createFile(path: string): Promise<FileOut>
  /** Calls the control plane: of the server that runs on the home, else in this process. */
  openControl(config: Config, mode: ControlMode): Promise<ControlChannel>
  /** The parts of the program that serve and store. */
  compose(): Promise<Composition>
  /** Calls the listener on Ctrl-C and the like, instead of ending; the result gives the signals back. */
  onSignal(listener: (signal: NodeJS.Signals) => void): () => void
}

/** `server`: only a running server will do. `any`: the home must exist. `create`: the home may be created. */
export type ControlMode = 'server' | 'any' | 'create'

const SIGNALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP']

/** This process. */
export function processIo(): Io {
  const compose = () => import('../compose/compose.ts')
  return {
    env: process.env,
    cwd: process.cwd(),
    userHome: homedir(),
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    readFile,
    createFile,
    openControl: (config, mode) => openControlChannel(config, mode, compose),
    compose,
    onSignal(listener) {
      for (const signal of SIGNALS) process.on(signal, listener)
      return () => {
        for (const signal of SIGNALS) process.off(signal, listener)
      }
    },
  }
}

function readFile(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

async function createFile(path: string): Promise<FileOut> {
  const unfinished = `${path}.unfinished`
  const handle = await open(unfinished, 'w', 0o600)
  return {
    async write(chunk) {
      await handle.writeFile(chunk)
    },
    async finish() {
      await handle.sync()
      await handle.close()
      await rename(unfinished, path)
    },
    async abandon() {
      await handle.close()
      await rm(unfinished, { force: true })
    },
  }
}
