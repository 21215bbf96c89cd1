import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { pino } from 'pino'
import { KeyHasher } from '../../src/admission/key-hasher.ts'
import { createClientApi } from '../../src/api/app.ts'
import { firstRun } from '../../src/control/first-run.ts'
import { createPublisher } from '../../src/control/publisher.ts'
import { requestCharge } from '../../src/control/request-charge.ts'
import type { StoredModel } from '../../src/control/snapshot-builder.ts'
import { clientAddressReader } from '../../src/gateway/client-address.ts'
import { Idempotency } from '../../src/gateway/idempotency.ts'
import { listen } from '../../src/gateway/listener.ts'
import { Pipeline } from '../../src/gateway/pipeline.ts'
import { Books } from '../../src/ledger/books.ts'
import { parseDollars, parsePricePerMillion } from '../../src/ledger/money.ts'
import { PROTOCOLS } from '../../src/protocols/protocols.ts'
import { type Clock, SYSTEM_CLOCK } from '../../src/std/clock.ts'
import { createIdMaker } from '../../src/std/request-id.ts'
import { openStore, type Store } from '../../src/store/store.ts'
import { PrometheusTelemetry } from '../../src/telemetry/telemetry.ts'
import { HttpUpstream } from '../../src/upstreams/http-upstream.ts'
import { UpstreamSet } from '../../src/upstreams/upstream-set.ts'
import { newHome } from '../support/server.ts'
import { chat, type Seen } from '../support/stream.ts'
import { startUpstream } from '../support/upstream.ts'

/** The parts of a server over a store whose database may not grow, which is how SQLite sees a full disk. */

const TOKENS = 3
const CREDIT_NANODOLLARS = parseDollars('5')
const PEPPER = randomBytes(32)
/** The gateway looks again whether the disk has recovered after a second, which the test lets pass at once. */
const PROBE_MS = 1000

test('on a full disk nothing is charged and no answer looks whole; once there is space it goes on', async () => {
  const home = newHome()
  mkdirSync(home, { recursive: true })
  const path = join(home, 'headrace.db')
  const { orgId, key } = await prepare(path)
  const pagesMax = fill(path)
  const server = await serve(path, pagesMax)
  const { store, books, pipeline } = server
  const ask = (stream: boolean) => chat({ url: server.url, key }, { model: 'm', max_tokens: TOKENS, stream })
  const charged: Seen[] = []
  const uncharged: Seen[] = []

  // The last pages take some rows yet.
  let failed = await ask(true)
  for (let tries = 0; failed.error === null; tries++) {
    charged.push(failed)
    assert.ok(tries < 2000, 'the database never became full')
    failed = await ask(true)
  }
  uncharged.push(failed)
  assert.deepEqual(
    [failed.status, failed.error.code, failed.finishReason, failed.usage, failed.done, failed.broken],
    [200, 'settlement_unavailable', null, null, false, false],
  )
  assert.equal(pipeline.journalHealthy, false)
  const refused = await ask(true)
  assert.deepEqual([refused.status, refused.error?.code], [503, 'settlement_unavailable'])
  server.pass(PROBE_MS)
  const probe = await ask(false)
  uncharged.push(refused, probe)
  assert.deepEqual([probe.status, probe.error?.code, probe.deltas], [503, 'settlement_unavailable', 0])
  const before = books.orgFunds(orgId).balanceNanodollars

  empty(path)
  server.pass(PROBE_MS)
  const good = await ask(true)
  charged.push(good)
  assert.deepEqual([good.error, good.done], [null, true])
  assert.ok(pipeline.journalHealthy)

  const each = parseDollars(String(good.usage?.estimated_cost))
  assert.ok(each > 0n)
  assert.equal(before, CREDIT_NANODOLLARS - each * BigInt(charged.length - 1))
  assert.equal(books.openHolds, 0)
  for (const { requestId } of uncharged) assert.equal(await store.usageByRequest(requestId), null)
  for (const { requestId } of charged)
    assert.equal((await store.usageByRequest(requestId))?.chargeNanodollars, each, requestId)
  const { ok, problems, settlements } = await store.verify()
  assert.ok(ok, problems.join('\n'))
  assert.equal(settlements, charged.length)
  await server.stop()

  const again = await openStore<StoredModel>({ path })
  assert.equal((await again.loadState()).balances.get(orgId), CREDIT_NANODOLLARS - each * BigInt(charged.length))
  assert.deepEqual(await again.interrupted(), [])
  await again.close()
})

/** An org with credit and a key, and a model with a price. */
async function prepare(path: string): Promise<{ orgId: string; key: string }> {
  const store = await openStore<StoredModel>({ path })
  const first = await firstRun({ store, randomBytes, pepper: PEPPER, nowMs: Date.now() }, CREDIT_NANODOLLARS)
  assert.ok(first !== null)
  await store.putModel({
    id: 'm',
    aliases: [],
    name: 'm',
    ownedBy: 'nobody',
    createdS: 0,
    license: 'none',
    contextTokens: 8192,
    outputTokensMax: 8192,
    trancheTokens: 8192,
    capabilities: { chat: true, completion: true, tools: true, reasoning: false, jsonSchema: true, logprobs: false },
    targets: [{ upstreamId: 'outside', upstreamModel: 'm' }],
  })
  await store.setPrice({
    id: 'price_1',
    modelId: 'm',
    fromMs: 0,
    toMs: null,
    inputPicodollars: parsePricePerMillion('1'),
    cachedInputPicodollars: parsePricePerMillion('1'),
    outputPicodollars: parsePricePerMillion('1'),
    requestPicodollars: 0n,
  })
  await store.close()
  return { orgId: first.orgId, key: first.secret }
}

/** Takes space with what somebody else stored; answers how many pages there are then. */
function fill(path: string): number {
  const database = new DatabaseSync(path)
  database.exec('CREATE TABLE filler (bytes BLOB)')
  database.prepare('INSERT INTO filler VALUES (zeroblob(1000000))').run()
  const pages = Number(database.prepare('PRAGMA page_count').get()?.page_count)
  database.close()
  return pages
}

function empty(path: string): void {
  const database = new DatabaseSync(path)
  database.exec('PRAGMA busy_timeout = 5000; DROP TABLE filler')
  database.close()
}

async function serve(path: string, pagesMax: number) {
  const store: Store<StoredModel> = await openStore<StoredModel>({ path, pagesMax })
  const { baseUrl } = await startUpstream(exchange => {
    exchange.tokens(TOKENS)
    exchange.finish()
  })
  let passedMs = 0
  const clock: Clock = { ...SYSTEM_CLOCK, monotonicMs: () => SYSTEM_CLOCK.monotonicMs() + passedMs }
  const upstreams = new UpstreamSet(clock)
  upstreams.add(
    new HttpUpstream({
      id: 'outside',
      baseUrl,
      apiKey: null,
      connectionsMax: 8,
      queueDepthMax: 8,
      allowPrivate: true,
      stoppable: true,
      headersTimeoutMs: 30_000,
      bodyTimeoutMs: 30_000,
    }),
  )
  const { balances } = await store.loadState()
  const books = new Books(store, { balances, spent: new Map() })
  const publisher = await createPublisher(() => store.loadState())
  const newId = createIdMaker(() => Date.now())
  const keyHasher = new KeyHasher(PEPPER)
  const pipeline = new Pipeline({
    snapshot: publisher.current,
    books,
    journal: store,
    upstreams,
    clock,
    telemetry: new PrometheusTelemetry(pino({ level: 'silent' }), {
      running: () => 0,
      openHolds: () => books.openHolds,
      overrunDollars: () => 0,
    }),
    keyHasher,
    idempotency: new Idempotency({
      find: keyHash => store.storedAnswer(keyHash),
      keepMs: 60_000,
      answerBytesMax: 100_000,
    }),
    newId,
    cacheSaltOf: orgId => orgId,
    limits: { firstByteTimeoutMs: 60_000, requestDeadlineMs: 60_000, keepAliveMs: 60_000 },
  })
  const listener = await listen({
    pipeline,
    codecs: new Map(PROTOCOLS.map(codec => [codec.protocol, codec])),
    newId,
    nowMs: () => Date.now(),
    api: createClientApi({
      ...{ codecs: PROTOCOLS, snapshot: publisher.current, keyHasher, newId, kept: store.kept },
      nowMs: () => Date.now(),
      // Nobody asks for these here.
      ...{ files: undefined as never, batches: undefined as never },
      usageOf: (org, requestId) => requestCharge(store, org, requestId, undefined),
      settlementOf: requestId => store.usageByRequest(requestId),
      creditOf: async orgId => ({ totals: await store.creditTotals(orgId), ...books.orgFunds(orgId) }),
      keySpent: keyId => books.budgetSpent(`key:${keyId}`),
      keyChargedSince: async () => 0n,
      targetState: () => undefined,
      countInput: async () => undefined,
      background: { statusOf: () => 'queued', cancel: async () => undefined, watch: () => undefined },
      onError: error => assert.fail(error as Error),
    }).fetch,
    control: (_, response) => response.writeHead(404).end(),
    metrics: null,
    health: () => ({ ok: pipeline.journalHealthy, body: {} }),
    settings: {
      host: '127.0.0.1',
      port: 0,
      tls: null,
      allowedHosts: [],
      corsOrigins: [],
      clientAddress: clientAddressReader([]),
      bodyBytesMax: 100_000,
      headerBytesMax: 16_384,
      connectionsMax: 100,
      requestTimeoutMs: 30_000,
    },
  })
  let stopping: Promise<void> | undefined
  const stop = async () => {
    await listener.close(0)
    await upstreams.close(0)
    await store.close()
  }
  const stopOnce = () => (stopping ??= stop())
  after(stopOnce)
  return {
    url: `http://127.0.0.1:${listener.address.port}`,
    store,
    books,
    pipeline,
    pass(durationMs: number) {
      passedMs += durationMs
    },
    stop: stopOnce,
  }
}
