import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const LAUNCHER = fileURLToPath(new URL('../../bin/headrace.js', import.meta.url))
const skip = process.platform === 'win32' ? 'there are no such signals' : false

/** What an older Node would say of itself. */
const OLD_NODE = `data:text/javascript,${encodeURIComponent("Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.0.0' } })")}`

/** Stands in for the program: tells its words, then waits for a signal, if it was told to. */
const PROGRAM = `
if (process.argv[2] === 'wait') {
  process.on('SIGTERM', () => { console.log('SIGTERM'); process.exit(7) })
  setInterval(() => {}, 1000)
}
console.log(JSON.stringify(process.argv.slice(2)))
if (process.argv[2] === 'wait') {} else if (process.argv[2] === 'die') process.kill(process.pid, 'SIGKILL')
else process.exitCode = Number(process.argv[2])
`

/** An installation in a folder: the launcher, a program, and perhaps a Node of its own. */
function install(options: { node?: boolean; program?: boolean } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'hr-'))
  for (const name of ['bin', 'dist', 'node_modules/node/bin']) mkdirSync(join(folder, name), { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  copyFileSync(LAUNCHER, join(folder, 'bin/headrace.js'))
  if (options.program !== false) writeFileSync(join(folder, 'dist/main.js'), PROGRAM)
  if (options.node !== false) {
    writeFileSync(join(folder, 'node_modules/node/package.json'), '{"name":"node","bin":{"node":"bin/node"}}')
    symlinkSync(process.execPath, join(folder, 'node_modules/node/bin/node'))
  }
  return {
    start: (old: boolean, ...words: string[]) =>
      spawn(process.execPath, [...(old ? ['--import', OLD_NODE] : []), join(folder, 'bin/headrace.js'), ...words]),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  }
}

async function outcome(child: ChildProcess) {
  let out = ''
  let err = ''
  child.stdout?.on('data', chunk => {
    out += chunk
  })
  child.stderr?.on('data', chunk => {
    err += chunk
  })
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>(resolve =>
    child.on('close', (...end) => resolve(end)),
  )
  return { code, signal, out, err }
}

for (const old of [false, true]) {
  test(`launcher on ${old ? 'an older' : 'a current'} Node: words and exit code pass through`, async () => {
    using installed = install()
    const { code, out, err } = await outcome(installed.start(old, '3', 'a b', '--json'))
    assert.deepEqual([code, out, err], [3, '["3","a b","--json"]\n', ''])
  })

  test(`launcher on ${old ? 'an older' : 'a current'} Node: a signal reaches the program, which decides the exit code`, {
    skip,
  }, async () => {
    using installed = install()
    const child = installed.start(old, 'wait')
    child.stdout.once('data', () => child.kill('SIGTERM'))
    const { code, out } = await outcome(child)
    assert.deepEqual([code, out], [7, '["wait"]\nSIGTERM\n'])
  })

  test(`launcher on ${old ? 'an older' : 'a current'} Node: a program that was killed looks killed`, {
    skip,
  }, async () => {
    using installed = install()
    const { code, signal } = await outcome(installed.start(old, 'die'))
    assert.deepEqual([code, signal], [null, 'SIGKILL'])
  })
}

test('launcher on an older Node without ours: what to do', async () => {
  using installed = install({ node: false })
  const { code, err } = await outcome(installed.start(true, '0'))
  assert.equal(code, 1)
  assert.match(
    err,
    /^headrace: Node 26 is needed; this is 20\.0\.0, and the package "node" is not installed\.\n {2}Run npm ci/,
  )
})

test('launcher without a program: what to do', async () => {
  using installed = install({ program: false })
  const { code, err } = await outcome(installed.start(false, '0'))
  assert.equal(code, 1)
  assert.match(err, /^headrace: neither src\/main\.ts nor dist\/main\.js is there\.\n {2}Install the package again/)
})

/** The real program, in a process of its own, far from the user's home. */
function headrace(...words: string[]) {
  return spawn(process.execPath, [LAUNCHER, ...words], {
    env: { PATH: process.env.PATH, HOME: '/nonexistent', NO_COLOR: '1' },
  })
}

for (const [line, code, text] of [
  ['version --json', 0, /^\{\n {2}"headrace": /],
  ['--version', 0, /^\d+\.\d+\.\d+\n$/],
  ['kesy', 2, /^headrace: There is no command "kesy"; did you mean keys\?\n/],
  ['config check --set server.port=x', 2, /^headrace: --set server\.port: server\.port is "x"; allowed: /],
  ['keys list', 1, /^headrace: There is no Headrace home at \/nonexistent\/\.headrace\.\n/],
  ['chat hello', 3, /^headrace: No server runs on the home \/nonexistent\/\.headrace\.\n/],
] as const) {
  test(`the program itself: headrace ${line} exits with ${code}`, async () => {
    const { code: got, out, err } = await outcome(headrace(...line.split(' ')))
    assert.match(out + err, text)
    assert.equal(got, code)
  })
}

test('a reader that leaves early is no error', { skip }, async () => {
  const child = headrace('config', 'reference')
  child.stdout.once('data', () => child.stdout.destroy())
  const { code, err } = await outcome(child)
  assert.deepEqual([code, err], [0, ''])
})
