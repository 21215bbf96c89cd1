/**
 * Durable settlements a second through the store's worker, beside a bare loop of prepared inserts of the same rows, in the same batch
 * sizes and sync mode, on the same disk. `npm run bench -- store [--small]`
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { USAGE_ABSENT } from '../inference/usage.ts'
import type { Settlement } from '../ledger/journal.ts'
import { createIdMaker } from '../std/request-id.ts'
import { openStore } from './store.ts'

const small = process.argv.includes('--small')
const ROUNDS = small ? 1 : 5
const SETTLEMENTS = small ? 500 : 20_000
const BATCH = 64

const folder = mkdtempSync(join(tmpdir(), 'headrace-store-bench-'))
const newId = createIdMaker(() => Date.now())

function settlement(): Settlement {
  return {
    requestId: newId('req_'),
    orgId: 'org_bench',
    keyId: 'key_bench',
    modelId: 'model',
    protocol: 'openai-chat',
    stream: false,
    upstreamId: 'mock',
    attempts: 1,
    ending: 'completed',
    usage: { ...USAGE_ABSENT, inputTokens: 20, inputSource: 'reported', outputTokens: 16, outputSource: 'reported' },
    priceId: 'price_bench',
    chargeNanodollars: 67_600n,
    overrunNanodollars: 0n,
    heldNanodollars: 100_000n,
    admittedMs: Date.now(),
    settledMs: Date.now(),
    ttftMs: 1.5,
    durationMs: 2.5,
  }
}

async function throughStore(round: number): Promise<{ perSecond: number; cpuUs: number }> {
  const store = await openStore({ path: join(folder, `store-${round}.db`) })
  await store.settle(settlement())
  const before = process.cpuUsage()
  const startedMs = performance.now()
  for (let done = 0; done < SETTLEMENTS; done += BATCH) {
    await Promise.all(Array.from({ length: BATCH }, () => store.settle(settlement())))
  }
  const seconds = (performance.now() - startedMs) / 1000
  const { user, system } = process.cpuUsage(before)
  await store.close()
  return { perSecond: SETTLEMENTS / seconds, cpuUs: (user + system) / SETTLEMENTS }
}

/** What any ledger has to write: a row of usage, a transfer with its unique id, the balances of a batch. */
function bareLoop(round: number): { perSecond: number; cpuUs: number } {
  const database = new DatabaseSync(join(folder, `bare-${round}.db`))
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
  database.exec(
    `CREATE TABLE usage (id TEXT PRIMARY KEY, ${Array.from({ length: 26 }, (_, i) => `c${i} INTEGER`).join(', ')}) WITHOUT ROWID`,
  )
  database.exec('CREATE INDEX usage_by ON usage (c0, c1, id)')
  database.exec(
    'CREATE TABLE transfers (id TEXT PRIMARY KEY, debit INTEGER, credit INTEGER, amount INTEGER, kind TEXT, request TEXT, at INTEGER, memo TEXT) WITHOUT ROWID',
  )
  database.exec('CREATE TABLE balances (account INTEGER PRIMARY KEY, amount INTEGER)')
  database.exec('INSERT INTO balances VALUES (1, 0), (2, 0)')
  const usage = database.prepare(`INSERT INTO usage VALUES (${Array(27).fill('?').join(', ')})`)
  const transfer = database.prepare('INSERT INTO transfers VALUES (?, ?, ?, ?, ?, ?, ?, ?)')
  const balance = database.prepare('UPDATE balances SET amount = amount + ? WHERE account = ?')
  const before = process.cpuUsage()
  const startedMs = performance.now()
  for (let done = 0; done < SETTLEMENTS; done += BATCH) {
    database.exec('BEGIN IMMEDIATE')
    for (let i = 0; i < BATCH; i++) {
      const id = newId('req_')
      usage.run(id, ...Array(26).fill(i))
      transfer.run(`${id}:charge`, 1, 2, 67_600, 'charge', id, 0, null)
    }
    balance.run(-67_600 * BATCH, 1)
    balance.run(67_600 * BATCH, 2)
    database.exec('COMMIT')
  }
  const seconds = (performance.now() - startedMs) / 1000
  const { user, system } = process.cpuUsage(before)
  database.close()
  return { perSecond: SETTLEMENTS / seconds, cpuUs: (user + system) / SETTLEMENTS }
}

try {
  const ratios: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    // The order is turned round each time, so that a disk that slows down hits both.
    const first = round % 2 === 0 ? await throughStore(round) : null
    const bare = bareLoop(round)
    const store = first ?? (await throughStore(round))
    ratios.push(store.perSecond / bare.perSecond)
    process.stdout.write(
      `round ${round + 1}: store ${store.perSecond.toFixed(0)}/s, ${store.cpuUs.toFixed(1)} µs CPU each; bare loop ${bare.perSecond.toFixed(0)}/s, ${bare.cpuUs.toFixed(1)} µs; ratio ${(store.perSecond / bare.perSecond).toFixed(2)}\n`,
    )
  }
  ratios.sort((a, b) => a - b)
  process.stdout.write(
    `median ratio of durable settlements to a bare prepared-insert loop: ${ratios[Math.floor(ratios.length / 2)]?.toFixed(2)} (batches of ${BATCH}, ${SETTLEMENTS} rows)\n`,
  )
} finally {
  rmSync(folder, { recursive: true, force: true })
}
