import { expireGrants } from '../../src/control/expire-grants.ts'
import type { ClientPort } from '../../src/gateway/client-port.ts'
import { Idempotency } from '../../src/gateway/idempotency.ts'
import { Pipeline, type PipelineParts } from '../../src/gateway/pipeline.ts'
import { Books } from '../../src/ledger/books.ts'
import type { Journal } from '../../src/ledger/journal.ts'
import { OPENAI_CHAT } from '../../src/protocols/openai-chat/codec.ts'
import { OPENAI_COMPLETIONS } from '../../src/protocols/openai-completions/codec.ts'
import { Auditor } from '../../src/simulation/auditor.ts'
import { Rng } from '../../src/simulation/rng.ts'
import { SimClock } from '../../src/simulation/sim-clock.ts'
import { CLIENT_FAULTS, SimulatedClient } from '../../src/simulation/simulated-client.ts'
import { type JournalWatch, SimulatedDisk, SimulatedJournal } from '../../src/simulation/simulated-journal.ts'
import { SimulatedUpstream } from '../../src/simulation/simulated-upstream.ts'
import { Transcript } from '../../src/simulation/transcript.ts'
import type { Clock } from '../../src/std/clock.ts'
import { createIdMaker } from '../../src/std/request-id.ts'
import { SILENT } from '../../src/telemetry/telemetry.ts'
import { UpstreamSet } from '../../src/upstreams/upstream-set.ts'
import { CreditChanges, type EndGrants } from './credit-changes.ts'
import { type Asked, makeRequest } from './requests.ts'
import { ANSWER_TOKENS_MAX, makeWorld, type World } from './world.ts'

/** Requests come in during this time; then faults stop, and everything may end. */
const BUSY_MS = 12_000
/** Longer than every deadline of the pipeline. */
const QUIET_MS = 30_000
const TICK_MS = 250
/** Within so long after a grant is over it has gone back, as nothing is held. */
const GRANT_ENDS_WITHIN_MS = 5000
const LIMITS = { firstByteTimeoutMs: 3000, requestDeadlineMs: 8000, keepAliveMs: 700 }
const WALL_JUMPS_MS = [-86_400_000, -1000, 500, 3_600_000]

/** What can happen to the server itself. */
export const PROCESS_FAULTS = ['crash', 'drain', 'wall_clock_jump', 'slow_body'] as const

/** When a client sends a request with its idempotency key again. */
export const REPEAT_FAULTS = [
  'repeats_at_once',
  'repeats_after_lost_line',
  'repeats_after_answer',
  'repeats_after_error',
  'repeats_with_other_body',
] as const

/** Most exchanges under one idempotency key. */
const REPEATS_MAX = 4
/** Later than this nothing is sent again, so that everything can end. */
const REPEATS_UNTIL_MS = BUSY_MS + 10_000
const KEEP_MS = 86_400_000

/** A bug to plant, to see that the auditor finds it. */
export interface Sabotage {
  readonly journal?: (journal: Journal, world: World) => Journal
  readonly books?: typeof Books
  readonly idempotency?: typeof Idempotency
  readonly endGrants?: EndGrants
}

/** What a run of one seed showed. */
export interface Outcome {
  /** What the auditor found wrong, in order; it stops at the first step that shows something. */
  readonly violations: readonly string[]
  /** Times that each fault was injected. */
  readonly faults: ReadonlyMap<string, number>
  readonly endings: ReadonlyMap<string, number>
  /** Times that each line of the table of endings came up. */
  readonly lines: ReadonlyMap<string, number>
  /** Whole answers by another model than the first that was asked. */
  readonly fellBack: number
  /** HTTP statuses that clients got; 0 for none. */
  readonly statuses: ReadonlyMap<number, number>
}

/** A request as it is sent under an idempotency key. */
interface Sent {
  readonly key: string
  /** Exchanges before this one. */
  readonly times: number
  readonly body: Buffer
}

interface Exchange {
  readonly client: SimulatedClient
  readonly over: (cut: boolean) => void
}

/** One server process: everything of it dies in a crash. */
interface Process {
  readonly clock: Clock
  readonly pipeline: Pipeline
  readonly books: Books
  readonly journal: SimulatedJournal
  readonly kill: () => void
}

/** Runs the production pipeline through everything that the seed has in store for it. */
export async function runScenario(seed: number, sabotage: Sabotage = {}): Promise<Outcome> {
  const scenario = new Scenario(seed, sabotage)
  return scenario.run()
}

class Scenario {
  readonly #seed: number
  readonly #sabotage: Sabotage
  readonly #rng: Rng
  readonly #clock = new SimClock()
  readonly #disk = new SimulatedDisk()
  readonly #world: World
  readonly #auditor: Auditor
  readonly #changes: CreditChanges
  readonly #faults = new Map<string, number>()
  readonly #statuses = new Map<number, number>()
  readonly #newId: (prefix: string) => string
  /** Clients whose exchange is not over, by request. */
  readonly #clients = new Map<string, Exchange>()
  #process: Process
  #upstreamFaultRate: number
  #journalFailureRate: number
  #crashWhenWriting = false
  readonly #answerBytesMax: number
  readonly #repeats: Rng
  #keys = 0

  constructor(seed: number, sabotage: Sabotage) {
    this.#seed = seed
    this.#sabotage = sabotage
    this.#rng = new Rng(seed)
    this.#world = makeWorld(this.#rng.split('world'))
    for (const [orgId, credit] of this.#world.credits) this.#disk.credits.set(orgId, credit)
    this.#auditor = new Auditor(this.#world.credits, this.#world.caps, this.#world.snapshot.limitsByKey, this.#disk)
    this.#changes = new CreditChanges(seed, {
      disk: this.#disk,
      auditor: this.#auditor,
      count: fault => this.#count(fault),
      endGrants: sabotage.endGrants ?? expireGrants,
    })
    this.#changes.give(this.#world.credits, this.#clock, BUSY_MS)
    const ids = this.#rng.split('ids')
    this.#newId = createIdMaker(
      () => this.#clock.nowMs(),
      bytes => {
        for (let i = 0; i < bytes.length; i++) bytes[i] = ids.next32()
      },
    )
    this.#upstreamFaultRate = this.#rng.pick([0, 0.1, 0.4])
    this.#journalFailureRate = this.#rng.pick([0, 0, 0.1])
    this.#answerBytesMax = this.#rng.pick([3000, 1 << 20, 1 << 20])
    this.#repeats = this.#rng.split('repeats')
    this.#process = this.#start()
  }

  async run(): Promise<Outcome> {
    this.#plan()
    const audit = () => {
      if (this.#auditor.violations.length === 0) this.#auditor.instant(this.#process.books)
    }
    const found = () => this.#auditor.violations.length > 0
    await this.#clock.run(BUSY_MS, audit, found)
    this.#upstreamFaultRate = 0
    this.#journalFailureRate = 0
    this.#disk.full = false
    if (this.#disk.broken) this.#crash()
    await this.#clock.run(BUSY_MS + QUIET_MS, audit, found)
    if (!found()) {
      this.#auditor.quiet(this.#process.books, this.#clock.nowMs() - GRANT_ENDS_WITHIN_MS)
      for (const requestId of this.#clients.keys()) this.#auditor.wrong(requestId, 'its exchange never ended')
      if (this.#process.pipeline.running > 0) this.#auditor.wrong('end', 'requests still run')
    }
    return {
      violations: this.#auditor.violations,
      faults: this.#faults,
      endings: this.#auditor.endings,
      lines: this.#auditor.lines,
      fellBack: this.#auditor.fellBack,
      statuses: this.#statuses,
    }
  }

  /** Sets all that is going to happen on the clock. */
  #plan(): void {
    const rng = this.#rng.split('plan')
    const tick = () => {
      this.#process.pipeline.tick()
      this.#clock.after(TICK_MS, tick)
    }
    tick()
    const requests = this.#rng.split('requests')
    const tokens = new Rng(this.#seed).split('tokens')
    const prefixes = Array.from({ length: 3 }, (_, i) => `Prefix ${i}. `.repeat(requests.int(1, 60)))
    for (let i = 0; i < rng.int(20, 200); i++) {
      const asked = makeRequest(requests, this.#world, prefixes, tokens)
      this.#clock.after(rng.int(0, BUSY_MS), () => this.#ask(asked, requests, this.#newKey(asked)))
    }
    // Half of the crashes hit a journal that is writing.
    if (rng.chance(0.4)) {
      const whileWriting = rng.chance(0.5)
      this.#at(rng, () => {
        if (whileWriting) this.#crashWhenWriting = true
        else this.#crash()
      })
    }
    if (rng.chance(0.3)) this.#at(rng, () => void this.#drain(rng.pick([0, 500, 20_000])))
    if (rng.chance(0.5)) {
      const byMs = rng.pick(WALL_JUMPS_MS)
      this.#at(rng, () => {
        this.#count('wall_clock_jump')
        this.#clock.jumpWall(byMs)
      })
    }
    const changes = new Rng(this.#seed).split('chargebacks')
    if (changes.chance(0.3)) this.#at(changes, () => this.#changes.chargeBack(this.#process.books))
    if (rng.chance(0.2)) {
      this.#at(rng, () => {
        this.#disk.full = true
        this.#clock.after(rng.int(100, 3000), () => {
          this.#disk.full = false
        })
      })
    }
    // Somebody restarts the server a while after its disk has failed.
    if (rng.chance(0.1)) {
      this.#at(rng, () => {
        this.#disk.broken = true
        this.#clock.after(rng.int(100, 3000), () => this.#disk.broken && this.#crash())
      })
    }
  }

  /** About a third of the requests come with a key of their own. */
  #newKey(asked: Asked): Sent | null {
    if (!this.#repeats.chance(0.35)) return null
    const key = `key-${this.#keys++}`
    const sent = { key, times: 0, body: asked.body }
    if (this.#repeats.chance(0.15)) {
      this.#count('repeats_at_once')
      this.#clock.after(this.#repeats.int(0, 50), () => this.#ask(asked, this.#repeats, sent))
    }
    return sent
  }

  /** What a client does about a request whose exchange is over. */
  #repeat(asked: Asked, sent: Sent, client: SimulatedClient, cut: boolean): void {
    if (sent.times >= REPEATS_MAX || this.#clock.monotonicMs() > REPEATS_UNTIL_MS) return
    const rng = this.#repeats
    const { transcript, gone } = client
    const reason =
      cut || gone ? 'repeats_after_lost_line' : transcript.whole ? 'repeats_after_answer' : 'repeats_after_error'
    if (!rng.chance(reason === 'repeats_after_lost_line' ? 0.8 : 0.3)) return
    this.#count(reason)
    let again = sent
    if (rng.chance(0.1)) {
      this.#count('repeats_with_other_body')
      // The same request to those who read it, another to those who compare bytes.
      again = { ...sent, body: Buffer.concat([sent.body, Buffer.from(' ')]) }
    }
    this.#clock.after(rng.int(0, 3000), () => this.#ask(asked, rng, again))
  }

  #at(rng: Rng, happens: () => void): void {
    this.#clock.after(rng.int(BUSY_MS / 10, BUSY_MS), happens)
  }

  #ask(asked: Asked, rng: Rng, sent: Sent | null): void {
    const id = this.#newId('req_')
    const { facts, protocol } = asked
    const body = sent?.body ?? asked.body
    const headers = sent === null ? asked.headers : { ...asked.headers, 'idempotency-key': sent.key }
    const once = sent === null ? null : { key: `${facts.tokenId ?? facts.keyId} ${sent.key}`, body: body.toString() }
    const over = (cut: boolean) => {
      this.#ended(id, client, cut)
      if (sent !== null) this.#repeat(asked, { ...sent, times: sent.times + 1 }, client, cut)
    }
    const transcript = new Transcript(facts.stream, facts.choices, () => this.#auditor.completing(id))
    const fault = rng.chance(0.3) ? rng.pick(CLIENT_FAULTS) : null
    if (fault !== null) this.#count(fault)
    const client = new SimulatedClient({
      clock: this.#clock,
      transcript,
      fault,
      leavesAfterMs: rng.int(0, 1500),
      bytesPerMs: rng.pick([1, 20]),
      highWaterBytes: rng.pick([200, 2000]),
    })
    // Structurally a `ClientPort`: the simulation may not import the gateway.
    const port: ClientPort = client
    this.#clients.set(id, { client, over })
    this.#auditor.asked({ ...facts, id, once, transcript, gone: () => client.gone })
    const process = this.#process
    const codec = protocol === 'openai-chat' ? OPENAI_CHAT : OPENAI_COMPLETIONS
    const served = process.pipeline.serve(codec, {
      headers,
      client: port,
      requestId: id,
      surface: 'openai',
      body: () => this.#body(body, process.clock, rng),
    })
    void served.then(() => {
      if (this.#clients.delete(id)) over(false)
    })
  }

  #body(body: Buffer, clock: Clock, rng: Rng): Promise<Buffer> {
    if (rng.chance(0.8)) return Promise.resolve(body)
    this.#count('slow_body')
    return new Promise(resolve => clock.after(rng.int(1, 2000), () => resolve(body)))
  }

  #ended(id: string, client: SimulatedClient, cut: boolean): void {
    const status = client.transcript.status ?? 0
    this.#statuses.set(status, (this.#statuses.get(status) ?? 0) + 1)
    this.#auditor.ended(id, cut)
  }

  /** The process dies between two instructions; another one starts from what is on the disk. */
  #crash(): void {
    this.#count('crash')
    this.#crashWhenWriting = false
    this.#process.kill()
    this.#process.journal.crash()
    this.#cutAll()
    this.#auditor.crashed()
    this.#process = this.#start()
  }

  /** The process stops in good order; another one starts. */
  async #drain(graceMs: number): Promise<void> {
    this.#count('drain')
    const process = this.#process
    await process.pipeline.drain(graceMs)
    // A crash in between has taken it.
    if (this.#process !== process) return
    this.#auditor.drained()
    // A moment in which a straggler would show, before the next process takes over.
    this.#clock.after(100, () => {
      if (this.#process !== process) return
      process.kill()
      this.#cutAll()
      this.#auditor.crashed()
      this.#process = this.#start()
    })
  }

  #cutAll(): void {
    const exchanges = [...this.#clients.values()]
    this.#clients.clear()
    for (const { client } of exchanges) client.cut()
    for (const { over } of exchanges) over(true)
  }

  #start(): Process {
    this.#disk.broken = false
    const { clock, kill } = this.#clock.forProcess()
    const rng = this.#rng.split('process')
    const auditor = this.#auditor
    const watch: JournalWatch = {
      admitted: admission => auditor.admitted(admission, books.orgFunds(admission.orgId).availableNanodollars),
      voided: requestId => auditor.voided(requestId),
      submitted: (settlement, answer) => {
        auditor.submitted(settlement, answer)
        if (this.#crashWhenWriting) this.#clock.after(0, () => this.#crashWhenWriting && this.#crash())
        this.#clients.get(settlement.requestId)?.client.settling()
      },
      durable: (settlement, answer) => auditor.durable(settlement, answer),
      answered: (settlement, kept) => auditor.answered(settlement, kept),
      fault: fault => this.#count(fault),
    }
    const writeMsMax = rng.pick([0, 5, 200])
    const journal = new SimulatedJournal({
      disk: this.#disk,
      clock,
      rng: rng.split('journal'),
      watch,
      writeMsMax,
      failureRate: () => this.#journalFailureRate,
    })
    const books: Books = new (this.#sabotage.books ?? Books)(
      this.#sabotage.journal?.(journal, this.#world) ?? journal,
      this.#disk.state(),
    )
    this.#changes.run(books, clock)
    const upstreams = new UpstreamSet(clock)
    for (const id of this.#world.upstreamIds) upstreams.add(this.#upstream(id, clock, this.#rng.split(id)))
    const parts: PipelineParts = {
      snapshot: () => this.#world.snapshot,
      books,
      journal,
      upstreams,
      clock,
      telemetry: SILENT,
      keyHasher: this.#world.keyHasher,
      idempotency: new (this.#sabotage.idempotency ?? Idempotency)({
        find: keyHash => journal.storedAnswer(keyHash),
        keepMs: KEEP_MS,
        answerBytesMax: this.#answerBytesMax,
      }),
      newId: this.#newId,
      cacheSaltOf: orgId => orgId,
      limits: LIMITS,
    }
    return { clock, pipeline: new Pipeline(parts), books, journal, kill }
  }

  #upstream(id: string, clock: Clock, rng: Rng): SimulatedUpstream {
    const passesFrames = rng.chance(0.5)
    return new SimulatedUpstream({
      id,
      clock,
      rng,
      seed: this.#seed,
      engine: {
        slots: rng.int(1, 12),
        queueDepthMax: rng.int(0, 20),
        cacheTokensMax: rng.pick([0, 256, 8192]),
        prefillTokensPerMs: rng.pick([1, 20]),
        tokenMs: rng.pick([0, 2, 15]),
        tokenMsPerSequence: rng.pick([0, 1]),
        tokensPerStep: rng.pick([1, 4, 16]),
      },
      stoppable: rng.chance(0.9),
      passesFrames,
      saysStarted: passesFrames || rng.chance(0.7),
      saysInputTokens: rng.chance(0.5),
      saysCachedTokens: rng.chance(0.8),
      runningUsage: rng.chance(0.3),
      usageAfterCancel: rng.chance(0.5),
      countsInput: rng.chance(0.5),
      latencyMs: rng.pick([0, 1, 40]),
      answerTokensMax: ANSWER_TOKENS_MAX,
      boundedAnswerRate: 0.5,
      faultRate: () => this.#upstreamFaultRate,
      onFault: fault => this.#count(fault),
      onAttempt: record => this.#auditor.attempted(record),
    })
  }

  #count(fault: string): void {
    this.#faults.set(fault, (this.#faults.get(fault) ?? 0) + 1)
  }
}
