import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { script, world } from './checks.mjs'

/** Runs whole programs, each turn in a working folder of its own. */

const TURN_MS_MAX = 150_000
const OUTPUT_CHARS_MAX = 200_000
/** `test/conformance/run-client.ts` reads it as: not run. */
const CANNOT_RUN = 77

/** A file of an installed package under `programs/<folder>/node_modules`; ends the script as not run where it is missing. */
export function installed(folder, ...names) {
  const root = join(import.meta.dirname, '../programs', folder, 'node_modules')
  const found = names.map(name => join(root, name)).find(existsSync)
  if (found !== undefined) return found
  process.stderr.write(`there is no build of ${folder} for ${process.platform} ${process.arch}\n`)
  process.exit(CANNOT_RUN)
}

/** A new empty folder to work in. */
export function workingFolder() {
  return mkdtempSync(join(world.folder, 'work-'))
}

/** Writes a file, its folder too. Objects become JSON. */
export function write(path, content) {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content, null, 2))
}

/**
 * Runs a program to its end.
 * @param {string[]} command
 * @param {{ cwd: string, env?: Record<string, string>, code?: number | null }} options `code` is how it has to end, 0 unless said; null: any.
 * @returns {Promise<{ code: number | null, out: string, err: string }>}
 */
export async function runProgram([file, ...args], { cwd, env = {}, code: expected = 0 }) {
  const child = spawn(file, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const texts = { out: '', err: '' }
  for (const [stream, name] of [
    [child.stdout, 'out'],
    [child.stderr, 'err'],
  ])
    stream.setEncoding('utf8').on('data', text => {
      texts[name] = (texts[name] + text).slice(-OUTPUT_CHARS_MAX)
    })
  const timer = setTimeout(() => {
    texts.err += `\nstopped after ${TURN_MS_MAX / 1000} s`
    killGroup(child)
  }, TURN_MS_MAX)
  const code = await new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  clearTimeout(timer)
  // Some leave servers behind.
  killGroup(child)
  if (expected !== null)
    assert.equal(code, expected, `it ended with ${code}: ${texts.err.slice(-500)} ${texts.out.slice(-500)}`)
  return { code, ...texts }
}

function killGroup(child) {
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // All are gone.
  }
}

/** The JSON documents among the lines of an output. */
export function jsonLines(text) {
  return text.split('\n').flatMap(line => {
    try {
      return [JSON.parse(line)]
    } catch {
      return []
    }
  })
}

/**
 * The checks that every program goes through.
 * @param {(model: string, options: { key: string, code: number | null }) => Promise<{ text: string, usage?: import('./checks.mjs').Usage, said: string }>} turn
 *   One turn; `text` is its last answer, `said` all that it told a person.
 * @param {{ times402?: number }} [options]
 */
export function programChecks(turn) {
  const { key, brokeKey, models } = world
  return {
    async stream() {
      const { text, usage } = await turn(models.talker, { key, code: 0 })
      assert.ok(text.includes(script.text), text)
      return { usage }
    },
    async tools() {
      const { text, usage } = await turn(models.caller, { key, code: 0 })
      assert.ok(text.startsWith(script.resultPrefix) && text.includes('hello'), text)
      return { usage }
    },
    async 402() {
      const { said } = await turn(models.talker, { key: brokeKey, code: null })
      assert.match(said, /402|credit/i)
      return { requests: 1 }
    },
  }
}
