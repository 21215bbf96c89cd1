import assert from 'node:assert/strict'
import { KeyHasher } from '../../src/admission/key-hasher.ts'
import { ApiError } from '../../src/errors.ts'
import { Idempotency } from '../../src/gateway/idempotency.ts'
import { Pipeline } from '../../src/gateway/pipeline.ts'
import { API_KEY_BODY_LENGTH, API_KEY_PREFIX, apiKeyChecksum } from '../../src/inference/api-key-format.ts'
import type { AttemptEnd, InferenceEvent } from '../../src/inference/event.ts'
import type { ApiKey, Model, Snapshot } from '../../src/inference/snapshot.ts'
import type { Attempt, AttemptHandle, AttemptSink, Upstream } from '../../src/inference/upstream.ts'
import { USAGE_ABSENT } from '../../src/inference/usage.ts'
import { Books } from '../../src/ledger/books.ts'
import type { Settlement } from '../../src/ledger/journal.ts'
import { OPENAI_CHAT } from '../../src/protocols/openai-chat/codec.ts'
import { OPENAI_COMPLETIONS } from '../../src/protocols/openai-completions/codec.ts'
import { OPENAI_EMBEDDINGS } from '../../src/protocols/openai-embeddings/codec.ts'
import { RERANK } from '../../src/protocols/rerank/codec.ts'
import { Rng } from '../../src/simulation/rng.ts'
import { SimClock } from '../../src/simulation/sim-clock.ts'
import { SimulatedClient } from '../../src/simulation/simulated-client.ts'
import { SimulatedDisk, SimulatedJournal } from '../../src/simulation/simulated-journal.ts'
import { Transcript } from '../../src/simulation/transcript.ts'
import type { Clock } from '../../src/std/clock.ts'
import { SILENT } from '../../src/telemetry/telemetry.ts'
import { UpstreamSet } from '../../src/upstreams/upstream-set.ts'

/** What happens in an attempt, a millisecond apart. Nothing more happens after the last, until a deadline passes. */
export type Happening =
  | 'began'
  | 'began uncounted'
  | 'token'
  | 'vector'
  | 'score'
  | 'finish'
  | 'usage'
  | 'end'
  | 'fail'
  | 'client leaves'
  | 'drain'
  | 'silence'
  | 'disk is full'
  | 'crash'

/** What a client was told, in short. */
export interface Told {
  readonly status: number | null
  readonly tokens: number
  /** Every choice came to its end. */
  readonly finished: boolean
  readonly error: string | null
  /** Nanodollars; null when it was not told. */
  readonly charge: number | null
  readonly notice: string
  readonly replayed: boolean
  readonly body: string
}

export const CREDIT_NANODOLLARS = 1_000_000_000n
const INPUT_TOKENS = 10
const CACHED_TOKENS = 4
const TRANCHE_TOKENS = 4
const LIMITS = { firstByteTimeoutMs: 3000, requestDeadlineMs: 8000, keepAliveMs: 60_000 }
/** Longest time of an exchange, longer than every deadline. */
const ASK_MS = 20_000

const MODEL: Model = {
  ...{ id: 'model', aliases: [], name: 'model', ownedBy: 'nobody', createdS: 0, license: 'none' },
  ...{ contextTokens: 4096, outputTokensMax: 1024, trancheTokens: TRANCHE_TOKENS },
  capabilities: {
    chat: true,
    completion: true,
    tools: true,
    reasoning: false,
    jsonSchema: true,
    logprobs: false,
    embeddings: true,
    rerank: true,
  },
  prices: [
    {
      ...{ id: 'price', modelId: 'model', fromMs: 0, toMs: null, requestPicodollars: 0n },
      ...{
        inputPicodollars: 1_000_000n,
        cachedInputPicodollars: 500_000n,
        outputPicodollars: 2_000_000n,
        searchUnitPicodollars: 7_000_000n,
      },
    },
  ],
  targets: [
    { upstreamId: 'first', upstreamModel: 'model' },
    { upstreamId: 'second', upstreamModel: 'model' },
  ],
}

/** What is asked where a test does not say more. */
const WIRES = {
  'openai-chat': { codec: OPENAI_CHAT, prompt: { messages: [{ role: 'user', content: 'Hello' }] }, streams: true },
  'openai-completions': { codec: OPENAI_COMPLETIONS, prompt: { prompt: 'Hello' }, streams: true },
  'openai-embeddings': { codec: OPENAI_EMBEDDINGS, prompt: { input: 'Hello' }, streams: false },
  rerank: { codec: RERANK, prompt: { query: 'Hello', documents: ['Hello'] }, streams: false },
} as const

const SECRET_BODY = '0'.repeat(API_KEY_BODY_LENGTH)
const SECRET = API_KEY_PREFIX + SECRET_BODY + apiKeyChecksum(SECRET_BODY)

/** Fields of the body, and what else a request is made of. */
export interface Asks {
  readonly protocol?: 'openai-completions' | 'openai-embeddings' | 'rerank'
  /** Its `Idempotency-Key`. */
  readonly key?: string
  /** The client has left before anything begins. */
  readonly gone?: boolean
  readonly secret?: string
  /** What happens while the request, let in, is written down as one that no client waits for. */
  readonly detaching?: 'drain' | 'fail'
  readonly [field: string]: unknown
}

interface Process {
  readonly clock: Clock
  readonly kill: () => void
  readonly books: Books
  readonly pipeline: Pipeline
  readonly journal: SimulatedJournal
}

/** A server on simulated time, whose upstreams do what is written down for each attempt in turn. */
export class Stage {
  readonly #clock = new SimClock()
  readonly #disk = new SimulatedDisk()
  readonly #happens: (readonly Happening[])[]
  readonly #credit: bigint
  #process: Process
  #client: SimulatedClient | null = null
  #requests = 0
  /** Attempts that were dispatched. */
  attempts = 0

  constructor(happens: readonly (readonly Happening[])[], creditNanodollars = CREDIT_NANODOLLARS) {
    this.#happens = [...happens]
    this.#credit = creditNanodollars
    this.#disk.credits.set('org', creditNanodollars)
    this.#process = this.restart()
  }

  get settlements(): Settlement[] {
    return [...this.#disk.settlements.values()]
  }

  /** A new process over what is on the disk. */
  restart(): Process {
    const { clock, kill } = this.#clock.forProcess()
    const ignore = () => undefined
    const watch = {
      ...{ admitted: ignore, voided: ignore, submitted: ignore, durable: ignore, answered: ignore, fault: ignore },
    }
    const journal = new SimulatedJournal({
      ...{ disk: this.#disk, clock, rng: new Rng(1), watch, writeMsMax: 5, failureRate: () => 0 },
    })
    const books = new Books(journal, this.#disk.state())
    const upstreams = new UpstreamSet(clock)
    for (const { upstreamId } of MODEL.targets) upstreams.add(this.#upstream(upstreamId))
    const keyHasher = new KeyHasher(Buffer.from('pepper'))
    const key: ApiKey = {
      ...{ id: 'key', orgId: 'org', name: 'key', hash: keyHasher.hash(SECRET) as string, hint: '0000' },
      ...{ capNanodollars: null, createdMs: 0, expiresMs: null, revokedMs: null, projectId: null },
    }
    const snapshot: Snapshot = {
      version: 1,
      orgs: new Map([['org', { id: 'org', name: 'Org', disabled: false }]]),
      keys: new Map([['key', key]]),
      keysByHash: new Map([[key.hash, key]]),
      projects: new Map(),
      limits: new Map(),
      limitsByKey: new Map(),
      models: new Map([['model', MODEL]]),
    }
    const find = (keyHash: string) => journal.storedAnswer(keyHash)
    const pipeline = new Pipeline({
      ...{ books, journal, upstreams, clock, keyHasher, telemetry: SILENT, snapshot: () => snapshot, limits: LIMITS },
      idempotency: new Idempotency({ find, keepMs: 86_400_000, answerBytesMax: 1 << 20 }),
      newId: prefix => `${prefix}${this.#requests}`,
      cacheSaltOf: orgId => orgId,
    })
    const tick = () => {
      pipeline.tick()
      clock.after(250, tick)
    }
    tick()
    this.#process = { clock, kill, books, pipeline, journal }
    return this.#process
  }

  /** Asks and lets the exchange come to its end. */
  async ask(asks: Asks = {}): Promise<Told> {
    const { protocol, key, gone, secret, detaching, ...fields } = asks
    const { codec, prompt, streams } = WIRES[protocol ?? 'openai-chat']
    const stream = streams ? (fields.stream ?? true) : false
    const transcript = new Transcript(stream === true, 1, () => undefined)
    const client = new SimulatedClient({
      ...{ clock: this.#clock, transcript, fault: gone === true ? 'leaves_before_dispatch' : null },
      ...{ leavesAfterMs: 0, bytesPerMs: 1, highWaterBytes: 1 },
    })
    this.#client = client
    const body = Buffer.from(JSON.stringify({ model: 'model', stream, ...prompt, ...fields }))
    const headers = { authorization: `Bearer ${secret ?? SECRET}` }
    let over = false
    const served = this.#process.pipeline.serve(codec, {
      headers: typeof key === 'string' ? { ...headers, 'idempotency-key': key } : headers,
      client,
      requestId: `req_${++this.#requests}`,
      surface: 'openai',
      body: async () => body,
      ...(detaching !== undefined && {
        detach: async () => {
          if (detaching === 'fail') throw new ApiError('settlement_unavailable', 'It cannot be written down.')
          void this.#process.pipeline.drain(0)
          return null
        },
      }),
    })
    void served.then(() => {
      over = true
    })
    await this.#pass(ASK_MS, () => over)
    const { status, tokens, whole, errorCode, usage, replayed, raw } = transcript
    assert.deepEqual(transcript.violations, [])
    return {
      ...{ status, tokens, finished: whole, error: errorCode, replayed, body: raw },
      charge: usage === null ? null : Number(usage.cost.replace('.', '')),
      notice: usage?.notice ?? '',
    }
  }

  /** Nothing is held, and just this much was charged, in the books and on the disk. */
  balanced(chargedNanodollars: bigint): void {
    const { books } = this.#process
    const balanceNanodollars = this.#credit - chargedNanodollars
    assert.equal(books.openHolds, 0)
    assert.deepEqual(books.orgFunds('org'), {
      balanceNanodollars,
      heldNanodollars: 0n,
      availableNanodollars: balanceNanodollars,
    })
    assert.equal(this.#disk.state().balances.get('org'), balanceNanodollars)
    assert.deepEqual(books.budgetSpent('key:key'), { settledNanodollars: chargedNanodollars, heldNanodollars: 0n })
  }

  /** There is space again, and time for the gateway to look. */
  async diskIsFree(): Promise<void> {
    this.#disk.full = false
    await this.#pass(2000)
  }

  #pass(durationMs: number, enough?: () => boolean): Promise<void> {
    return this.#clock.run(this.#clock.monotonicMs() + durationMs, () => undefined, enough)
  }

  #upstream(id: string): Upstream {
    return {
      id,
      kind: 'scripted',
      stoppable: true,
      run: (attempt, sink) => this.#run(attempt, sink),
      load: () => ({ running: 0, queued: 0, queueDepthMax: 1 }),
      close: async () => undefined,
    }
  }

  #run(_attempt: Attempt, sink: AttemptSink): AttemptHandle {
    const happens = this.#happens.shift() ?? []
    this.attempts++
    const { clock } = this.#process
    let tokens = 0
    let over = false
    const end = (how: AttemptEnd) => {
      if (over) return
      over = true
      sink.onEnd(how)
    }
    const events: Partial<Record<Happening, () => InferenceEvent>> = {
      began: () => ({ type: 'started', inputTokens: INPUT_TOKENS }),
      'began uncounted': () => ({ type: 'started' }),
      token: () => ({ type: 'delta', choice: 0, content: `word${tokens++} `, tokens: 1 }),
      vector: () => ({ type: 'embedding', index: 0, vector: Float32Array.from([1, 2]) }),
      score: () => ({ type: 'score', index: 0, score: 0.5 }),
      finish: () => ({ type: 'finish', choice: 0, reason: 'stop' }),
      usage: () => ({
        type: 'usage',
        usage: {
          ...USAGE_ABSENT,
          ...{ inputTokens: INPUT_TOKENS, inputSource: 'reported', outputTokens: tokens, outputSource: 'reported' },
          ...{ cachedInputTokens: CACHED_TOKENS, cachedInputSource: 'reported' },
        },
      }),
    }
    const acts: Partial<Record<Happening, () => void>> = {
      end: () => end({ kind: 'completed' }),
      fail: () =>
        end({ kind: 'failed', failure: { reason: 'disconnected', message: 'The line broke.', retryable: true } }),
      'client leaves': () => this.#client?.leave(),
      drain: () => void this.#process.pipeline.drain(0),
      'disk is full': () => {
        this.#disk.full = true
      },
      crash: () => {
        this.#process.kill()
        this.#process.journal.crash()
        this.#client?.cut()
      },
    }
    for (const [i, happening] of happens.entries()) {
      clock.after(i + 1, () => {
        if (over) return
        acts[happening]?.()
        const event = events[happening]?.()
        if (event !== undefined) sink.onEvent(event)
      })
    }
    return { cancel: () => end({ kind: 'cancelled' }), pause: () => undefined, resume: () => undefined }
  }
}
