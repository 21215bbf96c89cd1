/** The processes that are measured: a server on a home of its own, and the bare process. */
import { type ChildProcess, execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { threadBudget } from '../../src/engine/threads.ts'
import { loadCatalogue } from '../../src/models/catalogue.ts'
import { modelsFolder } from '../../src/models/model-files.ts'
import { ensureFixture, type FixtureName } from '../../src/testing/fixtures.ts'
import { ROOT, type Subject, start } from '../process.ts'
import { Api } from './api.ts'
import type { ToDirect } from './direct.ts'
import { type Ask, ask, type Outcome, type Setup } from './workload.ts'

const LAUNCHER = join(ROOT, 'bin/headrace.js')
/** The real model that is measured: the one that a first start fetches. */
export const REAL_MODEL = 'smollm2-135m-instruct'
/** Steps of this many tokens are the engine's own choice on a CPU (src/engine/engine-pool.ts). */
const BATCH_TOKENS = 64

/** A model in a home that a server can run on. */
export interface Prepared {
  readonly home: string
  readonly model: string
  readonly setup: Setup
}

/** A running server with a client. */
export interface Server {
  readonly subject: Subject
  readonly api: Api
  /** The process that runs the model. */
  readonly enginePid: number
}

/** Makes a home with one generated model. */
export async function prepareFixture(name: FixtureName, folder: string, slots: number): Promise<Prepared> {
  const path = await ensureFixture(name, join(tmpdir(), `headrace-fixtures-${process.getuid?.() ?? 0}`))
  const home = join(folder, name)
  headrace(home, 'pull', path, '--as', name, '--input', '1', '--cached', '0.1', '--output', '2')
  return { home, model: name, setup: setupOf(path, slots) }
}

/**
 * Makes a home with the real model, copied out of a home that has it: `--home` of this benchmark, or the usual one. Where neither
 * has it, it is pulled once into a folder that later runs find.
 */
export function prepareReal(folder: string, given: string | undefined, slots: number): Prepared & { origin: string } {
  const entry = loadCatalogue(folder).find(REAL_MODEL)
  if (entry === undefined) throw new Error(`The catalogue has no ${REAL_MODEL}.`)
  const kept = join(tmpdir(), `headrace-bench-models-${process.getuid?.() ?? 0}`)
  const fileIn = (home: string) => join(modelsFolder(home), entry.file.name)
  const homes = [given ?? process.env.HEADRACE_HOME ?? join(homedir(), '.headrace'), kept]
  let found = homes.find(home => existsSync(fileIn(home)))
  let origin = `found in ${found === kept ? 'the folder of an earlier run' : found}`
  if (found === undefined) {
    headrace(kept, 'pull', REAL_MODEL)
    found = kept
    origin = 'pulled now'
  }
  const home = join(folder, REAL_MODEL)
  // By the id of the catalogue, so that the hash is checked.
  headrace(home, 'pull', fileIn(found), '--as', REAL_MODEL)
  return { home, model: REAL_MODEL, setup: setupOf(fileIn(home), slots), origin }
}

/** Starts a server and waits until its model is loaded. */
export async function startServer({ home, model, setup }: Prepared): Promise<Server> {
  mkdirSync(home, { recursive: true, mode: 0o700 })
  const config = join(home, 'bench.yaml')
  writeFileSync(
    config,
    [
      'server: {port: 0}',
      'money: {startingCredit: "1000000"}',
      `models: {default: ${model}, autoPull: false}`,
      `engine: {parallel: ${setup.slots}, contextTokens: ${setup.slotTokens}, threads: ${setup.threads}}`,
      'log: {level: warn}',
      '',
    ].join('\n'),
  )
  const subject = start(process.execPath, [join(ROOT, 'src/main.ts'), 'serve', '--home', home, '--config', config])
  try {
    const [url] = await subject.waitFor(/http:\/\/127\.0\.0\.1:\d+/)
    const [key] = await subject.waitFor(/sk-hr-[0-9A-Za-z]{33}/)
    const api = new Api(url, key, model, setup.slots)
    // The engine loads at the start; the first answer says that it has.
    await api.chat(ask(0, 1, 2))
    return { subject, api, enginePid: engineOf(subject.pid) }
  } catch (error) {
    await subject.stop()
    throw error
  }
}

/** A bare process with the binding. */
export interface Direct {
  readonly pid: number
  run(asks: readonly Ask[], concurrency: number): Promise<Outcome>
  stop(): Promise<void>
}

/** Starts the bare process and loads the model in it. */
export async function startDirect(setup: Setup): Promise<Direct> {
  const child: ChildProcess = fork(join(import.meta.dirname, 'direct.ts'), [], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  let log = ''
  child.stderr?.on('data', chunk => {
    log = (log + chunk).slice(-10_000)
  })
  const tell = async (message: ToDirect): Promise<unknown> => {
    const ended = new AbortController()
    const left = once(child, 'exit', { signal: ended.signal }).then(
      () => Promise.reject(new Error(`The bare process ended:\n${log}`)),
      () => new Promise<never>(() => {}),
    )
    child.send(message)
    try {
      const [answer] = await Promise.race([once(child, 'message'), left])
      return answer
    } finally {
      ended.abort()
    }
  }
  await tell({ type: 'load', setup })
  return {
    pid: child.pid as number,
    run: async (asks, concurrency) => (await tell({ type: 'run', asks, concurrency })) as Outcome,
    async stop() {
      const exited = once(child, 'exit')
      child.disconnect()
      await exited
    },
  }
}

/** Resident bytes of a process: now, the most ever, and the part that is not file pages. Linux only: it reads /proc. */
export function memoryOf(pid: number): { readonly rss: number; readonly peak: number; readonly anonymous: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const bytes = (field: string) =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN) * 1024
  return { rss: bytes('VmRSS'), peak: bytes('VmHWM'), anonymous: bytes('RssAnon') }
}

function setupOf(modelPath: string, slots: number): Setup {
  return { modelPath, slots, slotTokens: 2048, threads: threadBudget(), batchTokens: BATCH_TOKENS }
}

function headrace(home: string, ...words: string[]): void {
  mkdirSync(home, { recursive: true, mode: 0o700 })
  execFileSync(process.execPath, [LAUNCHER, ...words, '--home', home], { stdio: ['ignore', 'ignore', 'pipe'] })
}

/** The one child of the server that has the engine's title. */
function engineOf(serverPid: number): number {
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const parent = /^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${name}/status`, 'utf8'))?.[1]
      if (Number(parent) !== serverPid) continue
      if (readFileSync(`/proc/${name}/cmdline`, 'utf8').startsWith('headrace-engine')) return Number(name)
    } catch {
      // It ended while we looked.
    }
  }
  throw new Error('The server has no engine process.')
}
