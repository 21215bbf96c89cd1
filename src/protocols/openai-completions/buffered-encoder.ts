import type { ApiError } from '../../errors.ts'
import type { FinishReason, TokenLogprob } from '../../inference/event.ts'
import { AssertionFailure } from '../../std/assert.ts'
import type { AnswerForm } from '../answer-form.ts'
import { Choices } from '../choices.ts'
import { type AnswerEncoder, type AnswerTotals, type EventOf, NO_BYTES } from '../protocol.ts'
import type { StreamHead } from '../stream-encoder.ts'
import { serviceTierJson, usageJson } from '../usage-json.ts'
import { CompletionLogprobs } from './logprobs.ts'
import { completionFinish, completionText } from './stream-encoder.ts'

/** What stays the same in the answer, whoever writes it. */
type BufferedHead = Omit<StreamHead, 'object'>

interface Choice {
  text: string
  readonly logprobs: TokenLogprob[]
  hasLogprobs: boolean
  finish: FinishReason | null
  native: string | undefined
}

/** A text completion in one JSON body, gathered from deltas. */
export class CompletionBufferedEncoder implements AnswerEncoder {
  readonly contentType = 'application/json'
  readonly #head: BufferedHead
  readonly #open: Choices
  readonly #choices: Choice[]

  constructor(head: BufferedHead, choiceCount: number) {
    this.#head = head
    this.#open = new Choices(choiceCount)
    this.#choices = Array.from({ length: choiceCount }, () => ({
      text: '',
      logprobs: [],
      hasLogprobs: false,
      finish: null,
      native: undefined,
    }))
  }

  get finished(): boolean {
    return this.#open.finished
  }

  started(): void {}

  delta(event: EventOf<'delta'>): Uint8Array {
    const choice = this.#choice(event.choice)
    choice.text += completionText(event)
    if (event.logprobs !== undefined) {
      choice.hasLogprobs = true
      choice.logprobs.push(...event.logprobs)
    }
    return NO_BYTES
  }

  frame(): Uint8Array {
    throw new AssertionFailure('a buffered answer cannot pass frames')
  }

  finish(choice: number, reason: FinishReason, native?: string): Uint8Array {
    if (this.#open.finish(choice)) Object.assign(this.#choice(choice), { finish: reason, native })
    return NO_BYTES
  }

  finishOpen(reason: FinishReason): Uint8Array {
    for (const choice of this.#open.open()) this.finish(choice, reason)
    return NO_BYTES
  }

  complete(totals: AnswerTotals): Uint8Array {
    const { id, createdS, model, form } = this.#head
    const choices = this.#choices.map((choice, index) => choiceJson(choice, index, form)).join(',')
    return Buffer.from(
      `{"id":${JSON.stringify(id)},"object":"text_completion","created":${createdS},"model":${JSON.stringify(model)}${form.head}${form.body},"choices":[${choices}],"usage":${usageJson(totals, form)}${serviceTierJson(totals)}}`,
    )
  }

  error(error: ApiError): Uint8Array {
    const own = this.#head.form.error?.(error)
    return Buffer.from(JSON.stringify(own === undefined ? error.toOpenAi() : { error: own }))
  }

  #choice(index: number): Choice {
    const choice = this.#choices[index]
    if (choice === undefined) throw new AssertionFailure(`choice ${index} was never asked for`)
    return choice
  }
}

function choiceJson(choice: Choice, index: number, form: AnswerForm): string {
  const logprobs = choice.hasLogprobs ? new CompletionLogprobs().json(choice.logprobs) : 'null'
  const reason = choice.finish === null ? 'null' : `"${completionFinish(choice.finish)}"`
  return `{"index":${index},"text":${JSON.stringify(choice.text)},"logprobs":${logprobs},"finish_reason":${reason}${choice.finish === null ? '' : form.finish(choice.finish, choice.native)}}`
}
