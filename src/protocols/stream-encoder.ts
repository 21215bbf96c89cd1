import type { ApiError } from '../errors.ts'
import type { FinishReason } from '../inference/event.ts'
import { assert } from '../std/assert.ts'
import { SseParser } from '../wire/sse-parser.ts'
import { SSE_DONE, sseFrame } from '../wire/sse-writer.ts'
import type { AnswerForm } from './answer-form.ts'
import { Choices } from './choices.ts'
import { type AnswerEncoder, type AnswerTotals, type EventOf, NO_BYTES } from './protocol.ts'
import { serviceTierJson, usageJson } from './usage-json.ts'

/** What stays the same in all chunks of a streamed answer. */
export interface StreamHead {
  readonly id: string
  readonly object: 'chat.completion.chunk' | 'text_completion'
  readonly createdS: number
  readonly model: string
  readonly form: AnswerForm
}

/**
 * The part of a streamed answer that OpenAI's chat and completions wires share: frames of one chunk each, a usage chunk
 * without choices, the end mark. A subclass says what stands in a choice.
 */
export abstract class StreamEncoder implements AnswerEncoder {
  readonly contentType = 'text/event-stream'
  protected readonly choices: Choices
  /** True once a frame of the upstream's own has passed: it will have opened the choices. */
  protected framesPassed = false
  readonly #includeUsage: boolean
  #head: StreamHead
  /** Everything of a chunk before its `choices`; built once, so that a delta is one concatenation. */
  #prefix = ''

  constructor(head: StreamHead, choiceCount: number, includeUsage: boolean) {
    this.#head = head
    this.#includeUsage = includeUsage
    this.choices = new Choices(choiceCount)
  }

  get finished(): boolean {
    return this.choices.finished
  }

  started(event: EventOf<'started'>): void {
    if (event.answerId === undefined) return
    this.#head = { ...this.#head, id: event.answerId, createdS: event.createdS ?? this.#head.createdS }
    this.#prefix = ''
  }

  frame(event: EventOf<'frame'>): Uint8Array {
    this.framesPassed = true
    if (event.finishes > 0) for (const choice of finishedChoices(event.bytes)) this.choices.finish(choice)
    return event.bytes
  }

  abstract delta(event: EventOf<'delta'>): Uint8Array

  finish(choice: number, reason: FinishReason, native?: string): Uint8Array {
    return this.choices.finish(choice) ? Buffer.from(this.finishText(choice, reason, native)) : NO_BYTES
  }

  finishOpen(reason: FinishReason): Uint8Array {
    let text = ''
    for (const choice of this.choices.open()) {
      this.choices.finish(choice)
      text += this.finishText(choice, reason)
    }
    return text === '' ? NO_BYTES : Buffer.from(text)
  }

  complete(totals: AnswerTotals): Uint8Array {
    if (!this.#includeUsage) return SSE_DONE
    // `choices` has to be there, empty: AI SDK's schema of a chunk demands it.
    const choices = this.form.usageInChoice ? this.emptyText(0, null) : ''
    return Buffer.from(
      `${this.prefix()}${choices}],"usage":${usageJson(totals, this.form)}${serviceTierJson(totals)}}\n\ndata: [DONE]\n\n`,
    )
  }

  /** The stream ends after this frame without the end mark; clients then raise an error instead of taking a short answer for whole. */
  error(error: ApiError): Uint8Array {
    const own = this.form.error?.(error)
    if (own === undefined) return sseFrame(JSON.stringify(error.toOpenAi()))
    const broken = this.choices.open().map(choice => this.emptyText(choice, 'error'))
    return Buffer.from(`${this.prefix()}${broken.join(',')}],"error":${JSON.stringify(own)}}\n\n`)
  }

  protected get form(): AnswerForm {
    return this.#head.form
  }

  /** The frames that end a choice, as text. */
  protected abstract finishText(choice: number, reason: FinishReason, native?: string): string

  /** A choice without text, as JSON text. */
  protected abstract emptyText(choice: number, reason: 'error' | null): string

  /** `data: {` up to and with the bracket that opens `choices`. */
  protected prefix(): string {
    if (this.#prefix === '') {
      const { id, object, createdS, model, form } = this.#head
      this.#prefix = `data: {"id":${JSON.stringify(id)},"object":"${object}","created":${createdS},"model":${JSON.stringify(model)}${form.head},"choices":[`
    }
    return this.#prefix
  }
}

/** How a choice without text ends, or that it does not. */
export function emptyFinish(reason: 'error' | null, form: AnswerForm): string {
  return reason === null ? ',"finish_reason":null' : `,"finish_reason":"${reason}"${form.finish(reason, undefined)}`
}

/** The choices that a frame of an upstream finishes. Such frames are one in an answer, so parsing them costs nothing. */
function finishedChoices(frame: Uint8Array): number[] {
  const parser = new SseParser({ frameBytesMax: frame.byteLength })
  parser.push(frame)
  assert(parser.next(), 'a frame event holds a whole frame')
  const chunk = JSON.parse(parser.dataBytes.toString('utf8', parser.dataStart, parser.dataEnd))
  const finished: number[] = []
  for (const choice of chunk.choices) if (typeof choice.finish_reason === 'string') finished.push(choice.index ?? 0)
  return finished
}
