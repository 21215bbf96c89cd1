/**
 * `npm test`: lint, types, dead code and every test. `npm test -- <word> ...` runs the tests whose path contains a word, and no
 * checks. `npm run test:model` (`--model`) runs the tests that need the default model's real weights.
 */
import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')
const words = process.argv.slice(2).filter(arg => !arg.startsWith('--'))
const model = process.argv.includes('--model')

const CHECKS: readonly (readonly [name: string, command: string, ...args: string[]])[] = [
  ['lint and format', 'biome', 'check', '--error-on-warnings'],
  ['types', 'tsc', '-p', '.'],
  ['dead code', 'knip', '--no-progress'],
  ['generated files', process.execPath, 'scripts/generate.ts', '--check'],
]

let failed = false
if (words.length === 0 && !model) {
  for (const [name, command, ...args] of CHECKS) {
    const startedMs = performance.now()
    const code = await run(command, args)
    process.stdout.write(
      `${code === 0 ? 'ok  ' : 'FAIL'} ${name} (${((performance.now() - startedMs) / 1000).toFixed(1)} s)\n`,
    )
    if (code !== 0) failed = true
  }
}

const files = globSync(model ? ['test/model/**/*.test.ts'] : ['src/**/*.test.ts', 'test/**/*.test.ts'], {
  cwd: root,
  exclude: path => path.includes('node_modules') || (!model && path.startsWith('test/model')),
})
  .filter(file => words.length === 0 || words.some(word => file.includes(word)))
  .sort()
if (files.length === 0) {
  process.stderr.write(`No test file matches ${words.join(' ')}.\n`)
  process.exit(1)
}
// A hanging test is a failing test; the bound is far above what any of them takes.
const code = await run(process.execPath, [
  '--test',
  `--test-concurrency=${Math.min(2, availableParallelism())}`,
  '--test-timeout=240000',
  '--test-reporter=spec',
  ...files,
])
process.exit(failed || code !== 0 ? 1 : 0)

function run(command: string, args: readonly string[]): Promise<number> {
  return new Promise(done => {
    const path = `${resolve(root, 'node_modules/.bin')}:${process.env.PATH}`
    const child = spawn(command, args, {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, PATH: path },
    })
    child.on('error', error => {
      process.stderr.write(`${command}: ${error.message}\n`)
      done(1)
    })
    child.on('exit', exitCode => done(exitCode ?? 1))
  })
}
