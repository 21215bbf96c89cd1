import type { AttemptEnd, InferenceEvent } from './event.ts'
import type { Percentile } from './preferences.ts'
import type { InferenceRequest } from './request.ts'

/** One try of a request on one target. */
export interface Attempt {
  readonly request: InferenceRequest
  /** The model's name at the upstream. */
  readonly upstreamModel: string
  /** The model's public id: what the client is told served it. */
  readonly publicModel: string
  /** Most output tokens per choice that admission allows; the upstream must stop there with `length`. */
  readonly outputTokensMax: number
  /**
   * When the output asked for cannot fit in the context: what surely fits, for upstreams that refuse rather than stop there;
   * null: name no limit to them. Absent when it may fit.
   */
  readonly outputTokensFit?: number | null
  /** Prompt caches are kept apart by this salt, so that no org can probe another's. */
  readonly cacheSalt: string
  /** True when frames in the client's protocol may be sent as they came (`frame` events). */
  readonly passthrough: boolean
}

/** Receives what an attempt produces. `onEnd` is called exactly once, after the last event; neither may throw. */
export interface AttemptSink {
  onEvent(event: InferenceEvent): void
  onEnd(end: AttemptEnd): void
}

/** Holds the reins of a running attempt. All methods may be called at any time, also after the end (then they do nothing). */
export interface AttemptHandle {
  /** Stops the upstream's work at once. `onEnd` still follows, with `cancelled`, preceded by a `usage` event when known. */
  cancel(): void
  /** The client reads slowly: stop reading from the upstream, or stop generating, until `resume`. */
  pause(): void
  resume(): void
}

/** How busy an upstream is. */
export interface UpstreamLoad {
  readonly running: number
  readonly queued: number
  /** Most requests that may wait; beyond it the upstream answers `overloaded`. */
  readonly queueDepthMax: number
  /** Whether a request that came now would have to wait for others to end; absent: not known, but that some wait already. */
  readonly busy?: boolean
}

/**
 * How a target did lately: of each percentile, how long the requests within it took to their first token (milliseconds), and how fast
 * the slowest of them wrote (output tokens per second). Undefined where nothing was seen.
 */
export interface ObservedSpeed {
  readonly latencyMs: { readonly [Each in Percentile]: number } | undefined
  readonly tokensPerSecond: { readonly [Each in Percentile]: number } | undefined
}

/** One addressable place that attempts are sent to. */
export interface Upstream {
  readonly id: string
  /** `engine`: embedded; `http`: remote. For people and metrics; nothing branches on it. */
  readonly kind: string
  /** Whether cancelling really stops the work there. If not, a request needs its whole bound held. */
  readonly stoppable: boolean
  /**
   * Whether attempts may wait there long for a slot or for their model to load, so that a first token that does not come in
   * time is no sign of ill health. Absent: no.
   */
  readonly queuesOwnWork?: boolean
  /** Whether it is known to keep nothing of what it is sent, once it has answered. Absent: not known, which counts as no. */
  readonly keepsNoPrompts?: boolean
  /** Runs an attempt. Never throws: failures arrive through `sink.onEnd`. */
  run(attempt: Attempt, sink: AttemptSink): AttemptHandle
  /**
   * Input tokens of the request (template included), where the upstream can count: the exact number, or one that is surely not
   * below it. Rejects when it cannot count now.
   */
  countInput?(request: InferenceRequest, upstreamModel: string): Promise<number>
  /**
   * Input tokens of the request as a tokenizer counts its texts, surely not above the exact number, for when the upstream
   * reported none. Rejects when it cannot count now.
   */
  countInputLower?(request: InferenceRequest, upstreamModel: string): Promise<number>
  /**
   * What of the request is lost on the way there, as its wire has no place for it, named by the fields of the chat form. Absent:
   * nothing ever is.
   */
  drops?(request: InferenceRequest): readonly string[]
  /** How busy it is; where each model has a queue of its own, `queued` is that of the model named. */
  load(upstreamModel?: string): UpstreamLoad
  /** Takes no new work, lets running work end until the deadline, then stops. */
  close(graceMs: number): Promise<void>
}
