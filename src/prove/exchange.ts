import type { Dispatcher, Pool } from 'undici'
import { parseDollars } from '../ledger/money.ts'
import { isObject } from '../wire/json-object.ts'
import { SseParser } from '../wire/sse-parser.ts'
import type { RequestPlan } from './plan.ts'
import { PROOF_MODEL } from './server-process.ts'

/** What an answer said it used and cost. */
export interface Told {
  readonly input: number
  readonly cached: number
  readonly output: number
  readonly costNanodollars: bigint
}

/** What a client saw of one request. Nothing of any text is kept. */
export interface Seen {
  /** HTTP status; 0 when no head of an answer came. */
  readonly status: number
  /** The `x-request-id` of the answer; null when no head came. */
  readonly requestId: string | null
  /** Of an error body or an error frame. */
  readonly errorCode: string | null
  /** Every choice was seen to its finish, or the body to its end: an answer that looks complete. */
  readonly isWhole: boolean
  /** `[DONE]` came too, or it was no stream. */
  readonly isDone: boolean
  readonly told: Told | null
  /** Why no more came: the client left as planned, the connection broke, or nothing came for too long. */
  readonly cut: 'left' | 'broken' | 'late' | null
}

/** Far above what an answer of the plan can have. */
const ANSWER_BYTES_MAX = 1024 * 1024
const HEAD = 'x-request-id'

/** Sends one request of the plan and follows its answer to whatever end. Never rejects. */
export function exchange(pool: Pool, secret: string, plan: RequestPlan): Promise<Seen> {
  return new Promise(resolve => {
    pool.dispatch(
      {
        method: 'POST',
        path: '/v1/chat/completions',
        headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
        body: JSON.stringify(bodyOf(plan)),
      },
      new Exchange(plan, resolve),
    )
  })
}

function bodyOf({ stream, includeUsage, prompt, maxTokens, choices, death }: RequestPlan): object {
  return {
    model: PROOF_MODEL,
    messages: [{ role: 'user', content: prompt }],
    max_tokens: maxTokens,
    ...(choices > 1 && { n: choices }),
    ...(stream && { stream, stream_options: { include_usage: includeUsage } }),
    // No field of any API, so it passes to the upstream as it is.
    ...(death !== null && { simulate: { fault: death } }),
  }
}

/** Follows one answer: undici's handler. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #plan: RequestPlan
  readonly #resolve: (seen: Seen) => void
  readonly #reader: AnswerReader
  #controller: Dispatcher.DispatchController | null = null
  #timer: NodeJS.Timeout | undefined
  #status = 0
  #requestId: string | null = null
  #isStream = false
  #hasLeft = false
  #isOver = false

  constructor(plan: RequestPlan, resolve: (seen: Seen) => void) {
    this.#plan = plan
    this.#resolve = resolve
    this.#reader = new AnswerReader(plan.choices)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    const { abort } = this.#plan
    if (abort?.when === 'before_first_byte') this.#timer = setTimeout(() => this.#leave(), abort.afterMs)
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    this.#status = status
    const requestId = headers[HEAD]
    this.#requestId = typeof requestId === 'string' ? requestId : null
    this.#isStream = String(headers['content-type'] ?? '').startsWith('text/event-stream')
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#isOver) return
    const { abort } = this.#plan
    if (this.#isStream) this.#reader.push(chunk)
    else this.#reader.pushBody(chunk)
    if (abort === null || this.#status !== 200) return
    if (abort.when === 'before_first_byte' || this.#reader.outputFrames >= abort.afterFrames) this.#leave()
  }

  onResponseEnd(): void {
    if (!this.#isStream) this.#reader.endBody()
    this.#end(null)
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error & { code?: string }): void {
    const isLate = error.code === 'UND_ERR_HEADERS_TIMEOUT' || error.code === 'UND_ERR_BODY_TIMEOUT'
    this.#end(this.#hasLeft ? 'left' : isLate ? 'late' : 'broken')
  }

  #leave(): void {
    if (this.#isOver) return
    this.#hasLeft = true
    this.#controller?.abort(new Error('left'))
    this.#end('left')
  }

  #end(cut: Seen['cut']): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#timer)
    const { errorCode, isWhole, isDone, told } = this.#reader
    this.#resolve({ status: this.#status, requestId: this.#requestId, errorCode, isWhole, isDone, told, cut })
  }
}

/** Reads an answer for what tells of its end and its cost. */
class AnswerReader {
  readonly #choices: number
  readonly #parser = new SseParser({ frameBytesMax: ANSWER_BYTES_MAX })
  readonly #finished = new Set<number>()
  #body: Buffer[] = []
  #bodyBytes = 0
  errorCode: string | null = null
  told: Told | null = null
  isDone = false
  /** Frames that brought text. */
  outputFrames = 0

  constructor(choices: number) {
    this.#choices = choices
  }

  get isWhole(): boolean {
    return this.#finished.size >= this.#choices
  }

  push(chunk: Buffer): void {
    this.#parser.push(chunk)
    while (this.#parser.next()) {
      const { dataBytes, dataStart, dataEnd } = this.#parser
      const data = dataBytes.toString('utf8', dataStart, dataEnd)
      if (data === '[DONE]') this.isDone = true
      else this.#take(data)
    }
  }

  pushBody(chunk: Buffer): void {
    this.#bodyBytes += chunk.length
    if (this.#bodyBytes <= ANSWER_BYTES_MAX) this.#body.push(chunk)
  }

  endBody(): void {
    const text = Buffer.concat(this.#body).toString('utf8').trim()
    this.#body = []
    this.isDone = this.#take(text) && this.isWhole
  }

  /** False for what is no JSON object. */
  #take(text: string): boolean {
    const document = parse(text)
    if (!isObject(document)) return false
    if (isObject(document.error)) this.errorCode = String(document.error.code)
    if (isObject(document.usage)) this.told = toldIn(document.usage, text)
    if (!Array.isArray(document.choices)) return true
    for (const choice of document.choices) {
      if (!isObject(choice)) continue
      if (isObject(choice.delta) && typeof choice.delta.content === 'string' && choice.delta.content !== '')
        this.outputFrames++
      if (typeof choice.finish_reason === 'string') this.#finished.add(Number(choice.index ?? 0))
    }
    return true
  }
}

/** The cost is read from the text itself: a parsed number would be a float. */
function toldIn(usage: Record<string, unknown>, text: string): Told | null {
  const cost = /"estimated_cost":(\d+(?:\.\d+)?)[,}]/.exec(text)?.[1]
  const details = usage.prompt_tokens_details
  if (cost === undefined || !isObject(details)) return null
  return {
    input: Number(usage.prompt_tokens),
    cached: Number(details.cached_tokens),
    output: Number(usage.completion_tokens),
    costNanodollars: parseDollars(cost),
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
