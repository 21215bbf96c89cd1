import type { OutgoingHttpHeaders } from 'node:http'
import { admit, admitAny, type Bid, type Ticket } from '../admission/admit.ts'
import { authenticate, type Caller } from '../admission/authenticate.ts'
import type { KeyHasher } from '../admission/key-hasher.ts'
import { limitHeaders, stateOf } from '../admission/limit-headers.ts'
import { limitsOf } from '../admission/limits.ts'
import { type Offer, offersOf } from '../admission/offers.ts'
import { quote } from '../admission/quote.ts'
import { ApiError } from '../errors.ts'
import { hasRemoteImages } from '../inference/image-parts.ts'
import type { LimitRule } from '../inference/limit-rule.ts'
import type { InferenceRequest } from '../inference/request.ts'
import type { Model, Snapshot } from '../inference/snapshot.ts'
import type { Books } from '../ledger/books.ts'
import { type Journal, JournalRefusal, type Settlement } from '../ledger/journal.ts'
import type { Notifier } from '../ledger/notifier.ts'
import { chargedTier } from '../pricing/ceiling.ts'
import type { DecodeContext, KeptReader, ProtocolCodec } from '../protocols/protocol.ts'
import { requestIdHeaders } from '../protocols/surface.ts'
import { type Placement, place } from '../router/place.ts'
import { charge, inputPart, upstreamCost } from '../settlement/charge.ts'
import type { Clock } from '../std/clock.ts'
import { LiveSet } from '../std/live-set.ts'
import type { Telemetry } from '../telemetry/telemetry.ts'
import type { UpstreamSet } from '../upstreams/upstream-set.ts'
import { attemptVerdict } from './attempt-verdict.ts'
import type { ClientPort } from './client-port.ts'
import { answerError, endingError, unavailable } from './ending-error.ts'
import type { WholeRequest } from './fetch-images.ts'
import { listed, shown } from './header-words.ts'
import { type Idempotency, type Once, replay } from './idempotency.ts'
import type { Incoming } from './incoming.ts'
import { JournalHealth } from './journal-health.ts'
import { Relay, type RelayEnd } from './relay.ts'
import { isEmpty, relayedUsage, usageOf } from './relayed-usage.ts'
import { sendError, toApiError } from './respond.ts'
import type { Run } from './run.ts'
import { headOf, isWhole, wholeAnswer } from './whole-answer.ts'

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
  /** Prompt-cache salt of an org, or of a part of it that wants a cache of its own. */
  readonly cacheSaltOf: (orgId: string, scope?: string) => string
  /** What is kept for an org that a caller may go on from; absent where nothing is. */
  readonly keptOf?: (caller: Caller) => KeptReader
  /** Puts images in the place of their URLs, so that no upstream fetches for us; absent: images have to come with the request. */
  readonly fetchImages?: (request: InferenceRequest, orgId: string, signal: AbortSignal) => Promise<WholeRequest>
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

/** A silent buffered answer gets a blank, which JSON allows before a value, well before undici's 300 s without a byte. */
const BUFFERED_KEEP_ALIVE_MS = 60_000

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
        once = await this.#parts.idempotency.begin(
          idempotencyKey,
          (caller.token ?? caller.key).id,
          codec.protocol,
          body,
          clock.nowMs(),
        )
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
      const offers = offersOf(request, snapshot, caller, clock.nowMs(), incoming.work)
      if (!this.#journalHealth.mayAdmit()) {
        throw new ApiError('settlement_unavailable', 'Charges cannot be written at the moment.', { retryAfterMs: 5000 })
      }
      const ticket = await this.#admit(caller, request, offers, snapshot.limitsByKey.get(caller.key.id))
      try {
        const { admittedMs, model } = ticket.quote
        if (incoming.detach !== undefined) {
          client = (await incoming.detach({ request, caller, model, admittedMs })) ?? client
          // Writing it down took a moment, in which a drain may have found nothing that runs, and ended.
          this.#refuseWhileDraining()
        }
        // Not before money is held: nobody fetches through us who could not pay for the answer.
        const whole = hasRemoteImages(request.input) ? await this.#withImages(request, caller.org.id, client) : null
        try {
          await this.#run(codec, whole?.request ?? request, caller, ticket, { ...incoming, client }, once, receivedMs)
        } finally {
          whole?.release()
        }
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
    offers: readonly Offer[],
    rules: readonly LimitRule[] | undefined,
  ): Promise<Ticket> {
    const { books } = this.#parts
    const bidOf = (offer: Offer, inputTokens?: number): Bid => {
      const bounds = quote(request, offer, this.#stoppable(offer.model), inputTokens)
      const limited = rules === undefined ? undefined : limitsOf(rules, request, offer.model.id, bounds)
      return { quote: bounds, ...(limited !== undefined && { limited }) }
    }
    const admitted = (ticket: Ticket) => this.#admitted(request, caller, ticket)
    const [offer, ...others] = offers as [Offer, ...Offer[]]
    if (others.length > 0)
      return admitted(
        admitAny(
          caller,
          offers.map(each => bidOf(each)),
          request.id,
          books,
        ),
      )
    const worst = bidOf(offer)
    try {
      return admitted(admit(caller, worst.quote, request.id, books, worst.limited))
    } catch (refusal) {
      const counter = this.#inputCounter(request, offer.model)
      if (!(refusal instanceof ApiError) || refusal.status !== 402 || counter === undefined) throw refusal
      // Not even an empty prompt could be paid: no need to count.
      books.void(admit(caller, bidOf(offer, 0).quote, request.id, books).hold)
      const inputTokens = await counter().catch(() => undefined)
      if (inputTokens === undefined) throw refusal
      this.#refuseWhileDraining()
      const exact = bidOf(offer, inputTokens)
      return admitted(admit(caller, exact.quote, request.id, books, exact.limited))
    }
  }

  #stoppable(model: Model): boolean {
    return model.targets.every(target => this.#parts.upstreams.get(target.upstreamId)?.stoppable ?? true)
  }

  // Only where one place alone can serve it: another would count with another tokenizer.
  #inputCounter(request: InferenceRequest, { targets }: Model): (() => Promise<number>) | undefined {
    const [target] = targets
    if (target === undefined || targets.length !== 1) return undefined
    const upstream = this.#parts.upstreams.get(target.upstreamId)
    if (upstream?.countInput === undefined) return undefined
    return () => (upstream.countInput as NonNullable<typeof upstream.countInput>)(request, target.upstreamModel)
  }

  #decodeContext(incoming: Incoming, caller: Caller, snapshot: Snapshot): DecodeContext {
    const { requestId, surface, headers, path, pathModel } = incoming
    const capabilitiesOf = (model: string) => snapshot.models.get(model)?.capabilities
    return { requestId, surface, headers, path, pathModel, kept: this.#parts.keptOf?.(caller), capabilitiesOf }
  }

  async #withImages(request: InferenceRequest, orgId: string, client: ClientPort): Promise<WholeRequest | null> {
    const { fetchImages } = this.#parts
    if (fetchImages === undefined) {
      throw new ApiError('unsupported_parameter', 'Images are not fetched here; send them as data: URLs.', {
        param: 'messages',
      })
    }
    const leaving = new AbortController()
    client.onGone = () => leaving.abort()
    try {
      const whole = await fetchImages(request, orgId, leaving.signal)
      if (this.#draining) whole.release()
      this.#refuseWhileDraining()
      return whole
    } catch (error) {
      // Then nobody is there to hear of it.
      if (!client.gone) throw error
      return null
    } finally {
      client.onGone = null
    }
  }

  #refuseWhileDraining(): void {
    if (this.#draining) throw new ApiError('draining', 'The server is stopping.', { retryAfterMs: 5000 })
  }

  #admitted(request: InferenceRequest, caller: Caller, ticket: Ticket): Ticket {
    this.#parts.journal.admitted({
      requestId: request.id,
      orgId: caller.org.id,
      keyId: caller.key.id,
      modelId: ticket.quote.model.id,
      heldNanodollars: ticket.hold.amountNanodollars,
      admittedMs: ticket.quote.admittedMs,
    })
    return ticket
  }

  async #run(
    codec: ProtocolCodec,
    request: InferenceRequest,
    caller: Caller,
    ticket: Ticket,
    incoming: Incoming,
    once: Once | null,
    receivedMs: number,
  ): Promise<void> {
    const { clock, telemetry } = this.#parts
    const { client: connection, surface, keep, work } = incoming
    const client = once === null ? connection : once.record(connection)
    const { admittedMs, model } = ticket.quote
    const createdS = Math.floor(admittedMs / 1000)
    const headers: OutgoingHttpHeaders = { ...requestIdHeaders(surface, request.id), 'x-headrace-model': model.id }
    if (ticket.hold.lines.length > 0) Object.assign(headers, limitHeaders(ticket.hold.lines.map(stateOf), admittedMs))
    const relay: Relay = new Relay({
      request,
      ticket,
      client,
      passthrough: request.stream && request.sent === undefined && passesFrames(codec, request),
      newEncoder: () => codec.encoder(request, ticket.quote.model.id, createdS, run.target?.upstreamId),
      openHead: () => client.head(200, headOf(request, headers)),
      nowMs: () => clock.monotonicMs(),
    })
    const run: Run = {
      ...{ request, surface, keep, work, caller, ticket, relay, target: null, attempts: 0, once, receivedMs, slot: -1 },
    }
    client.onGone = () => relay.stop('cancelled')
    this.#runs.add(run)
    telemetry.admitted(model.id)
    try {
      const end = client.gone ? NOBODY_THERE : await this.#relay(run, headers)
      await this.#settle(run, end, client, headers)
    } finally {
      this.#runs.remove(run)
    }
  }

  // Place by place, and where no place of a model can serve it, the same with the next of its models that has one.
  async #relay(run: Run, headers: OutgoingHttpHeaders): Promise<RelayEnd> {
    const { ticket, relay } = run
    for (;;) {
      headers['x-headrace-model'] = ticket.quote.model.id
      const end = await this.#attempts(run, this.#place(run, ticket.quote), headers)
      headers['x-headrace-attempts'] = String(run.attempts)
      if (!mayFallBack(end) || relay.committed) return end
      const next = ticket.following.findIndex(quote => this.#place(run, quote).places.length > 0)
      if (next < 0) return end
      ticket.next(next + 1)
    }
  }

  #place({ request }: Run, { model, preferences, admittedMs }: Offer): Placement {
    const { upstreams } = this.#parts
    return place(model.targets, target => upstreams.view(target), {
      preferences,
      speedOf: target => upstreams.speed(target),
      atMs: admittedMs,
      // Such a request is refused rather than let wait where all places are busy.
      failFast: request.body.fail_fast === true,
    })
  }

  async #attempts(run: Run, placement: Placement, headers: OutgoingHttpHeaders): Promise<RelayEnd> {
    const { upstreams, cacheSaltOf, clock } = this.#parts
    const { relay, request, ticket, caller } = run
    const { places, filtered } = placement
    const without = filtered.map(({ target, reason }) => `${target.upstreamId}: ${reason}`).join(', ')
    const route = (words: string) => shown(without === '' ? words : `${words}; without ${without}`)
    let end: RelayEnd = { ending: 'failed', failure: unavailable(ticket.quote.model, placement) }
    if (places.length === 0) headers['x-headrace-route'] = route('no place')
    for (const [i, { target, reason }] of places.entries()) {
      const upstream = upstreams.get(target.upstreamId)
      if (upstream === undefined) continue
      run.attempts++
      run.target = target
      headers['x-headrace-upstream'] = target.upstreamId
      headers['x-headrace-route'] = route(i === 0 ? reason : `fallback ${i + 1} of ${places.length}; ${reason}`)
      const dropped = [...(request.dropped ?? []), ...(upstream.drops?.(request) ?? [])]
      if (dropped.length > 0) headers['x-headrace-dropped'] = listed(dropped)
      else delete headers['x-headrace-dropped']
      const startedMs = clock.monotonicMs()
      end = await relay.attempt(upstream, target.upstreamModel, cacheSaltOf(caller.org.id, request.cacheScope))
      const verdict = attemptVerdict(upstream, end, relay.outputBegan)
      if (verdict !== undefined) upstreams.observe(target, verdict)
      if (relay.firstTokenMs !== null && end.failure === null)
        upstreams.measured(target, {
          latencyMs: relay.firstTokenMs - startedMs,
          tokens: relay.outputTokens - 1,
          writingMs: clock.monotonicMs() - relay.firstTokenMs,
        })
      if (end.failure === null || !end.failure.retryable) break
      // What a stream's client has already seen cannot be unsaid by another target.
      if (relay.committed) break
    }
    return end
  }

  // Settled before told: nothing that makes an answer look complete leaves before its charge is durable.
  async #settle(run: Run, end: RelayEnd, client: ClientPort, headers: OutgoingHttpHeaders): Promise<void> {
    const { request, relay, ticket, caller, target } = run
    const { books, clock, telemetry } = this.#parts
    const ending = isEmpty(request, relay, end.ending) ? 'empty' : end.ending
    if (ending === 'exhausted') relay.finishOpenChoices()
    const counting = this.#countUnreportedInput(run)
    const countedInput = counting === undefined ? undefined : await counting
    // Charged is the model that served, and only what its own limits count.
    ticket.commit()
    const { model, price, admittedMs, tier: askedTier } = ticket.quote
    const done = usageOf(run, countedInput)
    const usage = relayedUsage(done, relay, ending)
    const { prefillBegan, servedTier } = relay
    const tier = chargedTier(askedTier, servedTier)
    const owed = charge(
      {
        ending,
        usage,
        prefillBegan,
        outputBegan: relay.outputBegan && request.stream,
        admittedMs,
        tier,
        runAgain: run.work === 'batch',
      },
      price,
      ticket.hold.amountNanodollars,
    )
    const costNanodollars = upstreamCost(relay.reportedCostNanodollars, target?.cost, {
      usage: done,
      prefillBegan,
      outputBegan: relay.outputBegan,
      admittedMs,
      tier: servedTier ?? askedTier,
    })
    const inputChargeNanodollars = () => inputPart(owed.chargeNanodollars, price, usage, admittedMs, tier)
    const totals = { usage, chargeNanodollars: owed.chargeNanodollars, inputChargeNanodollars }
    const whole = isWhole(ending) ? wholeAnswer(run, ending, totals, tier, client, headers, clock) : null
    const settlement: Settlement = {
      requestId: request.id,
      orgId: caller.org.id,
      keyId: caller.key.id,
      ...(caller.token !== undefined && { tokenId: caller.token.id }),
      modelId: model.id,
      protocol: request.protocol,
      stream: request.stream,
      upstreamId: target?.upstreamId ?? '',
      attempts: run.attempts,
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
      answerError(run, endingError(ending, end, run), client, headers)
      return
    }
    if (!client.headSent) client.head(200, whole.headers)
    client.end(whole.last)
  }

  // Where the upstream said nothing about the input and a tokenizer is at hand. Undefined, without a wait, everywhere else.
  #countUnreportedInput({ relay, request, target }: Run): Promise<number | undefined> | undefined {
    if (!relay.prefillBegan || relay.inputTokens !== undefined || relay.usage.inputSource !== 'absent') return undefined
    if (target === null) return undefined
    const upstream = this.#parts.upstreams.get(target.upstreamId)
    if (upstream?.countInputLower === undefined) return undefined
    return upstream.countInputLower(request, target.upstreamModel).catch(() => undefined)
  }
}

const NOBODY_THERE: RelayEnd = { ending: 'cancelled', failure: null }

/** Whether a model's failure is one that another model may not have: one with a longer context, say, or with another place. */
function mayFallBack({ failure }: RelayEnd): boolean {
  return failure !== null && (failure.retryable || failure.reason !== 'bad_request')
}

function passesFrames({ passesFrames: passes }: ProtocolCodec, request: InferenceRequest): boolean {
  return typeof passes === 'boolean' ? passes : passes(request)
}
