/**
 * The data plane as it is served, with the store as its journal or with one that answers at once, before a mock upstream:
 * `server.ts '<json options>'` prints its port as one JSON line and serves until it is told to end.
 */
import { KeyHasher } from '../../src/admission/key-hasher.ts'
import { Idempotency } from '../../src/gateway/idempotency.ts'
import { listen } from '../../src/gateway/listener.ts'
import { Pipeline } from '../../src/gateway/pipeline.ts'
import type { ApiKey, Model, Snapshot } from '../../src/inference/snapshot.ts'
import { Books } from '../../src/ledger/books.ts'
import type { Journal } from '../../src/ledger/journal.ts'
import { PROTOCOLS } from '../../src/protocols/protocols.ts'
import { SYSTEM_CLOCK } from '../../src/std/clock.ts'
import { createIdMaker } from '../../src/std/request-id.ts'
import { openStore } from '../../src/store/store.ts'
import { SILENT } from '../../src/telemetry/telemetry.ts'
import { HttpUpstream } from '../../src/upstreams/http-upstream.ts'
import { UpstreamSet } from '../../src/upstreams/upstream-set.ts'
import { secretOf } from './keys.ts'

interface Options {
  readonly upstreamPort: number
  readonly keys: number
  /** Null: without a ledger on disk. */
  readonly database: string | null
  /** Added to each commit, as a slow disk would. */
  readonly commitDelayMs: number
}

const options: Options = JSON.parse(process.argv[2] as string)
const AT_ONCE: Journal = { admitted: () => undefined, voided: () => undefined, settle: async () => undefined }
const PRICE = {
  id: 'price',
  modelId: 'mock',
  fromMs: 0,
  toMs: null,
  inputPicodollars: 1_300_000n,
  cachedInputPicodollars: 100_000n,
  outputPicodollars: 2_600_000n,
  requestPicodollars: 0n,
}
const capabilities = { chat: true, completion: true, tools: true, reasoning: false, jsonSchema: true, logprobs: false }
const model: Model = {
  ...{ id: 'mock', aliases: [], name: 'mock', ownedBy: 'bench', createdS: 0, license: 'none', capabilities },
  ...{ contextTokens: 8192, outputTokensMax: 8192, trancheTokens: 8192, prices: [PRICE] },
  targets: [{ upstreamId: 'mock', upstreamModel: 'mock' }],
}
const hasher = new KeyHasher(Buffer.from('bench'))
const keys: ApiKey[] = Array.from({ length: options.keys }, (_, i) => ({
  ...{ id: `key_${i}`, orgId: 'org', projectId: null, name: `key ${i}`, hash: hasher.hash(secretOf(i)) as string },
  ...{ hint: '', capNanodollars: null, createdMs: 0, expiresMs: null, revokedMs: null },
}))
const snapshot: Snapshot = {
  version: 1,
  orgs: new Map([['org', { id: 'org', name: 'Org', disabled: false }]]),
  keys: new Map(keys.map(key => [key.id, key])),
  keysByHash: new Map(keys.map(key => [key.hash, key])),
  models: new Map([['mock', model]]),
  ...{ projects: new Map(), limits: new Map(), limitsByKey: new Map() },
}
const store =
  options.database === null ? null : await openStore({ path: options.database, commitDelayMs: options.commitDelayMs })
const books = new Books(store ?? AT_ONCE, { balances: new Map([['org', 2n ** 62n]]), spent: new Map() })
const upstreams = new UpstreamSet(SYSTEM_CLOCK)
upstreams.add(
  new HttpUpstream({
    ...{ id: 'mock', baseUrl: `http://127.0.0.1:${options.upstreamPort}/v1`, apiKey: null, connectionsMax: 512 },
    ...{ queueDepthMax: 4096, allowPrivate: true, stoppable: true, headersTimeoutMs: 60_000, bodyTimeoutMs: 60_000 },
  }),
)
const newId = createIdMaker(() => Date.now())
const pipeline = new Pipeline({
  ...{ snapshot: () => snapshot, books, journal: store ?? AT_ONCE, upstreams, clock: SYSTEM_CLOCK, telemetry: SILENT },
  ...{ keyHasher: hasher, newId, cacheSaltOf: () => 'salt' },
  idempotency: new Idempotency({ find: async () => null, keepMs: 0, answerBytesMax: 0 }),
  limits: { firstByteTimeoutMs: 60_000, requestDeadlineMs: 60_000, keepAliveMs: 10_000 },
})
const listener = await listen({
  ...{ pipeline, codecs: new Map(PROTOCOLS.map(codec => [codec.protocol, codec])), snapshot: () => snapshot },
  ...{ keyHasher: hasher, newId, nowMs: () => Date.now(), api: () => new Response(null, { status: 404 }) },
  ...{ control: (_, response) => void response.end(), metrics: null, health: () => ({ ok: true, body: {} }) },
  settings: {
    ...{ host: '127.0.0.1', port: 0, tls: null, allowedHosts: [], corsOrigins: [], clientAddress: () => '' },
    ...{ bodyBytesMax: 1 << 20, headerBytesMax: 16_384, connectionsMax: 10_000, requestTimeoutMs: 60_000 },
  },
})
process.stdout.write(`${JSON.stringify({ port: listener.address.port })}\n`)
