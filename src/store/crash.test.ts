import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { openStore } from './store.ts'
import { settlement, setUp, withPath } from './testing.ts'

/** Settlements that the child has on their way at a time. */
const IN_FLIGHT = 50
/** More than a run gets to: the parent, or the failing disk, ends it. */
const SETTLEMENTS_MAX = 100_000
const [, , role, databasePath = ''] = process.argv

if (role === 'child') await settleOnAndOn(databasePath)
else defineTests()

function defineTests(): void {
  for (const acknowledgedMin of [1, 300, 3000]) {
    test(`what was acknowledged before kill -9 is on disk (${acknowledgedMin})`, () =>
      withPath(async path => {
        const child = spawn(process.execPath, [import.meta.filename, 'child', path], {
          stdio: ['ignore', 'pipe', 'inherit'],
        })
        const lines = await linesUntilExit(child, lines => {
          if (lines.length >= acknowledgedMin && hasAdmission(path)) child.kill('SIGKILL')
        })
        const { acknowledged, interrupted } = await reopen(path, lines)
        assert.ok(acknowledged >= acknowledgedMin)
        assert.deepEqual(interrupted, ['req_open'])
      }))
  }

  test(
    'a disk that fails is told once, and nothing is written afterwards',
    { skip: process.platform === 'win32' },
    () =>
      withPath(async path => {
        // A write beyond the limit on file sizes fails with EFBIG, which SQLite takes for an I/O error.
        const command = ['-c', 'ulimit -f 1500; exec "$0" "$@"', process.execPath, import.meta.filename, 'child', path]
        const child = spawn('sh', command, { stdio: ['ignore', 'pipe', 'inherit'] })
        const lines = await linesUntilExit(child, () => undefined)
        assert.equal(child.exitCode, 0)
        assert.match(lines.filter(line => line.startsWith('fatal ')).join('\n'), /^fatal JournalFailure: .*disk.*$/)
        assert.equal(lines.filter(line => line.startsWith('rejected JournalFailure')).length, IN_FLIGHT)
        assert.equal(lines.at(-1), 'rejected afterwards: JournalFailure')
        const { acknowledged } = await reopen(path, lines)
        assert.ok(acknowledged > 0)
      }),
  )
}

/** Reopens what a child left behind, and checks that the books are sound and hold all that it said was settled. */
async function reopen(
  path: string,
  lines: readonly string[],
): Promise<{ acknowledged: number; interrupted: string[] }> {
  const acknowledged = lines.filter(line => line.startsWith('req_'))
  const store = await openStore({ path })
  try {
    const { ok, problems, settlements } = await store.verify()
    assert.deepEqual(problems, [])
    assert.ok(ok && settlements >= acknowledged.length)
    for (const requestId of acknowledged) assert.ok((await store.usageByRequest(requestId)) !== null, requestId)
    const interrupted = (await store.interrupted()).map(each => each.requestId)
    // It goes on where it was.
    await store.settle(settlement('req_after'))
    return { acknowledged: acknowledged.length, interrupted }
  } finally {
    await store.close()
  }
}

async function linesUntilExit(child: ChildProcess, onLine: (lines: readonly string[]) => void): Promise<string[]> {
  assert.ok(child.stdout !== null)
  const lines: string[] = []
  createInterface({ input: child.stdout }).on('line', line => {
    lines.push(line)
    onLine(lines)
  })
  await once(child, 'close')
  return lines
}

function hasAdmission(path: string): boolean {
  const database = new DatabaseSync(path, { readOnly: true })
  try {
    return database.prepare('SELECT 1 FROM admissions').get() !== undefined
  } finally {
    database.close()
  }
}

async function settleOnAndOn(path: string): Promise<void> {
  const say = (line: string) => process.stdout.write(`${line}\n`)
  const store = await openStore({ path, onFatal: error => say(`fatal ${error.name}: ${error.message}`) })
  await setUp(store)
  const ids = { orgId: 'org_a', keyId: 'key_a', modelId: 'model_a' }
  store.admitted({ requestId: 'req_open', ...ids, heldNanodollars: 5n, admittedMs: 1 })
  let next = 0
  const client = async () => {
    try {
      while (next < SETTLEMENTS_MAX) {
        const requestId = `req_${next++}`
        await store.settle(settlement(requestId, { chargeNanodollars: 100_000n }))
        say(requestId)
      }
    } catch (error) {
      say(`rejected ${error}`)
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, client))
  await store.settle(settlement('req_late')).catch(error => say(`rejected afterwards: ${error.name}`))
  await store.close()
}
