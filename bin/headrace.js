#!/usr/bin/env node
// Starts Headrace with the Node that it was made for. This file runs on whatever Node is installed (20 or later), so
// it is plain JavaScript; where that Node is older than 26, the one that came along as the dependency "node" takes over.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const NODE_MAJOR_MIN = 26

// A checkout runs its sources as they are; the published package carries dist instead.
const entry = [new URL('../src/main.ts', import.meta.url), new URL('../dist/main.js', import.meta.url)].find(url =>
  existsSync(url),
)

if (entry === undefined) {
  fail('neither src/main.ts nor dist/main.js is there.', 'Install the package again: npm install headrace')
} else if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR_MIN) {
  await import(entry.href)
} else {
  handOver(findNode(), fileURLToPath(entry))
}

function findNode() {
  try {
    const packagePath = createRequire(import.meta.url).resolve('node/package.json')
    const { bin } = JSON.parse(readFileSync(packagePath, 'utf8'))
    const path = join(dirname(packagePath), typeof bin === 'string' ? bin : bin.node)
    if (existsSync(path)) return path
    if (existsSync(`${path}.exe`)) return `${path}.exe`
  } catch {
    // Told below.
  }
  return undefined
}

function handOver(node, script) {
  if (node === undefined) {
    fail(
      `Node ${NODE_MAJOR_MIN} is needed; this is ${process.versions.node}, and the package "node" is not installed.`,
      'Run npm ci (or npm install) again without --ignore-scripts, or start with a newer Node.',
    )
    return
  }
  const child = spawn(node, [script, ...process.argv.slice(2)], { stdio: 'inherit' })
  // On Ctrl-C a terminal tells the child too; the server takes two signals at once for one.
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'].filter(signal => signal in constants.signals)
  const forward = signal => child.kill(signal)
  for (const signal of signals) process.on(signal, forward)
  child.on('error', error => fail(`${node} cannot be started: ${error.message}`, 'Run npm ci again.'))
  child.on('exit', (code, signal) => {
    for (const name of signals) process.off(name, forward)
    if (signal === null) process.exitCode = code ?? 1
    // Ends the way the child ended, so that a shell sees the same.
    else process.kill(process.pid, signal)
  })
}

function fail(what, cure) {
  console.error(`headrace: ${what}\n  ${cure}`)
  process.exitCode = 1
}
