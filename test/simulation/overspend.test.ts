import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KeyHasher } from '../../src/admission/key-hasher.ts'
import { Idempotency } from '../../src/gateway/idempotency.ts'
import { Pipeline } from '../../src/gateway/pipeline.ts'
import { API_KEY_BODY_LENGTH, API_KEY_PREFIX, apiKeyChecksum } from '../../src/inference/api-key-format.ts'
import type { ApiKey, Model, Org } from '../../src/inference/snapshot.ts'
import { Books } from '../../src/ledger/books.ts'
import { parseDollars, parsePricePerMillion } from '../../src/ledger/money.ts'
import { OPENAI_CHAT } from '../../src/protocols/openai-chat/codec.ts'
import { Rng } from '../../src/simulation/rng.ts'
import { SimClock } from '../../src/simulation/sim-clock.ts'
import { SimulatedClient } from '../../src/simulation/simulated-client.ts'
import { SimulatedDisk, SimulatedJournal } from '../../src/simulation/simulated-journal.ts'
import { SimulatedUpstream } from '../../src/simulation/simulated-upstream.ts'
import { Transcript } from '../../src/simulation/transcript.ts'
import { SILENT } from '../../src/telemetry/telemetry.ts'
import { UpstreamSet } from '../../src/upstreams/upstream-set.ts'

const STREAMS = 200
const REQUESTS = 1500
const CAP = parseDollars('0.50')
const OUTPUT_TOKENS_MAX = 600

const model: Model = {
  id: 'model',
  aliases: [],
  name: 'model',
  ownedBy: 'simulation',
  createdS: 0,
  license: 'none',
  contextTokens: 8192,
  outputTokensMax: OUTPUT_TOKENS_MAX,
  trancheTokens: 256,
  capabilities: { chat: true, completion: true, tools: true, reasoning: false, jsonSchema: true, logprobs: false },
  prices: [
    {
      id: 'price',
      modelId: 'model',
      fromMs: 0,
      toMs: null,
      inputPicodollars: parsePricePerMillion('1.30'),
      cachedInputPicodollars: parsePricePerMillion('0.10'),
      outputPicodollars: parsePricePerMillion('2.60'),
      requestPicodollars: 0n,
    },
  ],
  targets: [{ upstreamId: 'up', upstreamModel: 'inner' }],
}

test('200 concurrent streams spend a cap nearly whole, and never more', async t => {
  const rng = new Rng(7)
  const clock = new SimClock()
  const disk = new SimulatedDisk()
  disk.credits.set('org', CAP * 1000n)
  const ignore = () => undefined
  const watch = {
    admitted: ignore,
    voided: ignore,
    submitted: ignore,
    durable: ignore,
    answered: ignore,
    fault: ignore,
  }
  const journal = new SimulatedJournal({
    disk,
    clock,
    rng: rng.split('disk'),
    watch,
    writeMsMax: 8,
    failureRate: () => 0,
  })
  const books = new Books(journal, disk.state())
  const upstreams = new UpstreamSet(clock)
  upstreams.add(upstreamOn(clock, rng.split('upstream')))
  const keyHasher = new KeyHasher(Buffer.from('pepper'))
  const secret = API_KEY_PREFIX + '0'.repeat(API_KEY_BODY_LENGTH) + apiKeyChecksum('0'.repeat(API_KEY_BODY_LENGTH))
  const org: Org = { id: 'org', name: 'Org', disabled: false }
  const key: ApiKey = {
    ...{ id: 'key', orgId: 'org', name: 'key', hash: keyHasher.hash(secret) as string, hint: '0000' },
    ...{ capNanodollars: CAP, createdMs: 0, expiresMs: null, revokedMs: null, projectId: null },
  }
  const snapshot = {
    version: 1,
    orgs: new Map([['org', org]]),
    keys: new Map([['key', key]]),
    keysByHash: new Map([[key.hash, key]]),
    projects: new Map(),
    limits: new Map(),
    limitsByKey: new Map(),
    models: new Map([['model', model]]),
  }
  const pipeline = new Pipeline({
    ...{ books, journal, upstreams, clock, keyHasher, telemetry: SILENT, snapshot: () => snapshot },
    idempotency: new Idempotency({ find: async () => null, keepMs: 0, answerBytesMax: 0 }),
    newId: prefix => `${prefix}${rng.next32()}`,
    cacheSaltOf: orgId => orgId,
    limits: { firstByteTimeoutMs: 60_000, requestDeadlineMs: 600_000, keepAliveMs: 15_000 },
  })

  const statuses = new Map<number, number>()
  let asked = 0
  let streamsMost = 0
  // Each place in the crowd asks again as soon as it was answered, also when it was refused.
  const ask = async () => {
    if (asked === REQUESTS) return
    const requestId = `req_${asked++}`
    const transcript = new Transcript(true, 1, ignore)
    const client = new SimulatedClient({
      ...{ clock, transcript, fault: null, leavesAfterMs: 0, bytesPerMs: 1, highWaterBytes: 1 },
    })
    const messages = [{ role: 'user', content: `Question ${requestId} `.repeat(20) }]
    const body = Buffer.from(JSON.stringify({ model: 'model', stream: true, messages }))
    await pipeline.serve(OPENAI_CHAT, {
      ...{
        headers: { authorization: `Bearer ${secret}` },
        client,
        requestId,
        surface: 'openai',
        body: async () => body,
      },
    })
    assert.deepEqual(transcript.violations, [])
    const status = transcript.status ?? 0
    statuses.set(status, (statuses.get(status) ?? 0) + 1)
    clock.after(status === 402 ? 100 : 0, () => void ask())
  }
  for (let i = 0; i < STREAMS; i++) clock.after(0, () => void ask())
  const spent = () => disk.state().spent.get('key:key') ?? 0n
  await clock.run(3_600_000, () => {
    streamsMost = Math.max(streamsMost, pipeline.running)
    const { settledNanodollars, heldNanodollars } = books.budgetSpent('key:key')
    assert.ok(settledNanodollars + heldNanodollars <= CAP, 'settled and held stay under the cap')
  })

  assert.equal(asked, REQUESTS, 'all requests were made')
  assert.equal(streamsMost, STREAMS, 'streams that ran together')
  assert.equal(books.budgetSpent('key:key').settledNanodollars, spent(), 'the books and the disk agree')
  assert.ok(spent() <= CAP, 'the cap holds')
  assert.ok(spent() * 100n >= CAP * 95n, `only ${spent()} of ${CAP} were spent`)
  assert.ok((statuses.get(402) ?? 0) >= 50, 'refused with 402')
  assert.deepEqual([...statuses.keys()].sort(), [200, 402])
  assert.equal(books.openHolds, 0)
  assert.equal(books.budgetSpent('key:key').heldNanodollars, 0n)
  const endings = [...disk.settlements.values()].map(({ ending }) => ending)
  const cutShort = endings.filter(ending => ending === 'exhausted').length
  t.diagnostic(
    `spent ${spent()} of ${CAP} n$ by ${endings.length} answers, ${cutShort} of them cut short; 402: ${statuses.get(402)}`,
  )
})

function upstreamOn(clock: SimClock, rng: Rng): SimulatedUpstream {
  return new SimulatedUpstream({
    ...{ id: 'up', clock, rng, seed: 7, stoppable: true, passesFrames: true, saysStarted: true, saysInputTokens: true },
    ...{ saysCachedTokens: true, runningUsage: false, usageAfterCancel: true, countsInput: true, latencyMs: 2 },
    engine: {
      ...{ slots: STREAMS, queueDepthMax: 1, cacheTokensMax: 100_000, prefillTokensPerMs: 50 },
      ...{ tokenMs: 10, tokenMsPerSequence: 0.1, tokensPerStep: 8 },
    },
    answerTokensMax: OUTPUT_TOKENS_MAX,
    boundedAnswerRate: 0.2,
    faultRate: () => 0,
    onFault: () => undefined,
    onAttempt: () => undefined,
  })
}
