import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import { test } from 'node:test'

/** Benchmarks are run small here, so that they cannot rot. What they measure in so short a time says nothing and is not looked at. */
const root = resolve(import.meta.dirname, '..')

function check(words: readonly string[], expected: RegExp): void {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/bench.ts', ...words], {
    cwd: root,
    encoding: 'utf8',
    timeout: 120_000,
  })
  assert.equal(status, 0, `${words.join(' ')} ended with ${status}:\n${stdout}\n${stderr}`)
  assert.match(stdout, expected)
}

test('the ledger’s benchmark runs', { skip: process.platform === 'linux' ? false : 'needs /proc' }, () =>
  check(['ledger', '--small'], /CPU a request/),
)
test('the engine’s benchmark runs on a generated model', () => check(['engine', '--small'], /speed, API \/ direct/))
// It reads the CPU time of processes from /proc; the peer has to be fetched first, so it stays out.
test('the gateway’s benchmark runs', { skip: process.platform === 'linux' ? false : 'needs /proc' }, () =>
  check(['gateway', '--small', '--without-peer'], /relayed frame/),
)
test('without a name the benchmarks are listed', () => {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/bench.ts'], { cwd: root, encoding: 'utf8' })
  assert.equal(status, 0)
  for (const name of ['gateway', 'engine', 'ledger']) assert.match(stderr, new RegExp(`^  ${name} `, 'm'))
})
