import type { InferenceEvent, UpstreamFailure } from '../../../inference/event.ts'
import type { JsonObject } from '../../../inference/request.ts'
import type { ServiceTier } from '../../../inference/service-tier.ts'
import { isObject } from '../../../wire/json-object.ts'
import { SseFrameTooLarge, SseParser } from '../../../wire/sse-parser.ts'
import { type NormalisedUsage, UsageReader } from '../usage-normaliser.ts'
import { usageObjectIn } from './chat-usage.ts'
import { ChunkDecoder } from './chunk-decoder.ts'
import { ChunkScan } from './chunk-scan.ts'
import { failureOfErrorFrame } from './error-frame.ts'
import { rewriteFrame } from './frame-rewrite.ts'
import { RepeatedFrame } from './repeated-frame.ts'
import { servedTier } from './served-tier.ts'
import { estimateTokens } from './token-estimate.ts'

type Emit = (event: InferenceEvent) => void

/** Largest frame that an upstream may send; the largest in use, a whole tool call in one frame, stays far below. */
const FRAME_BYTES_MAX = 4 * 1024 * 1024

/** How a stream is to be read. */
export interface OpenAiStreamDecoderOptions {
  /** True when the client speaks the same protocol: frames then pass unread, except those that a relay has to understand. */
  readonly passthrough: boolean
  /** What clients are told served them, put in place of the name that the upstream uses. */
  readonly publicModel: string
  /** Choices that were asked for; a finish of another one is refused. Unchecked when undefined. */
  readonly choices?: number
}

/**
 * Turns the bytes of an upstream's streamed answer (OpenAI's chat or text completions) into events.
 *
 * In passthrough, frames go on as `frame` events, byte for byte but for the model's id and the second name of reasoning.
 * Only a first frame, and frames with usage, a finish, an error or a tool call are parsed; those with usage become
 * events, because usage leaves only when it is settled. Otherwise each frame is parsed and becomes `delta` events.
 * What follows `[DONE]` is ignored. Pure: the same bytes give the same events, however they are cut.
 */
export class OpenAiStreamDecoder {
  readonly #parser = new SseParser({ frameBytesMax: FRAME_BYTES_MAX })
  readonly #scan = new ChunkScan()
  readonly #chunks = new ChunkDecoder()
  readonly #usage = new UsageReader('openai-chat')
  readonly #publicModel: Buffer
  readonly #choices: number | undefined
  #passthrough: boolean
  #started = false
  #done = false
  /** Output tokens counted so far, to tell how many a running usage adds. */
  #tokens = 0
  /** Usage out of a chunk with choices while there are several: it may speak of one choice only. */
  #doubtfulUsage: NormalisedUsage | undefined
  /** The tier that the last frame that says one was served at. */
  #servedTier: ServiceTier | undefined
  /** Adjacent frames that pass unchanged: one event for all, one view of memory. */
  #runStart = -1
  #runEnd = -1
  #runTokens = 0
  /** Adjacent frames of text that were decoded without parsing: one delta for all. */
  readonly #repeated = new RepeatedFrame()
  #textTokens = 0

  constructor(options: OpenAiStreamDecoderOptions) {
    this.#passthrough = options.passthrough
    // As it stands inside a JSON string.
    this.#publicModel = Buffer.from(JSON.stringify(options.publicModel).slice(1, -1))
    this.#choices = options.choices
  }

  /** Takes the next bytes. A failure ends the attempt; nothing may be pushed after it. */
  push(chunk: Uint8Array, emit: Emit): UpstreamFailure | null {
    if (this.#done) return null
    this.#parser.push(chunk)
    return this.#drain(emit)
  }

  /** The stream ended. A failure when it did so before a choice had finished. */
  end(emit: Emit): UpstreamFailure | null {
    if (!this.#done) {
      this.#parser.end()
      const failure = this.#drain(emit)
      if (failure !== null) return failure
    }
    if (this.#doubtfulUsage !== undefined) this.#emitUsage(this.#doubtfulUsage, emit)
    this.#doubtfulUsage = undefined
    if (this.#chunks.finishes >= (this.#choices ?? 1)) return null
    return { reason: 'disconnected', message: 'The upstream ended its answer before it was finished.', retryable: true }
  }

  #drain(emit: Emit): UpstreamFailure | null {
    const parser = this.#parser
    try {
      while (parser.next()) {
        if (isDone(parser.dataBytes, parser.dataStart, parser.dataEnd)) {
          this.#done = true
          break
        }
        const failure =
          this.#passthrough && this.#started ? this.#pass(emit) : this.#takeText() ? null : this.#read(emit)
        if (failure !== null) {
          this.#flush(emit)
          return failure
        }
      }
    } catch (error) {
      if (!(error instanceof SseFrameTooLarge)) throw error
      this.#flush(emit)
      return protocolFailure(error.message)
    }
    this.#flush(emit)
    return null
  }

  /** A frame of text like the one before, to be decoded; false when it has to be parsed. */
  #takeText(): boolean {
    const { dataBytes, dataStart, dataEnd } = this.#parser
    if (this.#passthrough) return false
    const textBytes = this.#repeated.take(dataBytes, dataStart, dataEnd)
    if (textBytes === 0) return false
    this.#textTokens += estimateTokens(textBytes)
    return true
  }

  /** A frame in passthrough: on its way unread unless the scan says to look closer. */
  #pass(emit: Emit): UpstreamFailure | null {
    const parser = this.#parser
    const scan = this.#scan
    scan.scan(parser.dataBytes, parser.dataStart, parser.dataEnd)
    const ordinary = scan.hasChoices && !scan.hasUsage && !scan.hasError && !scan.hasFinish && !scan.hasToolCalls
    // Payloads of several lines are pretty-printed JSON; they are rewritten, so that edits need to know one form only.
    if (!ordinary || parser.dataBytes !== parser.bytes) return this.#read(emit)
    this.#forward(0, emit)
    return null
  }

  /** A frame that has to be understood. */
  #read(emit: Emit): UpstreamFailure | null {
    const parser = this.#parser
    const chunk = parseObject(parser.dataBytes.toString('utf8', parser.dataStart, parser.dataEnd))
    if (chunk === undefined) return protocolFailure('The upstream sent a frame that is no JSON object.')
    if ((chunk.error !== undefined && chunk.error !== null) || parser.event === 'error') {
      return failureOfErrorFrame(chunk.error === undefined ? { error: chunk } : chunk)
    }
    const usage = this.#usage.read(chunk)
    this.#servedTier = servedTier(chunk) ?? this.#servedTier
    if (!this.#started) this.#start(chunk, usage, emit)
    const choices = Array.isArray(chunk.choices) ? chunk.choices : []
    if (!choices.every(choice => this.#isExpected(choice)))
      return protocolFailure('The upstream sent a choice that was not asked for.')
    const unread = this.#passthrough && Array.isArray(chunk.choices) && parser.dataBytes === parser.bytes
    // A usage object goes to the client with the settlement and no other way, also one that says nothing.
    if (unread && usageObjectIn(chunk) === undefined) {
      const seen = this.#chunks.observe(choices)
      if (typeof seen === 'number') {
        this.#scan.scan(parser.dataBytes, parser.dataStart, parser.dataEnd)
        this.#forward(seen, emit)
        if (usage !== undefined) this.#report(usage, choices, emit)
        return null
      }
      if (seen !== 'decode') return seen
    }
    this.#flush(emit)
    return this.#decode(choices, usage, emit)
  }

  #start(chunk: JsonObject, usage: NormalisedUsage | undefined, emit: Emit): void {
    this.#started = true
    const { id, created } = chunk
    // Frames of ours have to match theirs; without an id of theirs, all have to be ours.
    if (typeof id !== 'string' || !Number.isSafeInteger(created)) this.#passthrough = false
    emit({
      type: 'started',
      // No prompt is empty: a server that says 0 has not counted yet, and the hold for the input must not be given back.
      ...((usage?.usage.inputTokens ?? 0) > 0 && { inputTokens: usage?.usage.inputTokens }),
      ...(this.#passthrough && { answerId: id as string, createdS: created as number }),
      ...(this.#servedTier !== undefined && { serviceTier: this.#servedTier }),
    })
  }

  #decode(choices: readonly unknown[], usage: NormalisedUsage | undefined, emit: Emit): UpstreamFailure | null {
    // A running total tells how many tokens this chunk holds; 0 so far, beside a text, has not been counted yet.
    const running = (this.#choices ?? 1) === 1 ? this.#usage.frameOutputTokens : undefined
    const tokens = running === undefined || running === 0 ? undefined : Math.max(0, running - this.#tokens)
    const { dataBytes, dataStart, dataEnd } = this.#parser
    const failure = this.#chunks.decode(choices, tokens, event => {
      if (event.type === 'delta') {
        this.#tokens += event.tokens
        // Only what says nothing but a text: no usage, no finish, one choice.
        if (!this.#passthrough && usage === undefined && choices.length === 1 && !hasFinish(choices[0])) {
          this.#repeated.learn(dataBytes, dataStart, dataEnd, event)
        }
      }
      emit(event)
    })
    if (usage !== undefined) this.#report(usage, choices, emit)
    return failure
  }

  #report(usage: NormalisedUsage, choices: readonly unknown[], emit: Emit): void {
    if ((this.#choices ?? 1) > 1 && choices.length > 0) {
      this.#doubtfulUsage = usage
      return
    }
    this.#doubtfulUsage = undefined
    this.#flush(emit)
    this.#emitUsage(usage, emit)
  }

  /** Sends the current frame on; one that finishes a choice goes alone, because it may have to be held back. */
  #forward(finishes: number, emit: Emit): void {
    const { bytes, frameStart, frameEnd } = this.#parser
    const tokens = estimateTokens(this.#scan.textBytes + this.#scan.reasoningBytes)
    this.#tokens += tokens
    const rewritten = rewriteFrame(bytes, frameStart, frameEnd, this.#scan, this.#publicModel)
    if (rewritten === null && finishes === 0) {
      if (this.#runEnd !== frameStart) this.#flush(emit)
      if (this.#runStart === -1) this.#runStart = frameStart
      this.#runEnd = frameEnd
      this.#runTokens += tokens
      return
    }
    this.#flush(emit)
    emit({ type: 'frame', bytes: rewritten ?? bytes.subarray(frameStart, frameEnd), tokens, finishes })
  }

  #flush(emit: Emit): void {
    const content = this.#repeated.takeTexts()
    if (content !== '') {
      const tokens = this.#textTokens
      this.#textTokens = 0
      this.#tokens += tokens
      emit({ type: 'delta', choice: this.#repeated.choice, content, tokens })
    }
    if (this.#runStart === -1) return
    const bytes = this.#parser.bytes.subarray(this.#runStart, this.#runEnd)
    const tokens = this.#runTokens
    this.#runStart = -1
    this.#runEnd = -1
    this.#runTokens = 0
    emit({ type: 'frame', bytes, tokens, finishes: 0 })
  }

  #emitUsage(usage: NormalisedUsage, emit: Emit): void {
    emit({ type: 'usage', ...usage, ...(this.#servedTier !== undefined && { serviceTier: this.#servedTier }) })
  }

  #isExpected(choice: unknown): boolean {
    if (this.#choices === undefined || !isObject(choice) || choice.index === undefined) return true
    const index = choice.index
    return Number.isInteger(index) && (index as number) >= 0 && (index as number) < this.#choices
  }
}

function protocolFailure(message: string): UpstreamFailure {
  return { reason: 'protocol', message, retryable: true }
}

function hasFinish(choice: unknown): boolean {
  return isObject(choice) && choice.finish_reason !== null && choice.finish_reason !== undefined
}

/** `[DONE]`, the mark that ends OpenAI's streams. */
function isDone(bytes: Buffer, start: number, end: number): boolean {
  if (bytes[start] !== 0x5b) return false
  return bytes.toString('latin1', start, end).trimEnd() === '[DONE]'
}

function parseObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}
