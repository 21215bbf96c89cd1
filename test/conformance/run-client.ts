import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CheckLine, CheckResult, Client, ClientResult } from './client.ts'
import { lockedVersion, PYTHON } from './installs.ts'
import { CLOSED_PROXY, INSIDE } from './isolation.ts'
import { judge } from './judge.ts'
import { openWireTap } from './wire-tap.ts'
import { type ClientWorld, SCRIPT, type World } from './world.ts'

/** Runs one client's script in a process of its own and judges every check that it said it would do. */

const CLIENT_MS_MAX = 8 * 60_000
const OUTPUT_CHARS_MAX = 8_192
const HERE = import.meta.dirname
/** What a script exits with when its program has no build for this machine; the last line on standard error says which. */
const CANNOT_RUN = 77

const running = new Set<ChildProcess>()

/** Kills what still runs, with all that it started; for exits in a hurry. */
export function killClients(): void {
  for (const child of running) killGroup(child)
}

/** Runs a client to its end. Its folder is under `folder`. */
export async function runClient(world: World, client: Client, folder: string): Promise<ClientResult> {
  const startedMs = performance.now()
  const tap = await openWireTap(world.server.url)
  try {
    const own = join(folder, client.id)
    mkdirSync(own)
    const told = await world.admit(client.id, tap.url, own)
    const { lines, code, err } = await runScript(client, told)
    await world.heal(told.key)
    const plan = lines.find(isPlan)?.plan ?? []
    const checks: CheckResult[] = []
    for (const feature of plan) {
      const line = lines.find((each): each is CheckLine => 'feature' in each && each.feature === feature)
      if (line !== undefined) checks.push(await judge(world.server, client, told.key, line, tap.exchanges))
      else checks.push(unsaid(client, feature, code, err))
    }
    if (plan.length === 0 && code !== CANNOT_RUN) checks.push(unsaid(client, 'start', code, err))
    const notRun = code === CANNOT_RUN ? (err.trim().split('\n').at(-1) ?? '') : null
    return { client, version: versionOf(client), notRun, checks, seconds: (performance.now() - startedMs) / 1000 }
  } finally {
    tap.close()
  }
}

/** The result of a client whose packages are not there. */
export function notRunnable(client: Client, reason: string): ClientResult {
  return { client, version: versionOf(client), notRun: reason, checks: [], seconds: 0 }
}

function versionOf(client: Client): string {
  return lockedVersion(client.folder, client.package)
}

function unsaid(client: Client, feature: string, code: string | number, err: string): CheckResult {
  const detail = `the script ended with ${code} before this check: ${err.slice(-600)}`
  return { client: client.id, feature, verdict: 'failed', detail, usage: null, requestIds: [] }
}

interface Plan {
  readonly plan: readonly string[]
}

function isPlan(line: CheckLine | Plan): line is Plan {
  return 'plan' in line
}

function runScript(client: Client, told: ClientWorld) {
  const file = join(HERE, client.script)
  const preload = (client.preload ?? []).flatMap(each => ['--import', join(HERE, each)])
  const [command, ...args] = client.script.endsWith('.py')
    ? [PYTHON, file, ...(client.args ?? [])]
    : [process.execPath, ...preload, file, ...(client.args ?? [])]
  const child = spawn(command as string, args, {
    cwd: told.folder,
    env: environment(told),
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, so that what it starts ends with it.
    detached: true,
  })
  running.add(child)
  const texts = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    texts.out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    texts.err = (texts.err + text).slice(-OUTPUT_CHARS_MAX)
  })
  const timer = setTimeout(() => killGroup(child), CLIENT_MS_MAX)
  return new Promise<{ lines: (CheckLine | Plan)[]; code: number | string; err: string }>(resolve => {
    child.on('error', error => {
      texts.err += error.message
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      killGroup(child)
      running.delete(child)
      resolve({ lines: linesOf(texts.out), code: code ?? signal ?? 'nothing', err: texts.err })
    })
  })
}

/** Clients find nothing of this machine's settings: no keys, no hosts, and a home of their own. */
function environment(told: ClientWorld): NodeJS.ProcessEnv {
  return {
    PATH: process.env.PATH,
    HOME: told.folder,
    XDG_CONFIG_HOME: join(told.folder, '.config'),
    TMPDIR: tmpdir(),
    LANG: 'C.UTF-8',
    PYTHONDONTWRITEBYTECODE: '1',
    LANGSMITH_TRACING: 'false',
    HEADRACE_WORLD: JSON.stringify(told),
    HEADRACE_SCRIPT: JSON.stringify(SCRIPT),
    ...(process.env[INSIDE] === undefined ? CLOSED_PROXY : {}),
  }
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // It is gone, and so are its children.
  }
}

/** The lines of JSON; clients that print of their own accord do not disturb. */
function linesOf(out: string): (CheckLine | Plan)[] {
  return out.split('\n').flatMap(line => {
    try {
      const value = JSON.parse(line)
      return typeof value === 'object' && value !== null && ('plan' in value || 'feature' in value) ? [value] : []
    } catch {
      return []
    }
  })
}
