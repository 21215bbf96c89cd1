import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'
import { admit, type Ticket } from '../admission/admit.ts'
import { authenticate, type Caller } from '../admission/authenticate.ts'
import type { KeyHasher } from '../admission/key-hasher.ts'
import { limitHeaders, stateOf } from '../admission/limit-headers.ts'
import { limitsOf } from '../admission/limits.ts'
import { type Quote, quote } from '../admission/quote.ts'
import { type Sale, saleOf } from '../admission/sale.ts'
import { ApiError } from '../errors.ts'
import { hasImages, hasRemoteImages } from '../inference/image-parts.ts'
import type { LimitRule } from '../inference/limit-rule.ts'
import type { InferenceRequest, Surface } from '../inference/request.ts'
import type { ServiceTier } from '../inference/service-tier.ts'
import type { Model, Snapshot, Target } from '../inference/snapshot.ts'
import type { Usage } from '../inference/usage.ts'
import type { Books } from '../ledger/books.ts'
import { type Ending, type Journal, JournalRefusal, type Settlement } from '../ledger/journal.ts'
import type { KeptDocument } from '../ledger/kept-document.ts'
import type { Notifier } from '../ledger/notifier.ts'
import type { StoredAnswer } from '../ledger/stored-answer.ts'
import { chargedTier } from '../pricing/ceiling.ts'
import type { DecodeContext, KeptOwner, KeptReader, ProtocolCodec } from '../protocols/protocol.ts'
import { requestIdHeaders } from '../protocols/surface.ts'
import { type Placement, place } from '../router/place.ts'
import { type Charge, charge, upstreamCost } from '../settlement/charge.ts'
import { finalUsage, inputTokensLower } from '../settlement/final-usage.ts'
import type { Clock } from '../std/clock.ts'
import { type LiveMember, LiveSet } from '../std/live-set.ts'
import type { Telemetry } from '../telemetry/telemetry.ts'
import type { UpstreamSet } from '../upstreams/upstream-set.ts'
import { nanodollarsToDecimal } from '../wire/decimal.ts'
import { attemptVerdict } from './attempt-verdict.ts'
import type { ClientPort } from './client-port.ts'
import { type Idempotency, type Once, replay } from './idempotency.ts'
import { JournalHealth } from './journal-health.ts'
import { Relay, type RelayEnd } from './relay.ts'
import { failureError, sendError, toApiError } from './respond.ts'

/** What the pipeline is made of. Everything that touches the world is handed in. */
export interface PipelineParts {
  readonly snapshot: () => Snapshot
  readonly books: Books
  readonly journal: Journal
  readonly upstreams: UpstreamSet
  readonly clock: Clock
  readonly telemetry: Telemetry
  /** Told of what happens to money; nobody is when there is none. */
  readonly notifier?: Notifier
  readonly keyHasher: KeyHasher
  readonly idempotency: Idempotency
  readonly newId: (prefix: string) => string
  /** Prompt-cache salt of an org. */
  readonly cacheSaltOf: (orgId: string) => string
  /** What is kept for an org; absent where nothing is. */
  readonly keptOf?: (orgId: string) => KeptReader
  /** Puts images in the place of their URLs, so that no upstream fetches for us; absent: images have to come with the request. */
  readonly fetchImages?: (request: InferenceRequest, signal: AbortSignal) => Promise<InferenceRequest>
  readonly limits: PipelineLimits
}

/** Bounds in time. */
export interface PipelineLimits {
  /** No output token after so long: the request times out. */
  readonly firstByteTimeoutMs: number
  /** No request runs longer. */
  readonly requestDeadlineMs: number
  /** A silent stream gets a comment after so long, so that no proxy in between closes it. */
  readonly keepAliveMs: number
}

/** One HTTP exchange as it comes in. */
export interface Incoming {
  readonly headers: IncomingHttpHeaders
  readonly body: () => Promise<Uint8Array>
  readonly client: ClientPort
  /** Also sent as `x-request-id`. */
  readonly requestId: string
  readonly surface: Surface
  /** Without its query; absent where the request did not come over HTTP. */
  readonly path?: string
  /** The model's id, where the path names it. */
  readonly pathModel?: string
  /** `batch`: no client waits, and the price is that of batches. */
  readonly work?: 'interactive' | 'batch'
  /** Who asks, where that is known without headers: work that was handed in before. Throws `ApiError` when it no longer may. */
  readonly caller?: () => Caller
  /** What of a whole answer is to be kept beside it, durable together with its settlement. */
  readonly keep?: (answer: Uint8Array, owner: KeptOwner) => readonly KeptDocument[]
  /**
   * Called once the request is let in, before it runs. Answers where the answer is to go instead of the client, who is not waited for;
   * null: to the client. What it rejects with refuses the request.
   */
  readonly detach?: (admitted: Admitted) => Promise<ClientPort | null>
  /** The client's address, for the log of refusals. */
  readonly from?: () => string
}

/** A request that was let in. */
export interface Admitted {
  readonly request: InferenceRequest
  readonly caller: Caller
  readonly model: Model
  /** Wall clock. */
  readonly admittedMs: number
}

/** A silent buffered answer gets a blank, which JSON allows before a value, well before undici's 300 s without a byte. */
const BUFFERED_KEEP_ALIVE_MS = 60_000

/** A request that runs, for time-outs, draining, and people who ask what is going on. */
interface Run extends LiveMember {
  readonly request: InferenceRequest
  readonly surface: Surface
  readonly keep: Incoming['keep']
  readonly caller: Caller
  readonly model: Model
  readonly ticket: Ticket
  readonly relay: Relay
  /** Where the client sent an `Idempotency-Key`. */
  readonly once: Once | null
  /** Monotonic. */
  readonly receivedMs: number
}

/**
 * A request's life: authenticate → decode → quote → admit → place → relay → settle. The only place that knows all stages;
 * they do not know one another.
 */
export class Pipeline {
  readonly #parts: PipelineParts
  readonly #runs = new LiveSet<Run>()
  readonly #journalHealth: JournalHealth
  #draining = false

  constructor(parts: PipelineParts) {
    this.#parts = parts
    this.#journalHealth = new JournalHealth(parts.clock)
  }

  /** Requests that were admitted and have not ended. */
  get running(): number {
    return this.#runs.size
  }

  /** Whether charges can be made durable, as far as is known. */
  get journalHealthy(): boolean {
    return this.#journalHealth.healthy
  }

  /** Serves one exchange to its end. Never rejects. */
  async serve(codec: ProtocolCodec, incoming: Incoming): Promise<void> {
    const { requestId } = incoming
    let { client } = incoming
    const { clock, telemetry } = this.#parts
    const receivedMs = clock.monotonicMs()
    let once: Once | null = null
    let caller: Caller | null = null
    try {
      const snapshot = this.#parts.snapshot()
      caller = incoming.caller?.() ?? authenticate(incoming.headers, snapshot, this.#parts.keyHasher, clock.nowMs())
      this.#refuseWhileDraining()
      const body = await incoming.body()
      const idempotencyKey = incoming.headers['idempotency-key']
      if (idempotencyKey !== undefined) {
        once = await this.#parts.idempotency.begin(idempotencyKey, caller.key.id, codec.protocol, body, clock.nowMs())
        if (once.stored !== null) {
          telemetry.replayed()
          replay(client, once.stored)
          return
        }
      }
      const decoded = codec.decode(body, this.#decodeContext(incoming, caller, snapshot))
      const request = decoded instanceof Promise ? await decoded : decoded
      // A body may take long to come; what had not begun when a drain began does not begin.
      this.#refuseWhileDraining()
      const model = findModel(snapshot, request)
      const sale = saleOf(request, model, caller.org, clock.nowMs(), incoming.work)
      if (!this.#journalHealth.mayAdmit()) {
        throw new ApiError('settlement_unavailable', 'Charges cannot be written at the moment.', { retryAfterMs: 5000 })
      }
      const ticket = await this.#admit(caller, request, model, sale, snapshot.limitsByKey.get(caller.key.id))
      try {
        const { admittedMs } = ticket.quote
        client = (await incoming.detach?.({ request, caller, model, admittedMs })) ?? client
        // Not before money is held: nobody fetches through us who could not pay for the answer.
        const whole = hasRemoteImages(request.input) ? await this.#withImages(request, client) : request
        await this.#run(codec, whole, caller, model, ticket, { ...incoming, client }, once, receivedMs)
      } finally {
        // Gives back whatever no settlement took, on every path.
        this.#parts.books.void(ticket.hold)
      }
    } catch (thrown) {
      const error = toApiError(thrown)
      telemetry.refused(error.code, requestId, thrown, incoming.from)
      if (error.code === 'insufficient_balance' && caller !== null) this.#parts.notifier?.creditExhausted(caller.org.id)
      if (!client.headSent) sendError(client, error, requestId, incoming.surface)
      else client.end()
    } finally {
      once?.end()
    }
  }

  /** Called every so often (a quarter of a second is fine): deadlines and keep-alives of all running requests. */
  tick(): void {
    const nowMs = this.#parts.clock.monotonicMs()
    const { firstByteTimeoutMs, requestDeadlineMs, keepAliveMs } = this.#parts.limits
    for (const run of this.#runs.members()) {
      const { relay, request } = run
      const ageMs = nowMs - run.receivedMs
      if (ageMs > requestDeadlineMs || (!relay.outputBegan && ageMs > firstByteTimeoutMs)) relay.stop('timed_out')
      relay.tick(nowMs)
      const silentMs = nowMs - Math.max(relay.lastWriteMs, run.receivedMs)
      if (silentMs >= (request.stream ? keepAliveMs : BUFFERED_KEEP_ALIVE_MS)) relay.keepAlive()
    }
  }

  /** Takes no new requests; resolves when the running ones have ended, which are aborted after `graceMs`. */
  async drain(graceMs: number): Promise<void> {
    this.#draining = true
    const abort = this.#parts.clock.after(graceMs, () => {
      for (const run of this.#runs.members()) run.relay.stop('aborted')
    })
    while (this.#runs.size > 0) await new Promise<void>(resolve => this.#parts.clock.after(20, resolve))
    abort()
  }

  /** What is known of a request that still runs, for the org that made it. */
  runningRequest(orgId: string, requestId: string): { heldNanodollars: bigint; outputTokens: number } | undefined {
    const run = this.#runs.members().find(each => each.request.id === requestId)
    if (run === undefined || run.caller.org.id !== orgId) return undefined
    return { heldNanodollars: run.ticket.hold.amountNanodollars, outputTokens: run.relay.outputTokens }
  }

  // Bytes bound the input safely. Only where that bound is refused is the engine asked for the exact number, so that the
  // wait for it is paid by those who are short of money and by nobody else.
  async #admit(
    caller: Caller,
    request: InferenceRequest,
    model: Model,
    sale: Sale,
    rules: readonly LimitRule[] | undefined,
  ): Promise<Ticket> {
    const { books, upstreams } = this.#parts
    const stoppable = model.targets.every(target => upstreams.get(target.upstreamId)?.stoppable ?? true)
    const under = (bounds: Quote) => (rules === undefined ? undefined : limitsOf(rules, request, model.id, bounds))
    const worst = quote(request, model, sale, stoppable)
    try {
      return this.#admitted(request, caller, model, admit(caller, worst, request.id, books, under(worst)))
    } catch (refusal) {
      const target = model.targets[0]
      const count = target === undefined ? undefined : upstreams.get(target.upstreamId)?.countInput
      if (!(refusal instanceof ApiError) || refusal.status !== 402 || count === undefined || model.targets.length !== 1)
        throw refusal
      const floor = quote(request, model, sale, stoppable, 0)
      // Not even an empty prompt could be paid: no need to count.
      books.void(admit(caller, floor, request.id, books).hold)
      const upstream = upstreams.get((target as { upstreamId: string }).upstreamId)
      const inputTokens = await upstream
        ?.countInput?.(request, (target as { upstreamModel: string }).upstreamModel)
        .catch(() => undefined)
      if (inputTokens === undefined) throw refusal
      this.#refuseWhileDraining()
      const exact = quote(request, model, sale, stoppable, inputTokens)
      return this.#admitted(request, caller, model, admit(caller, exact, request.id, books, under(exact)))
    }
  }

  #decodeContext(incoming: Incoming, { org }: Caller, snapshot: Snapshot): DecodeContext {
    const { requestId, surface, headers, path, pathModel } = incoming
    const capabilitiesOf = (model: string) => snapshot.models.get(model)?.capabilities
    return { requestId, surface, headers, path, pathModel, kept: this.#parts.keptOf?.(org.id), capabilitiesOf }
  }

  async #withImages(request: InferenceRequest, client: ClientPort): Promise<InferenceRequest> {
    const { fetchImages } = this.#parts
    if (fetchImages === undefined) {
      throw new ApiError('unsupported_parameter', 'Images are not fetched here; send them as data: URLs.', {
        param: 'messages',
      })
    }
    const leaving = new AbortController()
    client.onGone = () => leaving.abort()
    try {
      const whole = await fetchImages(request, leaving.signal)
      this.#refuseWhileDraining()
      return whole
    } catch (error) {
      // Then nobody is there to hear of it.
      if (!client.gone) throw error
      return request
    } finally {
      client.onGone = null
    }
  }

  #refuseWhileDraining(): void {
    if (this.#draining) throw new ApiError('draining', 'The server is stopping.', { retryAfterMs: 5000 })
  }

  #admitted(request: InferenceRequest, caller: Caller, model: Model, ticket: Ticket): Ticket {
    this.#parts.journal.admitted({
      requestId: request.id,
      orgId: caller.org.id,
      keyId: caller.key.id,
      modelId: model.id,
      heldNanodollars: ticket.hold.amountNanodollars,
      admittedMs: ticket.quote.admittedMs,
    })
    return ticket
  }

  async #run(
    codec: ProtocolCodec,
    request: InferenceRequest,
    caller: Caller,
    model: Model,
    ticket: Ticket,
    incoming: Incoming,
    once: Once | null,
    receivedMs: number,
  ): Promise<void> {
    const { clock, upstreams, telemetry } = this.#parts
    const { client: connection, surface, keep } = incoming
    const client = once === null ? connection : once.record(connection)
    const { admittedMs } = ticket.quote
    const createdS = Math.floor(admittedMs / 1000)
    const headers: OutgoingHttpHeaders = { ...requestIdHeaders(surface, request.id), 'x-headrace-model': model.id }
    if (request.dropped !== undefined && request.dropped.length > 0)
      headers['x-headrace-dropped'] = shown(request.dropped)
    if (ticket.hold.lines.length > 0) Object.assign(headers, limitHeaders(ticket.hold.lines.map(stateOf), admittedMs))
    const relay = new Relay({
      request,
      model,
      ticket,
      client,
      passthrough: request.stream && passesFrames(codec, request) && request.sent === undefined,
      newEncoder: () => codec.encoder(request, model.id, createdS),
      openHead: () =>
        client.head(200, request.stream ? { ...STREAM_HEADERS, ...headers } : { ...BUFFERED_HEADERS, ...headers }),
      nowMs: () => clock.monotonicMs(),
    })
    const run: Run = { request, surface, keep, caller, model, ticket, relay, once, receivedMs, slot: -1 }
    client.onGone = () => relay.stop('cancelled')
    this.#runs.add(run)
    telemetry.admitted(model.id)
    try {
      const placement = place(model.targets, target => upstreams.view(target))
      const served = client.gone ? NOBODY_THERE : await this.#relay(run, placement, headers)
      await this.#settle(run, served, client, headers)
    } finally {
      this.#runs.remove(run)
    }
  }

  async #relay(run: Run, placement: Placement, headers: OutgoingHttpHeaders): Promise<Served> {
    const { upstreams, cacheSaltOf } = this.#parts
    let end: RelayEnd = { ending: 'failed', failure: unavailable(run.model, placement) }
    let attempts = 0
    let reached: Target | null = null
    for (const { target, reason } of placement.places) {
      const upstream = upstreams.get(target.upstreamId)
      if (upstream === undefined) continue
      attempts++
      reached = target
      headers['x-headrace-upstream'] = target.upstreamId
      headers['x-headrace-route'] =
        attempts === 1 ? reason : `fallback ${attempts} of ${placement.places.length}; ${reason}`
      end = await run.relay.attempt(upstream, target.upstreamModel, cacheSaltOf(run.caller.org.id))
      const verdict = attemptVerdict(upstream, end, run.relay.outputBegan)
      if (verdict !== undefined) upstreams.observe(target, verdict)
      if (end.failure === null || !end.failure.retryable) break
      // What a stream's client has already seen cannot be unsaid by another target.
      if (run.relay.committed) break
    }
    headers['x-headrace-attempts'] = String(attempts)
    return { ...end, attempts, target: reached }
  }

  // Settled before told: nothing that makes an answer look complete leaves before its charge is durable.
  async #settle(run: Run, served: Served, client: ClientPort, headers: OutgoingHttpHeaders): Promise<void> {
    const { request, relay, ticket, caller, model } = run
    const { books, clock, telemetry } = this.#parts
    const ending = isEmpty(request, relay, served.ending) ? 'empty' : served.ending
    if (ending === 'exhausted') relay.finishOpenChoices()
    const counting = this.#countUnreportedInput(run, served)
    const countedInput = counting === undefined ? undefined : await counting
    const { price, admittedMs, tier: askedTier } = ticket.quote
    const done = usageOf(run, countedInput)
    const usage = relayedUsage(done, relay, ending)
    const { prefillBegan, servedTier } = relay
    const tier = chargedTier(askedTier, servedTier)
    const owed = charge(
      { ending, usage, prefillBegan, outputBegan: relay.outputBegan && request.stream, admittedMs, tier },
      price,
      ticket.hold.amountNanodollars,
    )
    const costNanodollars = upstreamCost(relay.reportedCostNanodollars, served.target?.cost, {
      usage: done,
      prefillBegan,
      outputBegan: relay.outputBegan,
      admittedMs,
      tier: servedTier ?? askedTier,
    })
    const whole = isWhole(ending) ? wholeAnswer(run, ending, usage, owed, tier, client, headers, clock) : null
    const settlement: Settlement = {
      requestId: request.id,
      orgId: caller.org.id,
      keyId: caller.key.id,
      modelId: model.id,
      protocol: request.protocol,
      stream: request.stream,
      upstreamId: served.target?.upstreamId ?? '',
      attempts: served.attempts,
      ending,
      endUserId: request.endUserId ?? null,
      usage,
      priceId: price.id,
      serviceTier: tier,
      chargeNanodollars: owed.chargeNanodollars,
      overrunNanodollars: owed.overrunNanodollars,
      costNanodollars,
      heldNanodollars: ticket.hold.peakNanodollars,
      admittedMs,
      settledMs: clock.nowMs(),
      ttftMs: relay.firstTokenMs === null ? null : relay.firstTokenMs - run.receivedMs,
      durationMs: clock.monotonicMs() - run.receivedMs,
    }
    try {
      await books.settle(ticket.hold, settlement, whole?.stored, whole?.documents)
      this.#journalHealth.succeeded()
    } catch (cause) {
      // One absurd record says nothing about the disk.
      if (!(cause instanceof JournalRefusal)) this.#journalHealth.failed()
      const error = new ApiError(
        'settlement_unavailable',
        'The charge for this answer could not be written; nothing was charged.',
        { cause },
      )
      telemetry.refused(error.code, request.id, cause)
      answerError(run, error, client, headers)
      return
    }
    telemetry.settled(settlement)
    if (owed.overrunNanodollars > 0n) this.#parts.notifier?.overrun(settlement)
    if (whole === null) {
      answerError(run, endingError(ending, served, run), client, headers)
      return
    }
    if (!client.headSent) client.head(200, whole.headers)
    client.end(whole.last)
  }

  // Where the upstream said nothing about the input and a tokenizer is at hand. Undefined, without a wait, everywhere else.
  #countUnreportedInput({ relay, request }: Run, { target }: Served): Promise<number | undefined> | undefined {
    if (!relay.prefillBegan || relay.inputTokens !== undefined || relay.usage.inputSource !== 'absent') return undefined
    if (target === null) return undefined
    const upstream = this.#parts.upstreams.get(target.upstreamId)
    if (upstream?.countInputLower === undefined) return undefined
    return upstream.countInputLower(request, target.upstreamModel).catch(() => undefined)
  }
}

function passesFrames({ passesFrames: passes }: ProtocolCodec, request: InferenceRequest): boolean {
  return typeof passes === 'function' ? passes(request) : passes
}

interface Served extends RelayEnd {
  readonly attempts: number
  /** Where the last attempt went; null when none was made. */
  readonly target: Target | null
}

const NOBODY_THERE: Served = { ending: 'cancelled', failure: null, attempts: 0, target: null }

const STREAM_HEADERS: OutgoingHttpHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
  'x-accel-buffering': 'no',
}
/** Longest value of `x-headrace-dropped`. */
const DROPPED_CHARS_MAX = 1024
const OUT_OF_MONEY = 'The answer was cut short: no more credit could be held for it.'
const NOT_STORED =
  'The answer was too long to be stored for its Idempotency-Key: a repetition would run, and be charged, again.'
const BUFFERED_HEADERS: OutgoingHttpHeaders = { 'content-type': 'application/json' }

/** What is left to tell of an answer that is whole, made before its settlement and told after it. */
interface WholeAnswer {
  /** For a client that has no head yet. */
  readonly headers: OutgoingHttpHeaders
  readonly last: Uint8Array
  /** The answer as a repetition of the request will get it. */
  readonly stored: StoredAnswer | undefined
  /** What of it is kept beside. */
  readonly documents: readonly KeptDocument[] | undefined
}

function isWhole(ending: Ending): boolean {
  return ending === 'completed' || ending === 'exhausted' || ending === 'empty'
}

function wholeAnswer(
  run: Run,
  ending: Ending,
  usage: Usage,
  owed: Charge,
  tier: ServiceTier,
  client: ClientPort,
  headers: OutgoingHttpHeaders,
  clock: Clock,
): WholeAnswer {
  const nowMs = clock.nowMs()
  const { relay, request, once } = run
  const { tail } = relay
  // Of a stream the length is known but for its last frame, in which the client has to be told.
  const streamTooLong = request.stream && once !== null && !once.fits(lengthOf(tail))
  const end = relay.encoder.complete({
    usage,
    chargeNanodollars: owed.chargeNanodollars,
    serviceTier: request.serviceTier === undefined ? undefined : tier,
    usageExtra: relay.usageExtra,
    notice: noticeOf(ending === 'exhausted', streamTooLong),
    completedMs: nowMs,
    durationMs: clock.monotonicMs() - run.receivedMs,
  })
  const last = tail.length === 0 ? end : Buffer.concat([...tail, end])
  const tooLong = request.stream ? streamTooLong : once !== null && !once.fits(last.length)
  const documents = documentsOf(run, last, nowMs)
  if (client.headSent && once === null) return { headers, last, stored: undefined, documents }
  headers['x-headrace-ending'] = ending
  if (tooLong) headers['x-headrace-idempotency'] = 'not stored'
  if (!request.stream) {
    headers['x-headrace-cost'] = nanodollarsToDecimal(owed.chargeNanodollars)
    headers['content-length'] = last.length
  }
  const head = request.stream ? { ...STREAM_HEADERS, ...headers } : { ...BUFFERED_HEADERS, ...headers }
  const stored = tooLong ? undefined : once?.answer(request.id, head, last, nowMs)
  return { headers: head, last, stored, documents }
}

function documentsOf({ relay, keep, caller }: Run, last: Uint8Array, nowMs: number): KeptDocument[] | undefined {
  if (keep === undefined && relay.encoder.kept === undefined) return undefined
  const owner = { orgId: caller.org.id, keyId: caller.key.id, nowMs }
  return [...(relay.encoder.kept?.(owner) ?? []), ...(keep?.(last, owner) ?? [])]
}

/** Names for a header: ASCII, and not too many. */
function shown(names: readonly string[]): string {
  return names
    .join(', ')
    .replace(/[^\x20-\x7e]/g, '?')
    .slice(0, DROPPED_CHARS_MAX)
}

function noticeOf(outOfMoney: boolean, notStored: boolean): string | undefined {
  if (outOfMoney) return notStored ? `${OUT_OF_MONEY} ${NOT_STORED}` : OUT_OF_MONEY
  return notStored ? NOT_STORED : undefined
}

function lengthOf(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((bytes, chunk) => bytes + chunk.length, 0)
}

function answerError(run: Run, error: ApiError, client: ClientPort, headers: OutgoingHttpHeaders): void {
  if (client.headSent) client.end(run.relay.encoder.error(error))
  else sendError(client, error, run.request.id, run.surface, headers)
}

function endingError(ending: Ending, served: Served, run: Run): ApiError {
  if (served.failure !== null) return failureError(served.failure)
  switch (ending) {
    case 'timed_out':
      return new ApiError('upstream_timeout', `${run.model.id} did not answer in time.`)
    case 'aborted':
      return new ApiError('draining', 'The server is stopping and ended this answer.', { retryAfterMs: 5000 })
    default:
      return new ApiError('upstream_error', 'The request was stopped.')
  }
}

// What the upstream did, as far as is known.
function usageOf({ request, relay, ticket }: Run, countedInput: number | undefined): Usage {
  const { searchUnits } = ticket.quote
  return finalUsage(relay.usage, {
    outputTokens: relay.outputTokens,
    inputTokens: relay.inputTokens,
    inputTokensLower: () => countedInput ?? (relay.prefillBegan ? inputTokensLower(request) : 0),
    searchUnits,
  })
}

// The part of it that is the customer's.
function relayedUsage(usage: Usage, relay: Relay, ending: Ending): Usage {
  // Stopped for want of money, or broken off: the customer has what was relayed, and what the upstream did beyond is not theirs.
  if ((ending !== 'exhausted' && ending !== 'failed') || usage.outputTokens <= relay.outputTokens) return usage
  return {
    ...usage,
    outputTokens: relay.outputTokens,
    outputSource: 'counted',
    reasoningTokens: Math.min(usage.reasoningTokens, relay.outputTokens),
  }
}

// A generation that was asked for at least one token, produced none, and was not ended by the client's own stop, bias,
// grammar or limit, is free.
function isEmpty(request: InferenceRequest, relay: Relay, ending: Ending): boolean {
  if (ending !== 'completed' || relay.outputBegan || request.outputTokensMax === 0) return false
  const { sampling, input } = request
  if (sampling.stop.length > 0 || sampling.logitBias !== undefined) return false
  if (input.kind === 'chat') return input.responseFormat.type === 'text' && input.tools.length === 0
  return input.kind === 'text' && !input.echo
}

const CAPABILITY_OF_KIND = {
  chat: { capability: 'chat', name: 'chat completions' },
  text: { capability: 'completion', name: 'text completions' },
  embed: { capability: 'embeddings', name: 'embeddings' },
  rerank: { capability: 'rerank', name: 'reranking' },
} as const

function findModel(snapshot: Snapshot, request: InferenceRequest): Model {
  const model = snapshot.models.get(request.model)
  if (model === undefined) {
    throw new ApiError('model_not_found', `The model ${JSON.stringify(request.model)} is not offered here.`, {
      param: 'model',
    })
  }
  const wanted = CAPABILITY_OF_KIND[request.input.kind]
  if (model.capabilities[wanted.capability] !== true) {
    throw new ApiError('unsupported_parameter', `${model.id} does not do ${wanted.name}.`, { param: 'model' })
  }
  const lacking = lackingCapability(request, model)
  if (lacking !== null) {
    throw new ApiError('unsupported_parameter', `${model.id} does not offer ${lacking.what}.`, { param: lacking.param })
  }
  return model
}

function lackingCapability(
  { input, sampling }: InferenceRequest,
  { capabilities }: Model,
): { what: string; param: string } | null {
  if (sampling.topLogprobs !== undefined && !capabilities.logprobs)
    return { what: 'log probabilities', param: 'logprobs' }
  if (input.kind !== 'chat') return null
  if (capabilities.vision !== true && hasImages(input)) return { what: 'images', param: 'messages' }
  if (input.tools.length > 0 && !capabilities.tools) return { what: 'tools', param: 'tools' }
  if (input.responseFormat.type !== 'text' && !capabilities.jsonSchema) {
    return { what: 'answers in JSON by constraint', param: 'response_format' }
  }
  return null
}

function unavailable(model: Model, placement: Placement) {
  const full = placement.filtered.length > 0 && placement.filtered.every(({ reason }) => reason === 'queue full')
  const reasons = placement.filtered.map(({ target, reason }) => `${target.upstreamId}: ${reason}`).join('; ')
  return {
    reason: full ? ('overloaded' as const) : ('unavailable' as const),
    message: `No place can run ${model.id} now (${reasons || 'it has no target'}).`,
    retryable: false,
  }
}
