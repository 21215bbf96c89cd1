import type { z } from '@hono/zod-openapi'
import type { ApiError } from '../errors.ts'
import type { FinishReason, InferenceEvent } from '../inference/event.ts'
import type { InferenceRequest, JsonObject, Protocol, Surface } from '../inference/request.ts'
import type { ServiceTier } from '../inference/service-tier.ts'
import type { ModelCapabilities } from '../inference/snapshot.ts'
import type { Usage } from '../inference/usage.ts'
import type { KeptDocument, KeptKind } from '../ledger/kept-document.ts'

/** What is known about a request when its answer is complete. */
export interface AnswerTotals {
  readonly usage: Usage
  /** What the client pays; goes on the wire as `usage.estimated_cost`, exact. */
  readonly chargeNanodollars: bigint
  /** The part of it that is for the input and for the request itself; the rest is for output. */
  readonly inputChargeNanodollars?: () => bigint
  /** The tier that is charged; goes on the wire as `service_tier`. Undefined when the request named none. */
  readonly serviceTier?: ServiceTier
  /** Fields of the upstream's usage object that we do not know (`usage` event). */
  readonly usageExtra?: JsonObject
  /** Why an answer ended before its time, for people (a hold that could not be extended); `usage.notice` on the wire. */
  readonly notice?: string
  /** When the answer was complete, wall clock; for protocols that say so. */
  readonly completedMs?: number
  /** Request received to settlement, milliseconds. */
  readonly durationMs?: number
}

/**
 * Turns the events of one answer into the client's bytes. One object per request, whatever the number of attempts before
 * the first event. It never decides when bytes leave: the gateway holds those of the last `finish` or `frame` back until
 * the settlement is durable, then sends them with those of `complete`. A buffered encoder answers no bytes (length 0)
 * until `complete`. All answers are whole UTF-8 frames or the whole JSON body.
 */
export interface AnswerEncoder {
  readonly contentType: 'text/event-stream' | 'application/json'
  /** True when every choice that the request asked for has finished. */
  readonly finished: boolean
  /** Takes over the upstream's answer id and time, so that frames of ours match frames that pass unchanged. */
  started(event: EventOf<'started'>): void
  delta(event: EventOf<'delta'>): Uint8Array
  /** One vector; only of protocols that ask for vectors. */
  embedding?(event: EventOf<'embedding'>): void
  /** One document's score; only of protocols that rank. */
  score?(event: EventOf<'score'>): void
  /** The frames of a passthrough attempt, unchanged. */
  frame(event: EventOf<'frame'>): Uint8Array
  /**
   * `native`: the upstream's own word for the reason, where that is another. `stopSequence`: the one of the request's that ended the
   * choice, where it is known.
   */
  finish(choice: number, reason: FinishReason, native?: string, stopSequence?: string): Uint8Array
  /** Ends every choice that has not finished. */
  finishOpen(reason: FinishReason): Uint8Array
  /** What follows the last finish: the usage frame and the end mark of a stream, or the whole body. */
  complete(totals: AnswerTotals): Uint8Array
  /** What of a whole answer is to be kept; it becomes durable together with the settlement. Asked after `complete`. */
  kept?(owner: KeptOwner): readonly KeptDocument[]
  /** What tells a client that the answer failed: a frame after which the stream is to be closed, or the error body. */
  error(error: ApiError): Uint8Array
}

/** What a codec may need beside the body. */
export interface DecodeContext {
  readonly requestId: string
  readonly surface: Surface
  /** Lower-case names, as Node gives them. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  /** Of the request, without its query; absent where none came over HTTP. */
  readonly path?: string
  /** The model's id where the path names it and not the body. */
  readonly pathModel?: string
  /** What is kept for the caller's org: earlier responses and their items. Absent where nothing is kept. */
  readonly kept?: KeptReader
  /** What a model can do, by its id or an alias; undefined when there is none. */
  readonly capabilitiesOf?: (model: string) => ModelCapabilities | undefined
}

/** A request whose result is sent to a URL of the client's, who does not wait for it. */
export interface Detached {
  /** As the client wrote it; nothing is known of it yet. */
  readonly url: string
  /** The field that holds it. */
  readonly param: string
  /** What the client is told at once. */
  queued(requestId: string): object
  /** What is sent when there is no result. */
  failed(requestId: string, error: { readonly code: string; readonly message: string }): object
}

/** Finds what was kept for one org. */
export interface KeptReader {
  /** The JSON text of a document; null when the org has none of this kind and id. */
  find(kind: KeptKind, id: string): Promise<string | null>
}

export type EventOf<Type extends InferenceEvent['type']> = Extract<InferenceEvent, { type: Type }>

/** For whom something is kept, and from when on. */
export interface KeptOwner {
  readonly orgId: string
  readonly keyId: string
  /** Wall clock. */
  readonly nowMs: number
}

/** What people are told of a protocol: the very schemas that its bodies are checked against, and those that its answers keep to. */
export interface ProtocolDescription {
  /** What it does, in a few words, and the heading it stands under. */
  readonly summary: string
  readonly tag: string
  /** Markdown-free sentences. */
  readonly text: string
  readonly body: z.ZodType
  readonly answer: z.ZodType
  /** The data of one event of a streamed answer; absent where answers are never streamed. */
  readonly event?: z.ZodType
}

/** One public wire API. Pure: values in, values out. */
export interface ProtocolCodec {
  readonly protocol: Protocol
  /** Whether frames of an upstream that speaks OpenAI's wire may be passed on as they came (`frame` events). */
  readonly passesFrames: boolean | ((request: InferenceRequest) => boolean)
  /** How the API's reference tells of it. */
  readonly description?: ProtocolDescription
  /** Reads and validates a client's body. Throws `ApiError` that names the parameter at fault. */
  decode(body: Uint8Array, context: DecodeContext): InferenceRequest | Promise<InferenceRequest>
  /** The encoder of the request's answer; `createdS` is unix seconds, `upstreamId` who serves it, where anybody does. */
  encoder(request: InferenceRequest, publicModel: string, createdS: number, upstreamId?: string): AnswerEncoder
  /** Whether a body asks for its result to be sent elsewhere; only of protocols that know that. Throws `ApiError`. */
  detach?(body: Uint8Array): Detached | null
}

/** Choices of the whole answer: `n` for each prompt. Their indices are `prompt * n + choice`. Vectors and scores are one choice together. */
export function choiceCount(request: InferenceRequest): number {
  return request.input.kind === 'text' ? request.n * request.input.prompts.length : request.n
}

export const NO_BYTES: Uint8Array = new Uint8Array(0)
