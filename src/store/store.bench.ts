/**
 * Durable settlements a second through the store's worker, beside a bare loop of prepared statements that writes the same rows into
 * the same schema, in batches of the same size and the same sync mode, on the same disk. CPU is that of all threads, and includes
 * making the settlements. `npm run bench -- store [--small]`
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { USAGE_ABSENT } from '../inference/usage.ts'
import type { Settlement } from '../ledger/journal.ts'
import { createIdMaker } from '../std/request-id.ts'
import { openForWriting } from './open-database.ts'
import { openStore } from './store.ts'

const small = process.argv.includes('--small')
const ROUNDS = small ? 1 : 5
const SETTLEMENTS = small ? 512 : 32_768
const BATCH = 64
/** Requests that wait for their settlement at a time: two batches, so that one fills while the other is written. */
const IN_FLIGHT = 2 * BATCH
const CHARGE = 67_600n

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
    chargeNanodollars: CHARGE,
    overrunNanodollars: 0n,
    serviceTier: 'standard',
    costNanodollars: null,
    heldNanodollars: 100_000n,
    admittedMs: Date.now(),
    settledMs: Date.now(),
    ttftMs: 1.5,
    durationMs: 2.5,
  }
}

interface Result {
  readonly perSecond: number
  readonly cpuUs: number
}

async function measure(work: () => Promise<void> | void): Promise<Result> {
  const before = process.cpuUsage()
  const startedMs = performance.now()
  await work()
  const seconds = (performance.now() - startedMs) / 1000
  const { user, system } = process.cpuUsage(before)
  return { perSecond: SETTLEMENTS / seconds, cpuUs: (user + system) / SETTLEMENTS }
}

async function throughStore(round: number): Promise<Result> {
  const store = await openStore({ path: join(folder, `store-${round}.db`) })
  await store.settle(settlement())
  let left = SETTLEMENTS
  const client = async () => {
    while (left-- > 0) await store.settle(settlement())
  }
  const result = await measure(async () => {
    await Promise.all(Array.from({ length: IN_FLIGHT }, client))
  })
  await store.close()
  return result
}

function bareLoop(round: number): Promise<Result> {
  const database = openForWriting(join(folder, `bare-${round}.db`))
  const marks = (count: number) => Array(count).fill('?').join(', ')
  const upsert = (table: string, count: number, sum: string) =>
    database.prepare(
      `INSERT INTO ${table} VALUES (${marks(count)}) ON CONFLICT DO UPDATE SET ${sum} = ${sum} + excluded.${sum}`,
    )
  const usage = database.prepare(`INSERT INTO usage VALUES (${marks(27)})`)
  const transfer = database.prepare(`INSERT INTO transfers VALUES (${marks(8)})`)
  const balance = upsert('balances', 2, 'nanodollars')
  const spent = upsert('key_spent', 2, 'nanodollars')
  const rollup = upsert('rollups', 12, 'charge')
  database.exec("INSERT INTO names (n, name) VALUES (1, 'org:org_bench'), (2, 'operator:revenue'), (4, 'key_bench')")
  const result = measure(() => {
    for (let done = 0; done < SETTLEMENTS; done += BATCH) {
      const nowMs = Date.now()
      const batchCharge = CHARGE * BigInt(BATCH)
      database.exec('BEGIN IMMEDIATE')
      for (let i = 0; i < BATCH; i++) {
        const id = newId('req_')
        usage.run(
          ...[id, 3, 4, 5, 0, 0, 6, 1, 'completed', 20, 1, 0, 0, 0, 0, 16, 1, 0, 0, 7],
          ...[CHARGE, 0, 100_000, nowMs, nowMs, 1500, 2500],
        )
        transfer.run(`${id}:charge`, 1, 2, CHARGE, 'charge', id, nowMs, null)
      }
      balance.run(1, -batchCharge)
      balance.run(2, batchCharge)
      spent.run(4, batchCharge)
      rollup.run(
        Math.floor(nowMs / 3_600_000),
        3,
        4,
        5,
        6,
        7,
        'completed',
        BATCH,
        20 * BATCH,
        0,
        16 * BATCH,
        batchCharge,
      )
      database.exec('COMMIT')
    }
  })
  return result.finally(() => database.close())
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number
}

try {
  const stores: Result[] = []
  const bares: Result[] = []
  for (let round = 0; round < ROUNDS; round++) {
    // The order is turned round each time, so that a disk that slows down hits both.
    const first = round % 2 === 0 ? await throughStore(round) : null
    const bare = await bareLoop(round)
    const store = first ?? (await throughStore(round))
    stores.push(store)
    bares.push(bare)
    process.stdout.write(
      `round ${round + 1}: store ${store.perSecond.toFixed(0)}/s, ${store.cpuUs.toFixed(1)} µs CPU each; bare loop ${bare.perSecond.toFixed(0)}/s, ${bare.cpuUs.toFixed(1)} µs\n`,
    )
  }
  const ratio = median(stores.map((store, i) => store.perSecond / (bares[i] as Result).perSecond))
  process.stdout.write(
    `median of durable settlements a second, store to bare loop: ${ratio.toFixed(2)}; CPU each: ${median(stores.map(each => each.cpuUs)).toFixed(1)} to ${median(bares.map(each => each.cpuUs)).toFixed(1)} µs (batches of ${BATCH}, ${SETTLEMENTS} settlements)\n`,
  )
} finally {
  rmSync(folder, { recursive: true, force: true })
}
