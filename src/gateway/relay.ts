import type { Ticket } from '../admission/admit.ts'
import { asSold } from '../admission/sale.ts'
import type { AttemptEnd, InferenceEvent, UpstreamFailure } from '../inference/event.ts'
import type { InferenceRequest } from '../inference/request.ts'
import type { ServiceTier } from '../inference/service-tier.ts'
import type { AttemptHandle, AttemptSink, Upstream } from '../inference/upstream.ts'
import { USAGE_ABSENT, type Usage } from '../inference/usage.ts'
import type { Ending } from '../ledger/journal.ts'
import type { AnswerEncoder } from '../protocols/protocol.ts'
import { SSE_KEEP_ALIVE } from '../wire/sse-writer.ts'
import type { ClientPort } from './client-port.ts'
import { outputTokensFit } from './output-fit.ts'

/** Why we ended an attempt ourselves. */
type Stop = 'cancelled' | 'timed_out' | 'aborted' | 'exhausted'

/** How long a cancelled upstream may take to say how much it did, before we go by our own counts. */
const CANCEL_ANSWER_MS = 2000

/** How long an upstream may take after its last finish to tell usage and to end, before we go by what is known. */
const USAGE_ANSWER_MS = 5000

/** What comes before the first token is kept back up to here, so that another target can start afresh. */
const EARLY_BYTES_MAX = 64 * 1024

/** How the attempts of a request ended, all in all. */
export interface RelayEnd {
  readonly ending: Ending
  readonly failure: UpstreamFailure | null
}

/**
 * Carries one request's answer from an upstream to its client while observing it: counts output, keeps the hold ahead of
 * it, notes when the first token came, and keeps back everything from the frame that finishes the last open choice, since
 * nothing that makes an answer look complete may leave before it is settled.
 */
export class Relay implements AttemptSink {
  readonly #request: InferenceRequest
  readonly #ticket: Ticket
  readonly #client: ClientPort
  readonly #passthrough: boolean
  readonly #newEncoder: () => AnswerEncoder
  readonly #openHead: () => void
  readonly #nowMs: () => number

  #handle: AttemptHandle | null = null
  #resolve: ((end: RelayEnd) => void) | null = null
  #stop: Stop | null = null
  #stoppedMs = 0
  /** Made when an attempt first has something to say: whoever serves it is known then. */
  #encoder: AnswerEncoder | null = null
  #openChoices: number
  #paused = false
  #finishedMs = 0
  #attempts = 0
  /** Frames from before the first token. */
  #early: Uint8Array[] = []
  #earlyBytes = 0

  /** Frames held back until the settlement is durable. */
  readonly tail: Uint8Array[] = []
  /** Frames have left that another attempt could not take back. */
  committed = false
  usage: Usage = USAGE_ABSENT
  usageExtra: { [key: string]: unknown } | undefined
  /** The tier that the upstream says it served. */
  servedTier: ServiceTier | undefined
  /** What the upstream says it takes, nanodollars. */
  reportedCostNanodollars: bigint | undefined
  /** Output tokens relayed, over all choices. */
  outputTokens = 0
  inputTokens: number | undefined
  prefillBegan = false
  outputBegan = false
  firstTokenMs: number | null = null
  /** When something was last written to a stream, or the head was. */
  lastWriteMs = 0

  constructor(options: {
    request: InferenceRequest
    ticket: Ticket
    client: ClientPort
    /** Whether frames may be passed on as they come. */
    passthrough: boolean
    /** The encoder of an answer by whoever serves the running attempt. */
    newEncoder: () => AnswerEncoder
    /** Sends the head of the answer; called before the first bytes of a stream. */
    openHead: () => void
    /** Monotonic milliseconds. */
    nowMs: () => number
  }) {
    this.#request = options.request
    this.#ticket = options.ticket
    this.#client = options.client
    this.#passthrough = options.passthrough
    this.#newEncoder = options.newEncoder
    this.#openHead = options.openHead
    this.#nowMs = options.nowMs
    this.#openChoices = options.ticket.quote.choices
    options.client.onDrain = () => {
      if (!this.#paused) return
      this.#paused = false
      this.#handle?.resume()
    }
  }

  /** Whether every choice has ended: what is left to send waits for the settlement. */
  get finished(): boolean {
    return this.#openChoices === 0
  }

  /** Writes the answer in the client's protocol. */
  get encoder(): AnswerEncoder {
    this.#encoder ??= this.#newEncoder()
    return this.#encoder
  }

  /** Runs one attempt to its end, from a clean slate: what a failed attempt before it produced was not sent. Never rejects. */
  attempt(upstream: Upstream, upstreamModel: string, cacheSalt: string): Promise<RelayEnd> {
    if (this.#attempts++ > 0) this.#forget()
    const ended = new Promise<RelayEnd>(resolve => {
      this.#resolve = resolve
    })
    const handle = upstream.run(
      {
        request: asSold(this.#request, this.#ticket.quote),
        upstreamModel,
        publicModel: this.#ticket.quote.model.id,
        outputTokensMax: this.#ticket.quote.outputTokensMax,
        outputTokensFit: outputTokensFit(this.#request, this.#ticket.quote),
        cacheSalt,
        passthrough: this.#passthrough,
      },
      this,
    )
    // An upstream may end within `run`; then there is nothing left to hold the reins of.
    if (this.#resolve !== null) this.#handle = handle
    if (this.#stop !== null) handle.cancel()
    return ended
  }

  /**
   * Ends the running attempt for a reason of ours. The first reason stands. An answer that is already whole is not stopped: its
   * usage is on the way, and `tick` bounds the wait.
   */
  stop(reason: Stop): void {
    if (this.#stop !== null || this.finished) return
    this.#stop = reason
    this.#stoppedMs = this.#nowMs()
    this.#handle?.cancel()
  }

  /** To be called now and then: gives up on an upstream that does not answer a cancellation, or does not end after its answer. */
  tick(nowMs: number): void {
    if (this.#stop !== null && nowMs - this.#stoppedMs > CANCEL_ANSWER_MS) this.#end({ kind: 'cancelled' })
    if (this.#resolve !== null && this.finished && nowMs - this.#finishedMs > USAGE_ANSWER_MS) {
      this.#handle?.cancel()
      this.#end({ kind: 'cancelled' })
    }
  }

  /** Says that the request is alive: a comment in a stream, or a blank before a JSON body. */
  keepAlive(): void {
    if (this.finished || this.#stop !== null || this.#client.gone) return
    if (!this.#client.headSent) this.#openHead()
    this.lastWriteMs = this.#nowMs()
    this.#client.write(this.#request.stream ? SSE_KEEP_ALIVE : '\n')
  }

  onEvent(event: InferenceEvent): void {
    if (this.#resolve === null) return
    switch (event.type) {
      case 'started':
        this.prefillBegan = true
        this.servedTier = event.serviceTier
        if (event.inputTokens !== undefined) {
          this.inputTokens = event.inputTokens
          this.#ticket.inputIs(event.inputTokens)
        }
        this.encoder.started(event)
        return
      case 'delta':
        if (this.#take(event.tokens)) this.#send(this.encoder.delta(event))
        return
      case 'frame':
        if (this.#take(event.tokens)) this.#finishOrSend(this.encoder.frame(event), event.finishes)
        return
      case 'embedding':
        this.prefillBegan = true
        if (this.#stop === null) this.encoder.embedding?.(event)
        return
      case 'score':
        this.prefillBegan = true
        if (this.#stop === null) this.encoder.score?.(event)
        return
      case 'finish':
        this.prefillBegan = true
        if (this.#stop === null) {
          const { choice, reason, native, stopSequence } = event
          this.#finishOrSend(this.encoder.finish(choice, reason, native, stopSequence), 1)
        }
        return
      case 'usage':
        this.usage = event.usage
        if (event.usage.inputTokens > 0 || event.usage.outputTokens > 0) this.prefillBegan = true
        this.usageExtra = event.extra
        this.servedTier = event.serviceTier ?? this.servedTier
        this.reportedCostNanodollars = event.reportedCostNanodollars ?? this.reportedCostNanodollars
        return
    }
  }

  onEnd(end: AttemptEnd): void {
    this.#end(end)
  }

  /** What the encoder says when we end the open choices ourselves with `length`. */
  finishOpenChoices(): void {
    this.#openChoices = 0
    this.tail.push(...this.#takeEarly(), this.encoder.finishOpen('length'))
  }

  // Notes output and keeps the hold ahead of it. False: it is not covered and must not be sent.
  #take(tokens: number): boolean {
    // Also what comes too late to be relayed shows that the upstream worked.
    this.prefillBegan = true
    if (this.#stop !== null) return false
    const outputTokens = this.outputTokens + tokens
    if (
      outputTokens > this.#ticket.outputTokensCovered &&
      !this.#ticket.cover(outputTokens, this.#ticket.quote.model.trancheTokens)
    ) {
      this.stop('exhausted')
      return false
    }
    this.outputTokens = outputTokens
    if (!this.outputBegan && tokens > 0) {
      this.outputBegan = true
      this.firstTokenMs = this.#nowMs()
    }
    return true
  }

  #forget(): void {
    this.#encoder = null
    this.#openChoices = this.#ticket.quote.choices
    this.tail.length = 0
    this.#early = []
    this.#earlyBytes = 0
    this.usage = USAGE_ABSENT
    this.usageExtra = undefined
    this.servedTier = undefined
    this.reportedCostNanodollars = undefined
    this.outputTokens = 0
    this.inputTokens = undefined
    this.prefillBegan = false
    this.outputBegan = false
    this.firstTokenMs = null
  }

  #finishOrSend(bytes: Uint8Array, finishes: number): void {
    this.#openChoices -= finishes
    this.#send(bytes)
    if (finishes === 0 || !this.finished) return
    this.#finishedMs = this.#nowMs()
    // What follows is held back, so there is no need to wait for a slow client, who might leave and never drain.
    if (!this.#paused) return
    this.#paused = false
    this.#handle?.resume()
  }

  #send(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    if (this.#openChoices <= 0) {
      this.tail.push(...this.#takeEarly(), bytes)
      return
    }
    // Roles, and choices that end without a token, wait for the first token: had they left, a failure before it could not be
    // made good by another target, whose answer opens its choices again.
    if (!this.outputBegan && this.#earlyBytes + bytes.length <= EARLY_BYTES_MAX) {
      this.#early.push(bytes)
      this.#earlyBytes += bytes.length
      return
    }
    for (const early of this.#takeEarly()) this.#write(early)
    this.#write(bytes)
  }

  #takeEarly(): Uint8Array[] {
    if (this.#earlyBytes === 0) return []
    const early = this.#early
    this.#early = []
    this.#earlyBytes = 0
    return early
  }

  #write(bytes: Uint8Array): void {
    if (!this.#client.headSent) this.#openHead()
    if (!this.committed) {
      this.committed = true
      this.#ticket.commit()
    }
    this.lastWriteMs = this.#nowMs()
    if (!this.#client.write(bytes) && !this.#paused) {
      this.#paused = true
      this.#handle?.pause()
    }
  }

  #end(end: AttemptEnd): void {
    const resolve = this.#resolve
    if (resolve === null) return
    this.#resolve = null
    this.#handle = null
    resolve(this.#endingOf(end))
  }

  #endingOf(end: AttemptEnd): RelayEnd {
    // A whole answer is a completed one, even if the client left, or the upstream's connection broke, in its last instant.
    if (this.finished) return { ending: 'completed', failure: null }
    if (this.#stop !== null) return { ending: this.#stop, failure: null }
    if (end.kind === 'failed') return { ending: 'failed', failure: end.failure }
    const message =
      end.kind === 'cancelled'
        ? 'The upstream stopped the request.'
        : 'The upstream ended the answer without finishing it.'
    return { ending: 'failed', failure: { reason: 'protocol', message, retryable: true } }
  }
}
