import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { resolve } from 'node:path'

/** The project's folder. */
export const ROOT = resolve(import.meta.dirname, '..')

/** Clock ticks of a second in /proc: 100 on every Linux that Node supports. */
const TICKS_PER_SECOND = 100

/** A process under measurement. */
export interface Subject {
  readonly child: ChildProcess
  readonly pid: number
  /** All it wrote so far, both outputs. */
  output(): string
  /** Resolves with the first match in what it writes. */
  waitFor(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>
  stop(): Promise<void>
}

/** Starts a process whose output is kept. */
export function start(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Subject {
  const child = spawn(command, args, {
    cwd: options.cwd ?? ROOT,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  const listeners = new Set<() => void>()
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', chunk => {
      text = (text + chunk).slice(-1_000_000)
      for (const listener of listeners) listener()
    })
  }
  const exited = new Promise<void>(done => child.once('exit', () => done()))
  return {
    child,
    pid: child.pid as number,
    output: () => text,
    waitFor: (pattern, timeoutMs = 60_000) =>
      new Promise((found, reject) => {
        const look = () => {
          const match = pattern.exec(text)
          if (match === null) return
          finish()
          found(match)
        }
        const fail = (why: string) => {
          finish()
          reject(new Error(`${command} ${args.join(' ')} ${why}:\n${text.slice(-2000)}`))
        }
        const timer = setTimeout(() => fail(`did not write ${pattern}`), timeoutMs)
        const onExit = () => fail('ended')
        const finish = () => {
          clearTimeout(timer)
          listeners.delete(look)
          child.removeListener('exit', onExit)
        }
        child.once('exit', onExit)
        listeners.add(look)
        look()
      }),
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGTERM')
      const force = setTimeout(() => child.kill('SIGKILL'), 5000)
      await exited
      clearTimeout(force)
    },
  }
}

/** CPU seconds of all threads of a process since it started. Linux only: it reads /proc. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** What a report has to name for its figures to mean anything. */
export function machine(): {
  cpu: string
  cores: number
  memoryGiB: number
  node: string
  platform: string
  commit: string
} {
  let commit = 'unknown'
  try {
    commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
    if (execFileSync('git', ['status', '--porcelain'], { cwd: ROOT, encoding: 'utf8' }).trim() !== '')
      commit += ' with changes'
  } catch {
    // Not a checkout: the report says so.
  }
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    commit,
  }
}

/** The middle value; of an even number the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2
}

/** Rows as aligned columns, the first to the left and the others to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => (row[column] ?? '').length)))
  return rows
    .map(row =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number)))
        .join('  '),
    )
    .join('\n')
}
