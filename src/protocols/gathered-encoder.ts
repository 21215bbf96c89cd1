import type { ApiError } from '../errors.ts'
import type { Surface } from '../inference/request.ts'
import { AssertionFailure } from '../std/assert.ts'
import { type AnswerEncoder, type AnswerTotals, NO_BYTES } from './protocol.ts'
import { errorBody } from './surface.ts'

/** The answer of work that writes no text: gathered from events, and one JSON body at the end. It is one choice, whatever it holds. */
export abstract class GatheredEncoder implements AnswerEncoder {
  readonly contentType = 'application/json'
  readonly #surface: Surface
  readonly #requestId: string
  #finished = false

  constructor(surface: Surface, requestId: string) {
    this.#surface = surface
    this.#requestId = requestId
  }

  get finished(): boolean {
    return this.#finished
  }

  started(): void {}

  delta(): Uint8Array {
    throw new AssertionFailure('this work writes no text')
  }

  frame(): Uint8Array {
    throw new AssertionFailure('this work passes no frames')
  }

  finish(): Uint8Array {
    this.#finished = true
    return NO_BYTES
  }

  finishOpen(): Uint8Array {
    return this.finish()
  }

  complete(totals: AnswerTotals): Uint8Array {
    return Buffer.from(this.bodyText(totals))
  }

  error(error: ApiError): Uint8Array {
    return Buffer.from(JSON.stringify(errorBody(this.#surface, error, this.#requestId)))
  }

  /** The JSON text of the whole answer. */
  protected abstract bodyText(totals: AnswerTotals): string
}
