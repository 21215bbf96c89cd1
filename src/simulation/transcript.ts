import type { OutgoingHttpHeaders } from 'node:http'

/** The `usage` object as a client reads it. */
export interface SeenUsage {
  readonly inputTokens: number
  readonly cachedTokens: number
  readonly outputTokens: number
  /** The digits of `estimated_cost` as they stand in the JSON text. */
  readonly cost: string
  readonly notice: string
}

/**
 * What a server sent to one client, read as a strict client would, with a parser of its own, so that no bug of the
 * project's parser can hide one of its writer. Whatever breaks the grammar of an answer is noted in `violations`.
 */
export class Transcript {
  readonly #stream: boolean
  readonly #choices: number
  /** Called before the bytes that make an answer complete are taken in. */
  readonly #onCompleting: () => void
  #status: number | null = null
  #partial = ''
  #body = ''
  #started = new Set<number>()
  readonly finished = new Set<number>()
  readonly texts: string[]
  readonly violations: string[] = []
  usage: SeenUsage | null = null
  /** Which model the answer says it is of. */
  model: string | null = null
  done = false
  errorCode: string | null = null
  /** The server ended the answer. */
  ended = false
  keepAlives = 0
  /** All bytes of the body, as text. */
  raw = ''
  /** The answer of an earlier request was sent again. */
  replayed = false
  /** `x-request-id`. */
  requestId: string | null = null
  #toldNotStored = false

  constructor(stream: boolean, choices: number, onCompleting: () => void) {
    this.#stream = stream
    this.#choices = choices
    this.#onCompleting = onCompleting
    this.texts = Array.from({ length: choices }, () => '')
  }

  get status(): number | null {
    return this.#status
  }

  /** The client has an answer in which every choice came to its end. */
  get whole(): boolean {
    return this.#status === 200 && this.finished.size === this.#choices
  }

  /** Tokens in all texts: the simulated engine ends each with a blank. */
  get tokens(): number {
    let tokens = 0
    for (const text of this.texts) for (let i = 0; i < text.length; i++) if (text[i] === ' ') tokens++
    return tokens
  }

  /** The server said that the answer cannot be had again. */
  get toldNotStored(): boolean {
    return this.#toldNotStored || this.usage?.notice.includes('Idempotency-Key') === true
  }

  head(status: number, headers: OutgoingHttpHeaders = {}): void {
    if (this.#status !== null) this.violations.push('a second head')
    this.#status = status
    this.replayed = headers['idempotent-replayed'] === 'true'
    this.#toldNotStored = headers['x-headrace-idempotency'] === 'not stored'
    this.requestId = typeof headers['x-request-id'] === 'string' ? headers['x-request-id'] : null
  }

  body(text: string): void {
    if (this.#status === null) this.violations.push('a body before the head')
    if (this.ended) this.violations.push('bytes after the end')
    this.raw += text
    if (!this.#stream || this.#status !== 200) {
      this.#body += text
      if (text === '\n') this.keepAlives++
      return
    }
    this.#partial += text
    for (let end = this.#partial.indexOf('\n\n'); end >= 0; end = this.#partial.indexOf('\n\n')) {
      const frame = this.#partial.slice(0, end)
      this.#partial = this.#partial.slice(end + 2)
      this.#frame(frame)
    }
  }

  end(): void {
    if (this.ended) this.violations.push('a second end')
    this.ended = true
    if (this.#status === null) {
      this.violations.push('an end without a head')
      return
    }
    if (this.#partial !== '') this.violations.push('half a frame')
    if (this.#stream && this.#status === 200) this.#endStream()
    else this.#endBody()
  }

  #frame(frame: string): void {
    if (frame.startsWith(':')) {
      this.keepAlives++
      return
    }
    if (this.done || this.errorCode !== null) this.violations.push('a frame after the last')
    if (frame === 'data: [DONE]') {
      this.done = true
      if (!this.whole) this.violations.push('[DONE] before every choice had finished')
      return
    }
    const json = frame.slice('data: '.length)
    const chunk = JSON.parse(json)
    if (chunk.error !== undefined) {
      this.errorCode = String(chunk.error.code)
      return
    }
    this.#model(chunk.model)
    if (chunk.usage !== undefined && chunk.usage !== null) this.#usage(chunk.usage, json)
    for (const choice of chunk.choices) this.#choice(choice, choice.delta?.content ?? choice.text ?? '')
  }

  #model(model: string): void {
    if (this.model !== null && this.model !== model) this.violations.push(`${this.model} becomes ${model}`)
    this.model = model
  }

  #choice(choice: { index: number; delta?: { role?: string }; finish_reason: string | null }, text: string): void {
    const { index } = choice
    if (!(index < this.#choices)) this.violations.push(`choice ${index} was not asked for`)
    if (this.finished.has(index)) this.violations.push(`choice ${index} goes on after its finish`)
    if (choice.delta?.role !== undefined && this.#started.has(index))
      this.violations.push(`choice ${index} is opened twice`)
    if (choice.delta?.role !== undefined) this.#started.add(index)
    this.texts[index] += text
    if (typeof choice.finish_reason !== 'string') return
    if (this.finished.size === this.#choices - 1) this.#onCompleting()
    this.finished.add(index)
  }

  #usage(usage: RawUsage, json: string): void {
    if (this.usage !== null) this.violations.push('usage twice')
    if (!this.whole) this.violations.push('usage before every choice had finished')
    this.usage = {
      inputTokens: usage.prompt_tokens,
      cachedTokens: usage.prompt_tokens_details.cached_tokens,
      outputTokens: usage.completion_tokens,
      cost: /"estimated_cost":([0-9.]+)/.exec(json)?.[1] ?? '',
      notice: usage.notice ?? '',
    }
  }

  #endStream(): void {
    if (this.done === (this.errorCode !== null))
      this.violations.push('a stream has to end in either [DONE] or an error frame')
    if (this.whole && this.errorCode !== null) this.violations.push('an error after a whole answer')
  }

  #endBody(): void {
    let body: RawBody
    try {
      body = JSON.parse(this.#body)
    } catch {
      this.violations.push(`no JSON in the body: ${this.#body.slice(0, 40)}`)
      return
    }
    if (body.error !== undefined) {
      this.errorCode = body.error.code
      return
    }
    if (this.#status !== 200) this.violations.push(`status ${this.#status} without an error`)
    this.#onCompleting()
    this.#model(body.model)
    // Vectors and scores are one choice together.
    if (body.choices === undefined) {
      this.finished.add(0)
      return
    }
    for (const { index, message, text } of body.choices) {
      this.finished.add(index)
      this.texts[index] = message?.content ?? text ?? ''
    }
    if (!this.whole) this.violations.push('a body without all choices')
    this.#usage(body.usage, this.#body)
  }
}

interface RawUsage {
  readonly prompt_tokens: number
  readonly completion_tokens: number
  readonly notice?: string
  readonly prompt_tokens_details: { readonly cached_tokens: number }
}

interface RawBody {
  readonly model: string
  readonly error?: { readonly code: string }
  readonly choices?: readonly { index: number; message?: { content: string | null }; text?: string }[]
  readonly usage: RawUsage
}
