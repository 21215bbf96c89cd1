import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import OpenAI, { toFile } from 'openai'
import { allRows } from '../../src/control/client.ts'
import { parseDollars } from '../../src/ledger/money.ts'
import { bounded, newHome, type ServerProcess, startServer } from '../support/server.ts'
import { type Exchange, startUpstream, upstreamConfig } from '../support/upstream.ts'

/** Batches of a server that is killed, or stopped, in the middle of them. */

const PRICE = { input: '1.30', cachedInput: '0.10', output: '2.60', tiers: { batch: '0.5' } }
/** 16 tokens at 1.30, 4 at 0.10 and 3 at 2.60 dollars a million, halved. */
const CHARGE = 14_500n
const LINES = 60

/** A server whose upstream answers at once until `hold` is set, and then keeps answers waiting. */
async function batching(concurrency: number) {
  const held: Exchange[] = []
  const asked: string[] = []
  const reins = { hold: false }
  const { baseUrl } = await startUpstream(exchange => {
    asked.push(exchange.body.user ?? '')
    exchange.tokens(3)
    if (reins.hold) held.push(exchange)
    else exchange.finish()
  })
  const home = newHome()
  const start = () =>
    startServer(home, {
      ...{ batches: { concurrency }, log: { level: 'error' }, server: { drainTimeoutMs: 0 } },
      upstreams: upstreamConfig(baseUrl, PRICE),
    })
  const server = await start()
  const client = clientOf(server, server.key)
  const lines = Array.from({ length: LINES }, (_, i) => {
    const body = { model: 'paced', user: `${i}`, messages: [{ role: 'user', content: 'Hello' }] }
    return JSON.stringify({ custom_id: `${i}`, method: 'POST', url: '/v1/chat/completions', body })
  })
  const input = await client.files.create({
    ...{ file: await toFile(Buffer.from(lines.join('\n')), 'in.jsonl'), purpose: 'batch' },
  })
  const order = { input_file_id: input.id, endpoint: '/v1/chat/completions', completion_window: '24h' } as const
  return { home, server, start, client, order, held, asked, reins }
}

function clientOf({ url }: { readonly url: string }, apiKey: string): OpenAI {
  return new OpenAI({ apiKey, baseURL: `${url}/v1`, maxRetries: 0 })
}

async function until(client: OpenAI, id: string, holds: (batch: OpenAI.Batch) => boolean): Promise<OpenAI.Batch> {
  for (;;) {
    const batch = await client.batches.retrieve(id)
    if (holds(batch)) return batch
    await sleep(10)
  }
}

async function arrivals(held: readonly Exchange[], count: number): Promise<void> {
  while (held.length < count) await sleep(5)
}

/** The batch is whole, each of its lines charged once, at half the price, and nothing else was charged. */
async function checkWhole(server: ServerProcess, client: OpenAI, id: string, balanceBefore: bigint): Promise<void> {
  const batch = await bounded(
    until(client, id, ({ status }) => status === 'completed'),
    'the end of the batch',
  )
  assert.deepEqual(batch.request_counts, { total: LINES, completed: LINES, failed: 0 })
  assert.equal(batch.error_file_id, null)
  const text = await (await client.files.content(batch.output_file_id ?? '')).text()
  const results = text
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
  assert.deepEqual(
    results.map(result => Number(result.custom_id)).sort((a, b) => a - b),
    Array.from({ length: LINES }, (_, i) => i),
  )
  const rows = await Array.fromAsync(allRows(server.control.listUsage, { limit: 100 }))
  const charged = rows.filter(row => parseDollars(row.charge) > 0n)
  assert.deepEqual(
    new Set(charged.map(row => row.request)),
    new Set(results.map(result => result.response.request_id)),
    'what was charged is what is in the file',
  )
  assert.equal(charged.length, LINES)
  assert.deepEqual(new Set(charged.map(row => parseDollars(row.charge))), new Set([CHARGE]))
  const orgId = (await server.control.listOrgs()).data[0]?.id ?? ''
  const credit = await server.control.getCredit(orgId)
  assert.equal(parseDollars(credit.balance), balanceBefore - CHARGE * BigInt(LINES))
  assert.equal(parseDollars(credit.held), 0n)
  assert.equal(batch.usage?.output_tokens, 3 * LINES)
  const { ok, problems } = await server.control.verifyLedger()
  assert.ok(ok, problems.join('\n'))
}

async function balanceOf(server: ServerProcess): Promise<bigint> {
  const orgId = (await server.control.listOrgs()).data[0]?.id ?? ''
  return parseDollars((await server.control.getCredit(orgId)).balance)
}

test('kill -9 in the middle of a batch: the next process goes on, and no line is charged twice or lost', async () => {
  const { home, server, start, client, order, held, reins } = await batching(4)
  const before = await balanceOf(server)
  const { id } = await client.batches.create(order)
  await until(client, id, batch => (batch.request_counts?.completed ?? 0) >= 10)
  await server.kill()
  // Killed again with lines in the air, none of which was settled.
  reins.hold = true
  const second = await start()
  await bounded(arrivals(held, 4), 'the lines that the second process runs')
  await second.kill()
  reins.hold = false
  const third = await start()
  const last = clientOf(third, server.key)
  await checkWhole(third, last, id, before)
  await third.stop()
  // Input, output, and the folder has nothing else.
  assert.equal(readdirSync(join(home, 'files')).length, 2)
})

test('a server that stops breaks lines off for nothing, and runs them again after its next start', async () => {
  const { server, start, client, order, held, asked, reins } = await batching(2)
  const before = await balanceOf(server)
  reins.hold = true
  const { id } = await client.batches.create(order)
  await bounded(arrivals(held, 2), 'the first lines')
  await server.stop()
  reins.hold = false
  const next = await start()
  await checkWhole(next, clientOf(next, server.key), id, before)
  assert.equal(asked.length, LINES + 2)
  const aborted = (await next.control.listUsage({ limit: 100 })).data.filter(row => row.ending === 'aborted')
  assert.deepEqual(
    aborted.map(row => parseDollars(row.charge)),
    [0n, 0n],
  )
  await next.stop()
})

test('a batch waits for credit, and goes on when some comes', async () => {
  const { server, client, order } = await batching(2)
  const orgId = (await server.control.listOrgs()).data[0]?.id ?? ''
  const { secret } = await server.control.createKey({ org: orgId, name: 'capped', cap: '0.00000001' })
  const capped = clientOf(server, secret)
  const { id } = await capped.batches.create(order)
  type Waiting = OpenAI.Batch & { waiting?: { code: string } }
  const waiting: Waiting = await bounded(
    until(capped, id, batch => (batch as Waiting).waiting !== undefined),
    'the batch to wait',
  )
  assert.deepEqual([waiting.status, waiting.waiting?.code], ['in_progress', 'key_cap_exceeded'])
  const [key] = (await server.control.listKeys({ org: orgId })).data.filter(({ name }) => name === 'capped')
  await server.control.updateKey(key?.id ?? '', { cap: '100' })
  const before = await balanceOf(server)
  await checkWhole(server, client, id, before)
  await server.stop()
})

test('a key that is revoked ends its batch, and the rest is told why', async () => {
  const { server, client, order, held, reins } = await batching(2)
  const orgId = (await server.control.listOrgs()).data[0]?.id ?? ''
  const { secret } = await server.control.createKey({ org: orgId, name: 'short-lived' })
  reins.hold = true
  const { id } = await clientOf(server, secret).batches.create(order)
  await bounded(arrivals(held, 2), 'the first lines')
  const [key] = (await server.control.listKeys({ org: orgId })).data.filter(({ name }) => name === 'short-lived')
  await server.control.revokeKey(key?.id ?? '')
  for (const exchange of held) exchange.finish()
  const batch = await bounded(
    until(client, id, ({ status }) => status === 'completed'),
    'the end of the batch',
  )
  assert.deepEqual(batch.request_counts, { total: LINES, completed: 2, failed: LINES - 2 })
  const [first = ''] = (await (await client.files.content(batch.error_file_id ?? '')).text()).split('\n')
  const { response, error } = JSON.parse(first)
  assert.deepEqual([response, error.code], [null, 'revoked_api_key'])
  await server.stop()
})
