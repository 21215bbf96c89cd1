import type { ServerResponse } from 'node:http'
import type { AttemptEnd, InferenceEvent } from '../inference/event.ts'
import type { InferenceRequest } from '../inference/request.ts'
import type { AttemptSink } from '../inference/upstream.ts'
import { answerBody, usageFrame, usageText } from './upstream-frames.ts'

/** Statuses by which an upstream refuses before it answers. */
const STATUS: Readonly<Record<string, number>> = { overloaded: 429, bad_request: 400 }

/** Writes the events of a simulated attempt to a real HTTP response, faults included: a death is a reset connection. */
export class ResponseSink implements AttemptSink {
  readonly #response: ServerResponse
  readonly #asked: InferenceRequest
  readonly #texts: string[]
  #id = 'simulated'
  #finish = 'stop'
  #usage: string | null = null
  /** Called when the other side reads too slowly. */
  onFull: () => void = () => undefined

  constructor(response: ServerResponse, asked: InferenceRequest) {
    this.#response = response
    this.#asked = asked
    this.#texts = Array(choicesOf(asked)).fill('')
  }

  onEvent(event: InferenceEvent): void {
    switch (event.type) {
      case 'started':
        this.#id = event.answerId ?? this.#id
        if (this.#asked.stream) this.#response.writeHead(200, { 'content-type': 'text/event-stream' })
        return
      case 'frame':
        if (!this.#response.write(event.bytes)) this.onFull()
        return
      case 'delta':
        this.#texts[event.choice] += event.content ?? ''
        return
      case 'finish':
        this.#finish = event.reason
        return
      case 'usage':
        this.#usage = usageText(event.usage.inputTokens, event.usage.cachedInputTokens, event.usage.outputTokens)
    }
  }

  onEnd(end: AttemptEnd): void {
    const response = this.#response
    if (end.kind === 'completed') this.#complete()
    else if (end.kind === 'cancelled' || response.headersSent) response.destroy()
    else {
      response.writeHead(STATUS[end.failure.reason] ?? 500, { 'content-type': 'application/json' })
      response.end(
        JSON.stringify({ error: { message: end.failure.message, type: 'simulated', param: null, code: null } }),
      )
    }
  }

  #complete(): void {
    const { protocol, model, stream } = this.#asked
    const head = { protocol, id: this.#id, model }
    if (stream) {
      if (this.#usage !== null) this.#response.write(usageFrame(head, this.#usage))
      this.#response.end('data: [DONE]\n\n')
      return
    }
    const body = answerBody(head, this.#texts, this.#finish, this.#usage ?? 'null')
    this.#response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length })
    this.#response.end(body)
  }
}

/** Choices of the whole answer: `n` for each prompt. */
export function choicesOf({ input, n }: InferenceRequest): number {
  return input.kind === 'text' ? n * input.prompts.length : n
}
