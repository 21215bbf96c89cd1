import type { ChatMessage, InferenceRequest, JsonObject } from '../../inference/request.ts'
import type { KeptDocument } from '../../ledger/kept-document.ts'
import type { AnswerEncoder, AnswerTotals, EventOf, KeptOwner } from '../protocol.ts'

/** A chat completion that its client asked to store: document of kind `chat_completion`, whose state is the model's id. */
export interface KeptCompletion {
  readonly completion: JsonObject
  readonly messages: readonly ChatMessage[]
}

/** Whether the client wants to read the completion again (`store`). */
export function asksToStore({ body }: InferenceRequest): boolean {
  return body.store === true
}

/** Reads the document of a stored completion. */
export function readKeptCompletion(json: string): KeptCompletion {
  return JSON.parse(json)
}

/** Writes an answer in whatever way its client reads it, and gathers it whole beside that, to be stored. */
export class StoringEncoder implements AnswerEncoder {
  readonly #encoder: AnswerEncoder
  readonly #whole: AnswerEncoder
  readonly #request: InferenceRequest
  readonly #keepMs: number
  #completion: JsonObject | null = null

  /** `whole` makes the buffered answer; no frames pass here, they would not be read. */
  constructor(encoder: AnswerEncoder, whole: AnswerEncoder, request: InferenceRequest, keepMs: number) {
    this.#encoder = encoder
    this.#whole = whole
    this.#request = request
    this.#keepMs = keepMs
  }

  get contentType() {
    return this.#encoder.contentType
  }

  get finished(): boolean {
    return this.#encoder.finished
  }

  started(event: EventOf<'started'>): void {
    this.#encoder.started(event)
  }

  delta(event: EventOf<'delta'>): Uint8Array {
    this.#whole.delta(event)
    return this.#encoder.delta(event)
  }

  frame(event: EventOf<'frame'>): Uint8Array {
    return this.#encoder.frame(event)
  }

  finish(...finish: Parameters<AnswerEncoder['finish']>): Uint8Array {
    this.#whole.finish(...finish)
    return this.#encoder.finish(...finish)
  }

  finishOpen(...reason: Parameters<AnswerEncoder['finishOpen']>): Uint8Array {
    this.#whole.finishOpen(...reason)
    return this.#encoder.finishOpen(...reason)
  }

  complete(totals: AnswerTotals): Uint8Array {
    this.#completion = JSON.parse(Buffer.from(this.#whole.complete(totals)).toString())
    return this.#encoder.complete(totals)
  }

  error(...error: Parameters<AnswerEncoder['error']>): Uint8Array {
    return this.#encoder.error(...error)
  }

  kept(owner: KeptOwner): readonly KeptDocument[] {
    if (this.#completion === null) return []
    const body = this.#request.sent ?? this.#request.body
    const completion: JsonObject = {
      ...this.#completion,
      ...{ metadata: body.metadata ?? {}, tools: body.tools ?? null, tool_choice: body.tool_choice ?? null },
      ...{ response_format: body.response_format ?? null, temperature: body.temperature ?? null },
      ...{ top_p: body.top_p ?? null, seed: body.seed ?? null, input_user: body.user ?? null },
    }
    const kept: KeptCompletion = { completion, messages: body.messages as readonly ChatMessage[] }
    return [
      {
        ...{ kind: 'chat_completion', id: String(completion.id), orgId: owner.orgId, keyId: owner.keyId },
        ...{ parentId: null, state: String(completion.model), json: JSON.stringify(kept) },
        ...{ createdMs: owner.nowMs, expiresMs: owner.nowMs + this.#keepMs },
      },
    ]
  }
}
