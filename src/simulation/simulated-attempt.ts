import type { AttemptEnd, InferenceEvent, UpstreamFailure } from '../inference/event.ts'
import type { InferenceRequest } from '../inference/request.ts'
import type { Attempt, AttemptHandle, AttemptSink } from '../inference/upstream.ts'
import type { Usage } from '../inference/usage.ts'
import type { Clock } from '../std/clock.ts'
import type { Rng } from './rng.ts'
import { answerText, type EngineOutput, type SimulatedEngineOptions } from './simulated-engine.ts'
import { finishFrame, roleFrame, textFrame } from './upstream-frames.ts'

/** What can go wrong with an attempt. */
export const UPSTREAM_FAULTS = [
  'refuses',
  'rejects_as_bad',
  'dies_before_first_token',
  'dies_mid_stream',
  'stalls_before_first_token',
  'stalls_mid_stream',
  'stalls_after_finish',
  'ends_unfinished',
  'empty_answer',
  'finishes_one_choice_then_dies',
  'reports_more_than_relayed',
  'never_reports_usage',
  'ignores_cancel',
  'reports_late_after_cancel',
] as const

export type UpstreamFault = (typeof UPSTREAM_FAULTS)[number]

/** How an upstream is and behaves. */
export interface SimulatedUpstreamOptions {
  readonly id: string
  readonly engine: SimulatedEngineOptions
  readonly clock: Clock
  readonly rng: Rng
  /** Fixes the text of all answers. */
  readonly seed: number
  readonly stoppable: boolean
  /** Passes frames in the client's protocol where that is allowed, as a remote upstream does. */
  readonly passesFrames: boolean
  /** Tells when it begins on a prompt, and then also how long the prompt is. */
  readonly saysStarted: boolean
  readonly saysInputTokens: boolean
  readonly saysCachedTokens: boolean
  /** Reports usage along the way, not only at the end. */
  readonly runningUsage: boolean
  /** Tells usage after a cancellation; else it just stops, at once. */
  readonly usageAfterCancel: boolean
  readonly countsInput: boolean
  readonly latencyMs: number
  /** Longest answer of a choice, where the client does not bound it. */
  readonly answerTokensMax: number
  /** Chance that an answer runs into its bound, 0 to 1; the others end before, anywhere. */
  readonly boundedAnswerRate: number
  /** Chance that an attempt gets a fault, 0 to 1; read anew for each. */
  readonly faultRate: () => number
  /** Chooses an attempt's fault in place of chance. */
  readonly faultOf?: (request: InferenceRequest) => UpstreamFault | null
  readonly onFault: (fault: UpstreamFault) => void
  readonly onAttempt: (record: AttemptRecord) => void
}

/** What truly happened in an attempt, as far as it was told to the gateway; kept for the auditor. */
export interface AttemptRecord {
  readonly requestId: string
  readonly upstreamId: string
  /** Names of the model, there and for the client. */
  readonly upstreamModel: string
  readonly publicModel: string
  readonly fault: UpstreamFault | null
  /** The prompt's true length. */
  readonly inputTokens: number
  /** Anything was delivered that shows work on the prompt. */
  began: boolean
  toldInputTokens: number | null
  /** Output tokens delivered before the gateway cancelled. */
  tokensDelivered: number
  /** Choices whose finish was delivered before the gateway cancelled. */
  finished: number
  /** Last usage delivered. */
  usage: Usage | null
  cancelled: boolean
  end: AttemptEnd['kind'] | null
  /** Text delivered before the gateway cancelled, by choice. */
  readonly texts: string[]
}

/** What reaches the gateway at one moment. A pause takes effect between chunks only. */
interface Chunk {
  readonly events: readonly InferenceEvent[]
  readonly end?: AttemptEnd
}

const CANCEL_LATE_MS_MAX = 4000

/** One attempt: turns the engine's work into events, adds the fault, and obeys the reins. */
export class SimulatedAttempt implements AttemptHandle {
  readonly record: AttemptRecord
  readonly #options: SimulatedUpstreamOptions
  readonly #attempt: Attempt
  readonly #sink: AttemptSink
  readonly #fault: UpstreamFault | null
  readonly #outputTokens: readonly number[]
  readonly #release: () => void
  readonly #waiting: Chunk[] = []
  #cachedTokens = 0
  #tokensProduced = 0
  #open: number
  #paused = false
  /** Nothing more is produced: the end is on its way, or never comes. */
  #silent = false

  constructor(
    options: SimulatedUpstreamOptions,
    attempt: Attempt,
    sink: AttemptSink,
    fault: UpstreamFault | null,
    inputTokens: number,
    outputTokens: readonly number[],
    release: () => void,
  ) {
    this.#options = options
    this.#attempt = attempt
    this.#sink = sink
    this.#fault = fault
    this.#outputTokens = outputTokens
    this.#open = outputTokens.length
    this.#release = release
    this.record = {
      requestId: attempt.request.id,
      upstreamId: options.id,
      upstreamModel: attempt.upstreamModel,
      publicModel: attempt.publicModel,
      fault,
      inputTokens,
      began: false,
      toldInputTokens: null,
      tokensDelivered: 0,
      finished: 0,
      usage: null,
      cancelled: false,
      end: null,
      texts: outputTokens.map(() => ''),
    }
  }

  cancel(): void {
    const { record } = this
    if (record.end !== null || record.cancelled) return
    record.cancelled = true
    if (this.#fault === 'ignores_cancel') return
    this.#release()
    this.#waiting.length = 0
    const { clock, latencyMs, rng, usageAfterCancel } = this.#options
    const late = this.#fault === 'reports_late_after_cancel'
    if (!usageAfterCancel && !late) {
      this.deliver({ events: [], end: { kind: 'cancelled' } })
      return
    }
    const began = this.#tokensProduced > 0 || record.began
    const events = began ? [this.#usageEvent()] : []
    clock.after(late ? rng.int(0, CANCEL_LATE_MS_MAX) : latencyMs, () =>
      this.deliver({ events, end: { kind: 'cancelled' } }),
    )
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    // What had piled up arrives in the order of its making, until the next pause.
    while (!this.#paused) {
      const chunk = this.#waiting.shift()
      if (chunk === undefined) return
      this.deliver(chunk)
    }
  }

  /** The engine worked through the prompt. */
  began(cachedTokens: number): void {
    this.#cachedTokens = cachedTokens
    if (this.#fault === 'stalls_before_first_token') this.#fallSilent()
    const { saysStarted, saysInputTokens, clock } = this.#options
    const events: InferenceEvent[] = []
    if (saysStarted) {
      events.push({
        type: 'started',
        ...(saysInputTokens && { inputTokens: this.record.inputTokens }),
        ...(this.#passes && { answerId: this.#answerId, createdS: Math.floor(clock.nowMs() / 1000) }),
      })
      if (this.#passes) {
        for (const choice of this.#outputTokens.keys())
          events.push({ type: 'frame', bytes: roleFrame(this.#frameHead, choice), tokens: 0, finishes: 0 })
      }
    }
    if (this.#fault === 'dies_before_first_token') {
      this.#fallSilent()
      this.#send({ events, end: failed('disconnected') })
    } else if (events.length > 0) this.#send({ events })
  }

  /** The engine made tokens. */
  produced(outputs: readonly EngineOutput[]): void {
    if (this.#silent) return
    const events: InferenceEvent[] = []
    for (const { choice, fromToken, tokens, finished } of outputs) {
      if (this.#fault === 'ends_unfinished' && finished && this.#open === 1) {
        this.#fallSilent()
        this.#send({ events, end: { kind: 'completed' } })
        return
      }
      this.#tokensProduced += tokens
      if (tokens > 0) events.push(this.#text(choice, answerText(this.#seed, choice, fromToken, tokens), tokens))
      if (!finished) continue
      this.#open--
      const reason = this.#outputTokens[choice] === this.#attempt.outputTokensMax ? 'length' : 'stop'
      if (!this.#passes) events.push({ type: 'finish', choice, reason })
      else events.push({ type: 'frame', bytes: finishFrame(this.#frameHead, choice, reason), tokens: 0, finishes: 1 })
      if (this.#fault === 'finishes_one_choice_then_dies' && this.#open > 0) {
        this.#fallSilent()
        this.#send({ events, end: failed('disconnected') })
        return
      }
    }
    if (this.#options.runningUsage && this.#fault !== 'never_reports_usage') events.push(this.#usageEvent())
    if (this.#fault === 'dies_mid_stream' && this.#tokensProduced > 0 && this.#open > 0) {
      this.#fallSilent()
      this.#send({ events, end: failed('disconnected') })
      return
    }
    this.#send({ events })
    if (this.#fault === 'stalls_mid_stream' && this.#tokensProduced > 0 && this.#open > 0) this.#fallSilent()
    if (this.#open === 0) this.#complete()
  }

  /** Hands a chunk to the gateway now. */
  deliver(chunk: Chunk): void {
    const { record } = this
    if (record.end !== null) return
    for (const event of chunk.events) {
      record.began = true
      if (event.type === 'started' && event.inputTokens !== undefined) record.toldInputTokens = event.inputTokens
      if (event.type === 'usage') record.usage = event.usage
      if ((event.type === 'delta' || event.type === 'frame') && !record.cancelled) {
        record.tokensDelivered += event.tokens
        this.#texts.get(event)?.(record)
        if (event.type === 'frame') record.finished += event.finishes
      }
      if (event.type === 'finish' && !record.cancelled) record.finished++
      this.#sink.onEvent(event)
      // The gateway may cancel within the call, and a cancellation may end the attempt at once.
      if (record.end !== null) return
    }
    if (chunk.end === undefined) return
    record.end = chunk.end.kind
    this.#release()
    this.#sink.onEnd(chunk.end)
  }

  // The usage follows the last finish by a moment, in which clients like to leave.
  #complete(): void {
    const { clock, latencyMs, rng } = this.#options
    if (this.#fault === 'stalls_after_finish') {
      this.#fallSilent()
      return
    }
    const events = this.#fault === 'never_reports_usage' ? [] : [this.#usageEvent()]
    this.#fallSilent()
    clock.after(rng.int(0, 20), () => this.#sendNow({ events, end: { kind: 'completed' } }, latencyMs))
  }

  readonly #texts = new Map<InferenceEvent, (record: AttemptRecord) => void>()

  #text(choice: number, text: string, tokens: number): InferenceEvent {
    const event: InferenceEvent = this.#passes
      ? { type: 'frame', bytes: textFrame(this.#frameHead, choice, text), tokens, finishes: 0 }
      : { type: 'delta', choice, content: text, tokens }
    this.#texts.set(event, record => {
      record.texts[choice] += text
    })
    return event
  }

  #usageEvent(): InferenceEvent {
    const { saysCachedTokens, rng } = this.#options
    const extra = this.#fault === 'reports_more_than_relayed' ? rng.int(1, 5000) : 0
    return {
      type: 'usage',
      usage: {
        inputTokens: this.record.inputTokens,
        inputSource: 'reported',
        cachedInputTokens: saysCachedTokens ? this.#cachedTokens : 0,
        cachedInputSource: saysCachedTokens ? 'reported' : 'absent',
        cacheWriteTokens: 0,
        cacheWriteSource: 'absent',
        outputTokens: this.#tokensProduced + extra,
        outputSource: 'reported',
        reasoningTokens: 0,
        reasoningSource: 'absent',
      },
    }
  }

  #fallSilent(): void {
    this.#silent = true
  }

  #send(chunk: Chunk): void {
    this.#sendNow(chunk, this.#options.latencyMs)
  }

  #sendNow(chunk: Chunk, latencyMs: number): void {
    this.#options.clock.after(latencyMs, () => {
      if (this.record.cancelled && this.#fault !== 'ignores_cancel') return
      if (this.#paused && !this.record.cancelled) this.#waiting.push(chunk)
      else this.deliver(chunk)
    })
  }

  get #passes(): boolean {
    return this.#options.passesFrames && this.#attempt.passthrough
  }

  get #seed(): number {
    return this.#options.seed
  }

  get #answerId(): string {
    return `up-${this.#attempt.request.id}`
  }

  get #frameHead() {
    return { protocol: this.#attempt.request.protocol, id: this.#answerId, model: this.#attempt.publicModel }
  }
}

/** An end that another target may do better than. */
export function failed(reason: UpstreamFailure['reason']): AttemptEnd {
  return { kind: 'failed', failure: { reason, message: `simulated: ${reason}`, retryable: true } }
}
