import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { processIo } from '../../src/cli/io.ts'
import { connectBooks } from '../../src/cli/prove-books.ts'
import type { BooksPort } from '../../src/prove/books-port.ts'
import { createProofHome, PROOF_HOME_PREFIX } from '../../src/prove/proof-home.ts'
import { prove } from '../../src/prove/prove.ts'
import { bounded, command, headrace, newHome, startServer } from '../support/server.ts'

/** The proof in a small size, and proofs that have to fail. The size of a real one: `npx headrace prove`. */

const MAIN = join(import.meta.dirname, '../../src/main.ts')
const SMALL = ['--clients', '40', '--requests', '600', '--kills', '1', '--seed', '1']

const started: ChildProcess[] = []
after(() => {
  for (const child of started) child.kill('SIGKILL')
})

/** Folders of proofs beside a home. */
function proofHomes(home: string): string[] {
  return globSync(`${PROOF_HOME_PREFIX}*`, { cwd: dirname(home) })
}

/** Ids of the processes that a process has started and that still run; on Linux alone there is a way to look. */
function childrenOf(parent: number): number[] {
  return globSync('/proc/[0-9]*/stat')
    .filter(file => {
      try {
        return Number(/^.*\) \S (\d+) /s.exec(readFileSync(file, 'utf8'))?.[1]) === parent
      } catch {
        // It ended between the two looks.
        return false
      }
    })
    .map(file => Number(file.split('/')[2]))
}

test('a small proof holds, and leaves nothing behind', async () => {
  const home = newHome()
  const report = await headrace(home, 'prove', ...SMALL)
  assert.deepEqual(
    report.claims.filter((claim: { holds: boolean }) => !claim.holds),
    [],
  )
  assert.equal(report.holds, true)
  const { counts } = report
  assert.equal(counts.requests, 600)
  assert.ok(counts.whole >= 200, `${counts.whole} whole`)
  assert.ok(counts.left >= 40, `${counts.left} left`)
  assert.ok(counts.upstream_deaths >= 5, `${counts.upstream_deaths} upstream deaths`)
  assert.equal(report.running_at_kills.length, 1)
  assert.ok(
    report.running_at_kills[0] > 10 && counts.broken > 0,
    `${report.running_at_kills} ran, ${counts.broken} broke`,
  )
  assert.ok(report.refusals.key_cap_exceeded >= 30, JSON.stringify(report.refusals))
  assert.ok(Number(report.spent_percent) >= 95 && Number(report.spent_percent) <= 100, report.spent_percent)
  assert.deepEqual(proofHomes(home), [])
  assert.equal(existsSync(home), false, 'the home itself is not touched')
})

test('a cap that does not bind proves nothing; a server on the home goes on undisturbed', async () => {
  const home = newHome()
  const server = await startServer(home, { log: { level: 'error' } })
  const { code, out } = await command(
    home,
    'prove',
    '--clients',
    '10',
    '--requests',
    '100',
    '--kills',
    '0',
    '--cap',
    '5',
  )
  assert.equal(code, 1, out)
  assert.match(out, /^Not proved: a claim fails\.$/m)
  assert.match(out, /The cap did not bind/)
  assert.deepEqual(proofHomes(home), [])
  assert.equal((await server.control.verifyLedger()).settlements, 0)
  await server.stop()
})

/** A proof whose books are falsified on their way to the audit; answers the names of the claims that fail. */
async function failingClaims(falsify: (books: BooksPort) => Partial<BooksPort>): Promise<string[]> {
  const home = createProofHome(newHome())
  const io = processIo()
  const { claims } = await prove({
    size: { clients: 10, requests: 100, abortShare: 0, deathShare: 0, kills: 0, seed: 1 },
    capNanodollars: null,
    home,
    mainFile: MAIN,
    async connect(folder) {
      const books = await connectBooks(io, folder)
      return { ...books, ...falsify(books) }
    },
    signal: AbortSignal.timeout(60_000),
    onProgress() {},
  })
  return claims.filter(claim => !claim.holds).map(claim => claim.name)
}

test('a server that does not charge one answer of many is found out', async () => {
  const failing = await failingClaims(books => ({
    async *settled(keyId) {
      let rows = 0
      for await (const row of books.settled(keyId)) if (++rows !== 7) yield row
    },
  }))
  assert.ok(failing.includes('Seen whole but not charged'), failing.join(', '))
})

test('a server that lets the cap be passed for a moment is found out', async () => {
  let looks = 0
  const failing = await failingClaims(books => ({
    async keyMoney(keyId) {
      const money = await books.keyMoney(keyId)
      return ++looks === 10 ? { ...money, heldNanodollars: 10n ** 12n } : money
    },
  }))
  assert.deepEqual(failing, ['Worst overshoot'])
})

for (const [signal, leavesFolder] of [
  ['SIGINT', false],
  ['SIGKILL', true],
] as const) {
  test(`${signal} in the middle ends every process of a proof`, { skip: process.platform !== 'linux' }, async () => {
    const home = newHome()
    const child = spawn(process.execPath, [MAIN, 'prove', '--home', home], { stdio: 'ignore' })
    started.push(child)
    const ended = new Promise<number | null>(resolve => child.once('close', resolve))
    let children: number[] = []
    const both = async () => {
      for (; children.length < 2; children = childrenOf(child.pid as number)) await sleep(20)
    }
    await bounded(both(), 'the start of a server and an upstream')
    child.kill(signal)
    const code = await bounded(ended, 'the end of a proof')
    if (signal === 'SIGINT') assert.equal(code, 130)
    const gone = async () => {
      while (children.some(pid => existsSync(`/proc/${pid}`))) await sleep(20)
    }
    await bounded(gone(), 'the end of its processes')
    assert.equal(proofHomes(home).length, leavesFolder ? 1 : 0)
  })
}
