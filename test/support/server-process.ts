import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { operatorTokenPath } from '../../src/config/home-paths.ts'
import { type ControlClient, createControlClient } from '../../src/control/client.ts'
import { ensureFixture, type FixtureName } from '../../src/testing/fixtures.ts'

/** Real processes of the program on homes of their own, as a person starts them. Whoever uses it calls `endAll` at the end. */

const MAIN = join(import.meta.dirname, '../../src/main.ts')
/** Fixtures are generated once and shared by all tests of this user. */
const FIXTURES = join(tmpdir(), `headrace-fixtures-${process.getuid?.() ?? 0}`)
/** Longest wait for a process to say something or to end; far above what any of them takes. */
const WAIT_MS_MAX = 60_000
/** Longest wait for a real model to be fetched. */
const FETCH_MS_MAX = 20 * 60_000
const OUTPUT_CHARS_MAX = 1_000_000

const running = new Set<ChildProcess>()
const folders: string[] = []

/** Kills what still runs and removes every home. Safe to call from an exit handler. */
export function endAll(): void {
  for (const child of running) child.kill('SIGKILL')
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
}

/** What a process said and how it ended. */
export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly out: string
  readonly err: string
}

/** A server that accepts clients. */
export interface ServerProcess {
  readonly pid: number
  /** Without a slash at the end. */
  readonly url: string
  /** The key of the home's first start; empty on later ones. */
  readonly key: string
  readonly control: ControlClient
  /** What it wrote to standard error so far. */
  log(): string
  signal(name: NodeJS.Signals): void
  readonly ended: Promise<Ended>
  /** Drains and stops it; fails when it does not end well. */
  stop(): Promise<void>
  /** `kill -9`; resolves when the process is gone. */
  kill(): Promise<void>
}

/** A new folder for a home, removed by `endAll`. */
export function newHome(): string {
  const folder = mkdtempSync(join(tmpdir(), 'hr-'))
  folders.push(folder)
  return join(folder, 'home')
}

/** Runs a command on a home to its end, whichever it is. */
export function command(home: string, ...words: string[]): Promise<Ended> {
  const { child, ended } = start([...words, '--home', home])
  const waitMsMax = words[0] === 'pull' ? FETCH_MS_MAX : WAIT_MS_MAX
  return bounded(ended, `headrace ${words.join(' ')}`, () => child.kill('SIGKILL'), waitMsMax)
}

/** Runs a command that has to work; answers its JSON document. */
// biome-ignore lint/suspicious/noExplicitAny: each command's own document
export async function headrace(home: string, ...words: string[]): Promise<any> {
  const { code, out, err } = await command(home, ...words, '--json')
  assert.equal(code, 0, `headrace ${words.join(' ')}: ${err}${out}`)
  return JSON.parse(out)
}

/** Brings a generated model into a home as a person would, under the fixture's name. Prices in dollars per million tokens. */
export async function pullFixture(
  home: string,
  fixture: FixtureName,
  price: { input: string; cached: string; output: string },
): Promise<void> {
  const file = await ensureFixture(fixture, FIXTURES)
  const { input, cached, output } = price
  await headrace(home, 'pull', file, '--as', fixture, '--input', input, '--cached', cached, '--output', output)
}

/** Starts a server on a home and waits until it accepts clients. No model is fetched and any port is taken unless `config` says so. */
export async function startServer(home: string, config: Sections = {}): Promise<ServerProcess> {
  const configFile = `${home}.yaml`
  // JSON is YAML.
  writeFileSync(
    configFile,
    JSON.stringify({
      models: { default: null },
      ...config,
      server: { port: 0, ...config.server },
      // Not in memory, where a test that fails would leave it.
      engine: { promptCacheDir: join(dirname(home), 'prompts'), ...config.engine },
    }),
  )
  const { child, texts, ended } = start(['serve', '--json', '--home', home, '--config', configFile])
  const ready = new Promise<void>(resolve => {
    child.stdout?.on('data', () => texts.out.endsWith('}\n') && resolve())
  })
  const early = ended.then(({ code, out, err }) => assert.fail(`the server ended with ${code}: ${err}${out}`))
  early.catch(() => {})
  await bounded(Promise.race([ready, early]), 'the start of a server', () => child.kill('SIGKILL'))
  const report = JSON.parse(texts.out)
  const url: string = report.urls[0].replace(/\/$/, '')
  const token = readFileSync(operatorTokenPath(home), 'utf8').trim()
  const wait = () => bounded(ended, 'the end of a server', () => child.kill('SIGKILL'))
  return {
    pid: child.pid as number,
    url,
    key: report.firstRun?.secret ?? '',
    control: createControlClient(request => fetch(request), token, url),
    log: () => texts.err,
    signal: name => void child.kill(name),
    ended,
    async stop() {
      child.kill('SIGTERM')
      const { code, signal, err } = await wait()
      assert.deepEqual([code, signal], [0, null], err)
    },
    async kill() {
      child.kill('SIGKILL')
      await wait()
    },
  }
}

/** Of the configuration; what is left out stays at its default. */
interface Sections {
  readonly server?: object
  readonly engine?: object
  readonly models?: object
  readonly money?: object
  readonly upstreams?: readonly object[]
  readonly webhooks?: readonly object[]
  readonly payments?: object
  readonly egress?: object
  readonly files?: object
  readonly batches?: object
  readonly log?: object
}

function start(words: readonly string[]) {
  const child = spawn(process.execPath, [MAIN, ...words], {
    // The machine's settings for Headrace, and the test runner's for Node, are not for this process.
    env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(HEADRACE|NODE)_/.test(name))),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.add(child)
  const texts = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    texts.out = (texts.out + text).slice(-OUTPUT_CHARS_MAX)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    texts.err = (texts.err + text).slice(-OUTPUT_CHARS_MAX)
  })
  const ended = new Promise<Ended>(resolve => {
    child.on('close', (code, signal) => {
      running.delete(child)
      resolve({ code, signal, ...texts })
    })
  })
  return { child, texts, ended }
}

/** The promise's result, or an error when that takes more than a minute or what is said; then `giveUp` is called too. */
export async function bounded<Result>(
  promise: Promise<Result>,
  what: string,
  giveUp = () => {},
  waitMsMax = WAIT_MS_MAX,
): Promise<Result> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      giveUp()
      reject(new Error(`${what} took more than ${waitMsMax / 1000} s`))
    }, waitMsMax)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
