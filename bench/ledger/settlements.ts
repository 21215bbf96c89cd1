import { join } from 'node:path'
import { USAGE_ABSENT } from '../../src/inference/usage.ts'
import type { Settlement } from '../../src/ledger/journal.ts'
import { createIdMaker } from '../../src/std/request-id.ts'
import { openForWriting } from '../../src/store/open-database.ts'
import { openStore } from '../../src/store/store.ts'
import { createPartition, monthOf, USAGE_COLUMNS } from '../../src/store/usage-partitions.ts'

const BATCH = 64
/** Requests that wait for their settlement at a time: two batches, so that one fills while the other is written. */
const IN_FLIGHT = 2 * BATCH
const CHARGE = 67_600n

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
    serviceTier: 'standard',
    endUserId: null,
    usage: { ...USAGE_ABSENT, inputTokens: 20, inputSource: 'reported', outputTokens: 16, outputSource: 'reported' },
    priceId: 'price_bench',
    chargeNanodollars: CHARGE,
    overrunNanodollars: 0n,
    heldNanodollars: 100_000n,
    costNanodollars: null,
    admittedMs: Date.now(),
    settledMs: Date.now(),
    ttftMs: 1.5,
    durationMs: 2.5,
  }
}

/** Durable settlements a second, and CPU of all threads for each. */
export interface SettlementRate {
  readonly perSecond: number
  readonly cpuUs: number
}

async function measure(settlements: number, work: () => Promise<void> | void): Promise<SettlementRate> {
  const before = process.cpuUsage()
  const startedMs = performance.now()
  await work()
  const seconds = (performance.now() - startedMs) / 1000
  const { user, system } = process.cpuUsage(before)
  return { perSecond: settlements / seconds, cpuUs: (user + system) / settlements }
}

/** Through the store's worker; includes making the settlements and waiting for them. */
export async function throughStore(folder: string, round: number, settlements: number): Promise<SettlementRate> {
  const store = await openStore({ path: join(folder, `store-${round}.db`) })
  await store.settle(settlement())
  let left = settlements
  const client = async () => {
    while (left-- > 0) await store.settle(settlement())
  }
  const result = await measure(settlements, async () => {
    await Promise.all(Array.from({ length: IN_FLIGHT }, client))
  })
  await store.close()
  return result
}

/** A bare loop of prepared statements: the same rows, schema, batches and sync mode. */
export function bareLoop(folder: string, round: number, settlements: number): Promise<SettlementRate> {
  const database = openForWriting(join(folder, `bare-${round}.db`))
  const marks = (count: number) => Array(count).fill('?').join(', ')
  const upsert = (table: string, count: number, sum: string) =>
    database.prepare(
      `INSERT INTO ${table} VALUES (${marks(count)}) ON CONFLICT DO UPDATE SET ${sum} = ${sum} + excluded.${sum}`,
    )
  const month = monthOf(Date.now())
  createPartition(database, month)
  const usage = database.prepare(`INSERT INTO usage_${month.name} VALUES (${marks(USAGE_COLUMNS)})`)
  const balance = upsert('balances', 2, 'nanodollars')
  const spent = upsert('key_spent', 2, 'nanodollars')
  const rollup = upsert('rollups', 12, 'charge')
  database.exec("INSERT INTO names (n, name) VALUES (1, 'org:org_bench'), (2, 'operator:revenue'), (4, 'key_bench')")
  const result = measure(settlements, () => {
    for (let done = 0; done < settlements; done += BATCH) {
      const nowMs = Date.now()
      const batchCharge = CHARGE * BigInt(BATCH)
      database.exec('BEGIN IMMEDIATE')
      for (let i = 0; i < BATCH; i++) {
        const id = newId('req_')
        usage.run(
          id,
          1,
          3,
          4,
          5,
          6,
          7,
          null,
          4194369,
          20,
          0,
          0,
          16,
          0,
          CHARGE,
          0,
          100_000,
          null,
          nowMs,
          nowMs,
          1500,
          2500,
        )
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
