import type { InferenceEvent, UpstreamFailure } from '../inference/event.ts'
import type { InferenceRequest, JsonObject } from '../inference/request.ts'
import type { Attempt } from '../inference/upstream.ts'
import type { Continuation } from './dialects/openai/continuation.ts'

/** Turns the bytes of a streamed answer into events. A failure ends the attempt; nothing may be pushed after it. */
export interface AnswerDecoder {
  push(chunk: Uint8Array, emit: (event: InferenceEvent) => void): UpstreamFailure | null
  /** The stream ended: a failure when it did so before the answer had. */
  end(emit: (event: InferenceEvent) => void): UpstreamFailure | null
}

/** How one upstream departs from its wire. */
export interface DialectSettings {
  /** How it is told to go on with a last message of the assistant; absent: as the client said it. */
  readonly continuation?: Continuation
  /** Words for how hard to think, by the model's name there: what clients say and what that model knows. */
  readonly efforts?: ReadonlyMap<string, Readonly<Record<string, string>>>
  /** Lengths of the vectors that its models make, by their name there, where that is known. */
  readonly dimensions?: ReadonlyMap<string, number>
}

/** A wire that upstreams speak over HTTP: what is sent for an attempt, and how its answer is read. Without state of its own. */
export interface HttpDialect {
  /** Headers of every request, beside those of the content. */
  headers(apiKey: string | null): Record<string, string>
  /**
   * Path below the base, and body. `floats`: the upstream refused to write this model's vectors in base64.
   *
   * @throws ApiError when the wire cannot say what the request asks for; another upstream may speak one that can.
   */
  exchange(
    attempt: Attempt,
    settings: DialectSettings,
    floats: boolean,
  ): { readonly path: string; readonly body: JsonObject }
  /** What of a request the wire has no place for, though it can be served without. Absent: nothing. */
  drops?(request: InferenceRequest): readonly string[]
  decoder(attempt: Attempt): AnswerDecoder
  /** What an answer other than 200 means. */
  failureOfStatus(status: number, body: string, retryAfter: string | undefined): UpstreamFailure
}
