import type { ApiError } from '../../errors.ts'
import type { FinishReason } from '../../inference/event.ts'
import type { JsonObject } from '../../inference/request.ts'
import type { KeptDocument } from '../../ledger/kept-document.ts'
import { AssertionFailure } from '../../std/assert.ts'
import { type AnswerEncoder, type AnswerTotals, type EventOf, type KeptOwner, NO_BYTES } from '../protocol.ts'
import { type ResponsesRequest, type ResponsesSettings, uniqueOf } from './decode.ts'
import { responseDocuments } from './kept-response.ts'
import { OutputItems, type OutputStyle } from './output-items.ts'
import { failedResponse, type ResponseState, responseObject } from './response-object.ts'

const ENCRYPTED = 'reasoning.encrypted_content'
const LOGPROBS = 'message.output_text.logprobs'

/** What both ways of answering share: the items, and the response that they make. */
abstract class ResponseEncoder implements AnswerEncoder {
  abstract readonly contentType: 'text/event-stream' | 'application/json'
  protected readonly items: OutputItems
  readonly #request: ResponsesRequest
  readonly #model: string
  readonly #createdS: number
  readonly #keepMs: number
  #reason: FinishReason | null = null
  #response: JsonObject | null = null

  constructor(
    request: ResponsesRequest,
    model: string,
    createdS: number,
    settings: ResponsesSettings,
    emit: ((type: string, fields: string) => void) | null,
  ) {
    this.#request = request
    this.#model = model
    this.#createdS = createdS
    this.#keepMs = settings.keepMs
    this.items = new OutputItems(styleOf(request, settings), emit)
  }

  get finished(): boolean {
    return this.#reason !== null
  }

  started(): void {}

  frame(): Uint8Array {
    throw new AssertionFailure('no upstream speaks this protocol, so no frame of one can pass')
  }

  finish(_choice: number, reason: FinishReason): Uint8Array {
    if (this.#reason === null) {
      this.#reason = reason
      this.items.end(reason === 'length' || reason === 'content_filter')
    }
    return NO_BYTES
  }

  finishOpen(reason: FinishReason): Uint8Array {
    return this.finish(0, reason)
  }

  kept(owner: KeptOwner): readonly KeptDocument[] {
    const { store, input } = this.#request.responses
    if (!store || this.#response === null) return []
    return responseDocuments({ response: this.#response, input }, owner, this.#keepMs)
  }

  abstract delta(event: EventOf<'delta'>): Uint8Array
  abstract complete(totals: AnswerTotals): Uint8Array
  abstract error(error: ApiError): Uint8Array

  /** The response as it is now. */
  protected response(state: ResponseState): JsonObject {
    return responseObject(this.#request, this.#model, this.#createdS, state)
  }

  /** The response at its end. */
  protected ended(totals: AnswerTotals): JsonObject {
    const incompleteReason =
      this.#reason === 'length' ? 'max_output_tokens' : this.#reason === 'content_filter' ? 'content_filter' : undefined
    const status = incompleteReason === undefined ? 'completed' : 'incomplete'
    const output = this.items.toJson()
    this.#response = this.response({ status, output, totals, ...(incompleteReason && { incompleteReason }) })
    return this.#response
  }
}

function styleOf({ id, responses }: ResponsesRequest, { seal }: ResponsesSettings): OutputStyle {
  const { body, called } = responses
  const include = Array.isArray(body.include) ? body.include : []
  const reasoning = (body.reasoning ?? {}) as JsonObject
  return {
    unique: uniqueOf(id),
    called,
    summary: reasoning.summary !== 'none',
    logprobs: include.includes(LOGPROBS) || Number(body.top_logprobs ?? 0) > 0,
    seal: seal !== null && include.includes(ENCRYPTED) ? seal.seal : null,
  }
}

/** A response in one JSON body. */
export class ResponseBufferedEncoder extends ResponseEncoder {
  readonly contentType = 'application/json'

  constructor(request: ResponsesRequest, model: string, createdS: number, settings: ResponsesSettings) {
    super(request, model, createdS, settings, null)
  }

  delta(event: EventOf<'delta'>): Uint8Array {
    this.items.add(event)
    return NO_BYTES
  }

  complete(totals: AnswerTotals): Uint8Array {
    return Buffer.from(JSON.stringify(this.ended(totals)))
  }

  error(error: ApiError): Uint8Array {
    return Buffer.from(JSON.stringify(error.toOpenAi()))
  }
}

/** How many events tell that a response waits. */
const QUEUED_FRAMES = 2

/** The events that begin the stream of a response that runs in the background; they are sent before it runs. */
export function queuedFrames(response: JsonObject): string {
  const fields = `"response":${JSON.stringify(response)}`
  return eventFrame('response.created', 0, fields) + eventFrame('response.queued', 1, fields)
}

/** One event; `fields` is JSON text without braces. */
export function eventFrame(type: string, sequence: number, fields: string): string {
  return `event: ${type}\ndata: {"type":"${type}","sequence_number":${sequence},${fields}}\n\n`
}

/** A response as a stream of named events, numbered from 0. It ends with the response itself and has no end mark. */
export class ResponseStreamEncoder extends ResponseEncoder {
  readonly contentType = 'text/event-stream'
  /** Frames that wait to be handed out, one text. */
  #frames = ''
  #sequence: number
  #begun = false
  readonly #queued: boolean

  constructor(request: ResponsesRequest, model: string, createdS: number, settings: ResponsesSettings) {
    super(request, model, createdS, settings, (type, fields) => {
      this.#frame(type, fields)
    })
    this.#queued = request.responses.body.background === true
    this.#sequence = this.#queued ? QUEUED_FRAMES : 0
  }

  delta(event: EventOf<'delta'>): Uint8Array {
    this.#begin()
    this.items.add(event)
    return this.#take()
  }

  override finish(choice: number, reason: FinishReason): Uint8Array {
    this.#begin()
    super.finish(choice, reason)
    return this.#take()
  }

  complete(totals: AnswerTotals): Uint8Array {
    this.#begin()
    const response = this.ended(totals)
    this.#frame(`response.${String(response.status)}`, `"response":${JSON.stringify(response)}`)
    return this.#take()
  }

  error(error: ApiError): Uint8Array {
    this.#begin()
    const { code, message, param } = error
    this.#frame('error', JSON.stringify({ code, message, param }).slice(1, -1))
    const response = failedResponse(this.response({ status: 'failed', output: this.items.toJson() }), error)
    this.#frame('response.failed', `"response":${JSON.stringify(response)}`)
    return this.#take()
  }

  #begin(): void {
    if (this.#begun) return
    this.#begun = true
    const fields = `"response":${JSON.stringify(this.response({ status: 'in_progress', output: [] }))}`
    if (!this.#queued) this.#frame('response.created', fields)
    this.#frame('response.in_progress', fields)
  }

  #frame(type: string, fields: string): void {
    this.#frames += eventFrame(type, this.#sequence++, fields)
  }

  #take(): Uint8Array {
    if (this.#frames === '') return NO_BYTES
    const bytes = Buffer.from(this.#frames)
    this.#frames = ''
    return bytes
  }
}
