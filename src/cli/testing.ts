import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { createHarness, NOW_MS, OPERATOR_TOKEN } from '../control/testing.ts'
import { CliError, EXIT } from './cli-error.ts'
import type { Io } from './io.ts'
import { run } from './program.ts'
import type { Composition } from './serve-types.ts'
import { versionText } from './version-text.ts'

export { NOW_MS }

/** What a test gives instead of the machine. */
export interface Surroundings {
  readonly env?: Record<string, string>
  readonly stdin?: string
  readonly files?: Record<string, string>
  /** Width of the terminal; no terminal when unsaid. */
  readonly columns?: number
  /** The parts that the command under test needs. */
  readonly compose?: () => Promise<Partial<Composition>>
  /** No server runs on the home. */
  readonly noServer?: boolean
}

/** What a run of the command line gave. */
export interface Outcome {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** The command line over a control plane in memory. */
export async function createCli(options: Parameters<typeof createHarness>[0] = {}) {
  const harness = await createHarness(options)
  /** Files that commands wrote, by path. */
  const written = new Map<string, Buffer>()
  const signalListeners = new Set<(signal: NodeJS.Signals) => void>()
  let monotonicMs = 0

  function io(surroundings: Surroundings, out: (text: string) => void, err: (text: string) => void): Io {
    const terminal = surroundings.columns === undefined ? {} : { isTTY: true, columns: surroundings.columns }
    return {
      env: surroundings.env ?? {},
      cwd: '/desk',
      userHome: '/home/ada',
      stdin: Readable.from(surroundings.stdin === undefined ? [] : [surroundings.stdin]),
      stdout: { write: out, ...terminal },
      stderr: { write: err, ...terminal },
      nowMs: () => NOW_MS,
      monotonicMs: () => monotonicMs,
      readFile: path => surroundings.files?.[path] ?? null,
      async createFile(path) {
        const chunks: Buffer[] = []
        return {
          write: async chunk => void chunks.push(Buffer.from(chunk)),
          finish: async () => void written.set(path, Buffer.concat(chunks)),
          async abandon() {},
        }
      },
      async openControl(_, mode) {
        if (surroundings.noServer === true && mode === 'server') {
          throw new CliError('No server runs here.', { exitCode: EXIT.unreachable })
        }
        return {
          via: 'server' as const,
          send: async request => await harness.app.fetch(request),
          operatorToken: () => OPERATOR_TOKEN,
          async close() {},
        }
      },
      compose: async () => {
        if (surroundings.compose === undefined) throw new Error('nothing is composed in this test')
        return (await surroundings.compose()) as Composition
      },
      onSignal(listener) {
        signalListeners.add(listener)
        return () => void signalListeners.delete(listener)
      },
    }
  }

  return {
    harness,
    written,
    io,
    /** Runs a command line as typed, words separated by spaces, quotes around those that hold some. */
    async run(line: string, surroundings: Surroundings = {}): Promise<Outcome> {
      let out = ''
      let err = ''
      const argv = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(match => match[1] ?? match[2] ?? '')
      const toOut = (text: string) => {
        out += text
      }
      const toErr = (text: string) => {
        err += text
      }
      const code = await run(argv, io(surroundings, toOut, toErr))
      return { code, out, err }
    },
    /** Ctrl-C, that many milliseconds after the last event. */
    interrupt(afterMs = 1_000) {
      monotonicMs += afterMs
      for (const listener of [...signalListeners]) listener('SIGINT')
    },
    pass(durationMs: number) {
      monotonicMs += durationMs
    },
    get listening() {
      return signalListeners.size
    },
  }
}

const GOLDEN = new URL('./golden/', import.meta.url)

/** Compares what was printed, its version aside, with `golden/<name>.txt`; UPDATE=1 rewrites the file. */
export function checkGolden(name: string, printed: string): void {
  const text = printed.replaceAll(`Headrace ${versionText()}`, 'Headrace <version>')
  const file = new URL(`${name}.txt`, GOLDEN)
  if (process.env.UPDATE === '1') {
    mkdirSync(GOLDEN, { recursive: true })
    writeFileSync(file, text)
  }
  assert.equal(text, readFileSync(file, 'utf8'))
}
