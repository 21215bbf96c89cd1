import type { ApiError } from '../../errors.ts'
import type { FinishReason } from '../../inference/event.ts'
import { AssertionFailure } from '../../std/assert.ts'
import { nanodollarsToDecimal } from '../../wire/decimal.ts'
import { sseFrame } from '../../wire/sse-writer.ts'
import { Choices } from '../choices.ts'
import { logprobNumber } from '../logprob-number.ts'
import { completionFinish, completionText } from '../openai-completions/stream-encoder.ts'
import { type AnswerEncoder, type AnswerTotals, type EventOf, NO_BYTES } from '../protocol.ts'
import { errorBody } from '../surface.ts'
import { statusJson } from './status-json.ts'

/** What both forms of an answer gather. */
abstract class InferenceTextEncoder implements AnswerEncoder {
  abstract readonly contentType: AnswerEncoder['contentType']
  protected readonly requestId: string
  protected readonly texts: string[]
  protected reason: FinishReason = 'stop'
  readonly #open: Choices

  constructor(requestId: string, choiceCount: number) {
    this.requestId = requestId
    this.texts = Array<string>(choiceCount).fill('')
    this.#open = new Choices(choiceCount)
  }

  get finished(): boolean {
    return this.#open.finished
  }

  started(): void {}

  delta(event: EventOf<'delta'>): Uint8Array {
    const text = completionText(event)
    this.texts[event.choice] += text
    return this.tokens(event, text)
  }

  frame(): Uint8Array {
    throw new AssertionFailure('this wire passes no frames')
  }

  // What says that the text is whole leaves with the settlement, in `complete`.
  finish(choice: number, reason: FinishReason): Uint8Array {
    if (this.#open.finish(choice)) this.reason = reason
    return NO_BYTES
  }

  finishOpen(reason: FinishReason): Uint8Array {
    for (const choice of this.#open.open()) this.finish(choice, reason)
    return NO_BYTES
  }

  abstract complete(totals: AnswerTotals): Uint8Array
  abstract error(error: ApiError): Uint8Array
  protected abstract tokens(event: EventOf<'delta'>, text: string): Uint8Array

  protected errorText(error: ApiError): string {
    return JSON.stringify(errorBody('deepinfra', error, this.requestId))
  }
}

/** Generated text in one JSON body. */
export class InferenceBufferedEncoder extends InferenceTextEncoder {
  readonly contentType = 'application/json'

  complete(totals: AnswerTotals): Uint8Array {
    const { inputTokens, outputTokens } = totals.usage
    const results = JSON.stringify(this.texts.map(generated_text => ({ generated_text })))
    return Buffer.from(
      `{${statusJson(this.requestId, totals)},"results":${results},"num_tokens":${outputTokens},"num_input_tokens":${inputTokens}}`,
    )
  }

  error(error: ApiError): Uint8Array {
    return Buffer.from(this.errorText(error))
  }

  protected tokens(): Uint8Array {
    return NO_BYTES
  }
}

/**
 * Generated text as a stream in the form of Text Generation Inference, which DeepInfra keeps: an event a token, and a last one with the
 * whole text and its details. The ids of tokens are not known on the wire of upstreams, and null; log probabilities are null where the
 * model does not report them. There is no end mark.
 */
export class InferenceStreamEncoder extends InferenceTextEncoder {
  readonly contentType = 'text/event-stream'

  complete(totals: AnswerTotals): Uint8Array {
    const { usage, chargeNanodollars } = totals
    const details = {
      finish_reason: completionFinish(this.reason),
      generated_tokens: usage.outputTokens,
      input_tokens: usage.inputTokens,
      seed: null,
    }
    const counts =
      `"num_output_tokens":${usage.outputTokens},"num_input_tokens":${usage.inputTokens}` +
      `,"estimated_cost":${nanodollarsToDecimal(chargeNanodollars)}`
    const notice = totals.notice === undefined ? '' : `,"notice":${JSON.stringify(totals.notice)}`
    return sseFrame(
      `{"token":{"id":null,"text":"","logprob":null,"special":true},"generated_text":${JSON.stringify(this.texts[0])}` +
        `,"details":${JSON.stringify(details)},${counts}${notice}}`,
    )
  }

  error(error: ApiError): Uint8Array {
    return sseFrame(this.errorText(error))
  }

  protected tokens({ logprobs }: EventOf<'delta'>, text: string): Uint8Array {
    // Tokens with parts of characters, or cut by a stop sequence, do not spell the text; then it goes as one.
    if (logprobs !== undefined && logprobs.map(one => one.token).join('') === text)
      return Buffer.concat(logprobs.map(one => tokenFrame(one.token, logprobNumber(one.logprob))))
    return text === '' ? NO_BYTES : tokenFrame(text, null)
  }
}

function tokenFrame(text: string, logprob: number | null): Uint8Array {
  return sseFrame(
    `{"token":{"id":null,"text":${JSON.stringify(text)},"logprob":${logprob},"special":false},"generated_text":null,"details":null}`,
  )
}
