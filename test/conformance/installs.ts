import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Brings the packages of a folder, from its own lockfile, once; again when the lockfile changed. */

const HERE = import.meta.dirname
const INSTALL_MS_MAX = 10 * 60_000
const OUTPUT_CHARS_MAX = 16_384
const PYTHONS = ['python3', 'python']

/** Why a folder's packages are not there; null when they are. */
export async function install(folder: string, say: (text: string) => void): Promise<string | null> {
  return folder === 'python' ? installPython(say) : installNpm(folder, say)
}

/** The Python of the installed packages. */
export const PYTHON = join(HERE, 'python/.venv/bin/python')

/** The version of a package, as the folder's lockfile has it. */
export function lockedVersion(folder: string, name: string): string {
  if (folder === 'python') {
    const pinned = readFileSync(join(HERE, 'python/requirements.txt'), 'utf8')
    return new RegExp(`^${name}==([^ ;\\\\]+)`, 'm').exec(pinned)?.[1] ?? '?'
  }
  const lock = JSON.parse(readFileSync(join(HERE, folder, 'package-lock.json'), 'utf8'))
  return lock.packages[`node_modules/${name}`]?.version ?? '?'
}

async function installNpm(folder: string, say: (text: string) => void): Promise<string | null> {
  const cwd = join(HERE, folder)
  const stamp = join(cwd, 'node_modules/.installed')
  const lock = hashOf(join(cwd, 'package-lock.json'))
  if (isStamped(stamp, lock)) return null
  say(`npm ci in test/conformance/${folder}`)
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  const failure = await finish(npm, ['ci', '--no-audit', '--no-fund'], cwd)
  if (failure === null) writeFileSync(stamp, lock)
  return failure
}

async function installPython(say: (text: string) => void): Promise<string | null> {
  const cwd = join(HERE, 'python')
  const stamp = join(cwd, '.venv/.installed')
  const lock = hashOf(join(cwd, 'requirements.txt'))
  if (isStamped(stamp, lock)) return null
  const python = PYTHONS.find(
    each => spawnSync(each, ['-c', 'import venv, sys; sys.exit(sys.version_info < (3, 11))']).status === 0,
  )
  if (python === undefined) return 'there is no Python from 3.11 on, with venv'
  say('pip install in test/conformance/python')
  rmSync(join(cwd, '.venv'), { recursive: true, force: true })
  const failure =
    (await finish(python, ['-m', 'venv', '.venv'], cwd)) ??
    (await finish(PYTHON, ['-m', 'pip', 'install', '--quiet', '--require-hashes', '-r', 'requirements.txt'], cwd))
  if (failure === null) writeFileSync(stamp, lock)
  return failure
}

function isStamped(stamp: string, lock: string): boolean {
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === lock
}

function hashOf(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex')
}

/** Runs a command to its end; answers why it failed, or null. */
function finish(command: string, args: readonly string[], cwd: string): Promise<string | null> {
  return new Promise(resolve => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'ignore', 'pipe'], timeout: INSTALL_MS_MAX })
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (said.length < OUTPUT_CHARS_MAX) said += text
    })
    child.on('error', error => resolve(`${command}: ${error.message}`))
    child.on('close', code => resolve(code === 0 ? null : `${command} ${args[0]} failed: ${reasonIn(said)}`))
  })
}

/** The first lines of npm's and the last of pip's complaint say what it is about. */
function reasonIn(said: string): string {
  const lines = said.split('\n').filter(line => line.trim() !== '' && !line.includes('complete log'))
  const telling = lines.some(line => line.startsWith('npm')) ? lines.slice(0, 3) : lines.slice(-1)
  return telling.map(line => line.replace(/^npm error( code)?/, '').trim()).join(' ')
}
