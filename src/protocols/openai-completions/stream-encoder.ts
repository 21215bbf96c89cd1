import type { FinishReason } from '../../inference/event.ts'
import { type EventOf, NO_BYTES } from '../protocol.ts'
import { emptyFinish, StreamEncoder } from '../stream-encoder.ts'
import { CompletionLogprobs } from './logprobs.ts'

/** A streamed text completion. */
export class CompletionStreamEncoder extends StreamEncoder {
  readonly #logprobs = new Map<number, CompletionLogprobs>()

  delta(event: EventOf<'delta'>): Uint8Array {
    const { choice } = event
    const text = completionText(event)
    if (text === '' && event.logprobs === undefined && event.extra === undefined) return NO_BYTES
    let logprobsJson = 'null'
    if (event.logprobs !== undefined) {
      let logprobs = this.#logprobs.get(choice)
      if (logprobs === undefined) {
        logprobs = new CompletionLogprobs()
        this.#logprobs.set(choice, logprobs)
      }
      logprobsJson = logprobs.json(event.logprobs)
    }
    let extra = ''
    for (const key in event.extra) extra += `,${JSON.stringify(key)}:${JSON.stringify(event.extra[key] ?? null)}`
    return Buffer.from(
      `${this.prefix()}{"index":${choice},"text":${JSON.stringify(text)},"logprobs":${logprobsJson},"finish_reason":null${extra}}]}\n\n`,
    )
  }

  protected override finishText(choice: number, reason: FinishReason, native?: string): string {
    return `${this.prefix()}{"index":${choice},"text":"","logprobs":null,"finish_reason":"${completionFinish(reason)}"${this.form.finish(reason, native)}}]}\n\n`
  }

  protected override emptyText(choice: number, reason: 'error' | null): string {
    return `{"index":${choice},"text":""${emptyFinish(reason, this.form)}}`
  }
}

/** This wire has one text: what an engine took for reasoning was part of it. */
export function completionText(event: EventOf<'delta'>): string {
  return event.reasoning === undefined ? (event.content ?? '') : event.reasoning + (event.content ?? '')
}

/** This wire knows no tools. */
export function completionFinish(reason: FinishReason): string {
  return reason === 'tool_calls' ? 'stop' : reason
}
