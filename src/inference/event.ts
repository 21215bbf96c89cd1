import type { JsonObject } from './request.ts'
import type { ServiceTier } from './service-tier.ts'
import type { Usage } from './usage.ts'

/** Why a choice ended, in OpenAI's words. `tool_calls` whenever the choice called a tool. */
export type FinishReason = 'stop' | 'length' | 'tool_calls' | 'content_filter'

/** A piece of a tool call. The first piece of each call has `id` and `name` complete. */
export interface ToolCallDelta {
  /** Position of the call within its choice, from 0. */
  readonly index: number
  readonly id?: string
  readonly name?: string
  /** Next piece of the JSON text of the arguments. */
  readonly arguments: string
}

/** One output token with its log probability (natural logarithm) and alternatives. */
export interface TokenLogprob {
  readonly token: string
  readonly bytes: readonly number[]
  readonly logprob: number
  readonly top: readonly { readonly token: string; readonly bytes: readonly number[]; readonly logprob: number }[]
}

/**
 * What an upstream tells us while it works on an attempt, in this order: at most one `started`; then any
 * `delta`, `frame` and running `usage`; or all `embedding`s or `score`s; one `finish` per choice (or a `frame` that says so); `usage`. The sink's
 * `onEnd` follows, once.
 */
export type InferenceEvent =
  | {
      /** The upstream began on the prompt. From here a cancelled request owes its input. */
      readonly type: 'started'
      /** Exact input tokens where the upstream knows them already, else undefined. */
      readonly inputTokens?: number
      /** Id and creation time (unix seconds) of the upstream's own answer, when its frames are passed on unchanged. */
      readonly answerId?: string
      readonly createdS?: number
      /** The tier that the upstream says it serves. */
      readonly serviceTier?: ServiceTier
    }
  | {
      readonly type: 'delta'
      readonly choice: number
      readonly content?: string
      readonly reasoning?: string
      readonly refusal?: string
      readonly toolCalls?: readonly ToolCallDelta[]
      readonly logprobs?: readonly TokenLogprob[]
      /** Of the tokens of reasoning, where an upstream tells them apart. */
      readonly reasoningLogprobs?: readonly TokenLogprob[]
      /** Output tokens in this delta: exact from an engine of ours, else our count. */
      readonly tokens: number
      /** Fields of the upstream's delta that we do not know; they are passed on. */
      readonly extra?: JsonObject
    }
  | {
      /**
       * One or several whole SSE frames in the client's own protocol, to be passed on unchanged. Only sent when the
       * attempt allowed `passthrough`. Frames that carry usage never come this way.
       */
      readonly type: 'frame'
      readonly bytes: Uint8Array
      readonly tokens: number
      /** Choices that end in these frames. When not 0 the bytes hold exactly one frame. */
      readonly finishes: number
    }
  | {
      /** The vector of one input of an `embed` request. */
      readonly type: 'embedding'
      readonly index: number
      readonly vector: Float32Array
    }
  | {
      /** How relevant one document of a `rerank` request is; larger is more, the scale is the model's own. */
      readonly type: 'score'
      readonly index: number
      readonly score: number
    }
  | {
      readonly type: 'finish'
      readonly choice: number
      readonly reason: FinishReason
      /** The upstream's own word for it, where that is another. */
      readonly native?: string
      /** Of a `stop`: the stop sequence of the request that ended the choice, where the upstream says which. */
      readonly stopSequence?: string
    }
  | {
      /** Usage so far; the last one counts. */
      readonly type: 'usage'
      readonly usage: Usage
      /** The tier that the upstream says it served; the last word counts. */
      readonly serviceTier?: ServiceTier
      /** Fields of the upstream's usage object that we do not know; they are passed on. */
      readonly extra?: JsonObject
      /** What the upstream says that it takes from us for the request; undefined when it says nothing. */
      readonly reportedCostNanodollars?: bigint
    }

/** How an attempt ended, as the upstream saw it. */
export type AttemptEnd =
  | { readonly kind: 'completed' }
  /** We cancelled it; usage events before this one say what was produced. */
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'failed'; readonly failure: UpstreamFailure }

/** Why an upstream failed an attempt. */
export interface UpstreamFailure {
  /**
   * `refused`: it never took the request. `bad_request`: it says the request is wrong, another target will too. `unwanted`: no target is
   * one that the client wants.
   */
  readonly reason:
    | 'unwanted'
    | 'refused'
    | 'overloaded'
    | 'bad_request'
    | 'context_length'
    | 'timeout'
    | 'disconnected'
    | 'protocol'
    | 'internal'
    | 'unavailable'
  /** For people; names no secret and no address of the upstream. */
  readonly message: string
  /** HTTP status of the upstream, when it answered. */
  readonly status?: number
  /** Whether another target may do better. */
  readonly retryable: boolean
  /** How long the upstream asked us to wait. */
  readonly retryAfterMs?: number
}
