import type { Dispatcher } from 'undici'
import { Pool } from 'undici'
import { ApiError } from '../errors.ts'
import type { AttemptEnd, InferenceEvent, UpstreamFailure } from '../inference/event.ts'
import type { Attempt, AttemptHandle, AttemptSink, Upstream, UpstreamLoad } from '../inference/upstream.ts'
import { outsideLookup, refuseInsideLiteral } from '../std/egress.ts'
import { HTTP_DIALECTS } from './dialects/http-dialects.ts'
import type { AnswerDecoder, DialectSettings, HttpDialect } from './http-dialect.ts'
import { countInputLower, countInputUpper } from './tokenizer/count-input.ts'
import type { TokenCounter } from './tokenizer/token-counter.ts'

/** The wires that an upstream may speak, by the names of the configuration. */

/** What an upstream that is spoken to over HTTP needs. */
export interface HttpUpstreamOptions extends DialectSettings {
  readonly id: string
  /** Which wire it speaks; absent: OpenAI's (`chat`). */
  readonly api?: keyof typeof HTTP_DIALECTS
  /** Up to and with `/v1`. */
  readonly baseUrl: string
  readonly apiKey: string | null
  readonly connectionsMax: number
  readonly queueDepthMax: number
  /** Inside addresses are refused, names that resolve to one included, unless this is on. */
  readonly allowPrivate: boolean
  readonly stoppable: boolean
  readonly keepsNoPrompts?: boolean
  readonly headersTimeoutMs: number
  /** Longest silence in the middle of an answer. */
  readonly bodyTimeoutMs: number
  /** Counts where the upstream does not, with the tokenizer file of each model (by its name there) that has one. */
  readonly tokenizers?: { readonly counter: TokenCounter; readonly files: ReadonlyMap<string, string> }
}

/** An error body is read this far; the rest is dropped. */
const ERROR_BODY_BYTES_MAX = 64 * 1024

/**
 * An upstream over HTTP: vLLM, SGLang, llama-server, a provider; its dialect knows the wire. Where it generates it is
 * always asked to stream and for usage, so that what was produced is known at any moment, and an abandoned request can be charged.
 * Embeddings and reranks come whole.
 */
export class HttpUpstream implements Upstream {
  readonly id: string
  readonly kind = 'http'
  readonly stoppable: boolean
  readonly keepsNoPrompts: boolean
  readonly countInput?: Upstream['countInput']
  readonly countInputLower?: Upstream['countInputLower']
  readonly drops?: Upstream['drops']
  readonly #options: HttpUpstreamOptions
  readonly #dialect: HttpDialect
  readonly #pool: Pool
  readonly #basePath: string
  readonly #streamHeaders: Record<string, string>
  readonly #plainHeaders: Record<string, string>
  /** A number and not a set of the attempts: see `LiveSet` for what a set would keep from the collector. */
  #running = 0
  #closed = false
  /** Models that refused to write their vectors in base64. */
  readonly #floatModels = new Set<string>()

  constructor(options: HttpUpstreamOptions) {
    const url = new URL(options.baseUrl)
    if (!options.allowPrivate) refuseInsideLiteral(url.hostname)
    this.id = options.id
    this.stoppable = options.stoppable
    this.keepsNoPrompts = options.keepsNoPrompts ?? false
    this.#options = options
    this.#dialect = HTTP_DIALECTS[options.api ?? 'chat']
    if (this.#dialect.drops !== undefined) this.drops = this.#dialect.drops
    this.#basePath = url.pathname.replace(/\/+$/, '')
    this.#pool = new Pool(url.origin, {
      connections: options.connectionsMax,
      pipelining: 1,
      headersTimeout: options.headersTimeoutMs,
      bodyTimeout: options.bodyTimeoutMs,
      connect: options.allowPrivate ? {} : { lookup: outsideLookup },
    })
    const { tokenizers } = options
    if (tokenizers !== undefined && tokenizers.files.size > 0) {
      const counting =
        (count: typeof countInputLower) =>
        async (request: Attempt['request'], upstreamModel: string): Promise<number> => {
          const file = tokenizers.files.get(upstreamModel)
          if (file === undefined) throw new Error(`${upstreamModel} has no tokenizer.`)
          return await count(request, tokenizers.counter, file)
        }
      this.countInput = counting(countInputUpper)
      this.countInputLower = counting(countInputLower)
    }
    const headers = { 'content-type': 'application/json', ...this.#dialect.headers(options.apiKey) }
    this.#streamHeaders = { ...headers, accept: 'text/event-stream' }
    this.#plainHeaders = { ...headers, accept: 'application/json' }
  }

  run(attempt: Attempt, sink: AttemptSink): AttemptHandle {
    const running: HttpAttempt = new HttpAttempt(attempt, this.#dialect, sink, {
      onEnd: () => {
        this.#running--
      },
      again: (status, body) => this.#asksForFloats(attempt, status, body) && this.#dispatch(attempt, running) === null,
    })
    this.#running++
    const failLater = (failure: UpstreamFailure) => queueMicrotask(() => running.end({ kind: 'failed', failure }))
    if (this.#closed) {
      failLater({ reason: 'unavailable', message: `${this.id} is closed.`, retryable: true })
      return running
    }
    const failure = this.#dispatch(attempt, running)
    if (failure !== null) failLater(failure)
    return running
  }

  /** Sends an attempt; or answers why it cannot be said here. */
  #dispatch(attempt: Attempt, running: HttpAttempt): UpstreamFailure | null {
    let exchange: ReturnType<HttpDialect['exchange']>
    try {
      exchange = this.#dialect.exchange(attempt, this.#options, this.#floatModels.has(attempt.upstreamModel))
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      return { reason: 'bad_request', message: error.message, retryable: true }
    }
    this.#pool.dispatch(
      {
        method: 'POST',
        path: this.#basePath + exchange.path,
        headers: generates(attempt) ? this.#streamHeaders : this.#plainHeaders,
        body: JSON.stringify(exchange.body),
      },
      running,
    )
    return null
  }

  // Whether an embedding was refused for the form alone in which it was asked; then its model is asked for floats from now on.
  #asksForFloats({ request, upstreamModel }: Attempt, status: number, body: string): boolean {
    if (request.input.kind !== 'embed' || this.#floatModels.has(upstreamModel)) return false
    if ((status !== 400 && status !== 422) || !/encoding_format|base64/i.test(body)) return false
    this.#floatModels.add(upstreamModel)
    return true
  }

  load(): UpstreamLoad {
    const { connectionsMax, queueDepthMax } = this.#options
    const size = this.#running
    return {
      running: Math.min(size, connectionsMax),
      queued: Math.max(0, size - connectionsMax),
      queueDepthMax,
      busy: size >= connectionsMax,
    }
  }

  async close(graceMs: number): Promise<void> {
    this.#closed = true
    const force = setTimeout(() => void this.#pool.destroy(), graceMs)
    await this.#pool.close().catch(() => undefined)
    clearTimeout(force)
  }
}

function generates({ request }: Attempt): boolean {
  return request.input.kind === 'chat' || request.input.kind === 'text'
}

interface AttemptHooks {
  /** Called once, before the sink is told. */
  readonly onEnd: () => void
  /** Sends the attempt again where the refusal was for the form alone in which it was asked; answers whether it did. */
  readonly again: (status: number, body: string) => boolean
}

/** One exchange with the upstream: undici's handler on one side, the attempt's reins on the other. */
class HttpAttempt implements Dispatcher.DispatchHandler, AttemptHandle {
  readonly #attempt: Attempt
  readonly #sink: AttemptSink
  readonly #hooks: AttemptHooks
  readonly #dialect: HttpDialect
  #decoder: AnswerDecoder | null = null
  #controller: Dispatcher.DispatchController | null = null
  #errorBody: Buffer[] = []
  #errorBytes = 0
  #status = 0
  #retryAfter: string | undefined
  #cancelled = false
  #ended = false

  constructor(attempt: Attempt, dialect: HttpDialect, sink: AttemptSink, hooks: AttemptHooks) {
    this.#attempt = attempt
    this.#dialect = dialect
    this.#sink = sink
    this.#hooks = hooks
  }

  cancel(): void {
    if (this.#ended) return
    this.#cancelled = true
    // Without a controller undici has not started it; it is aborted as soon as it does.
    this.#controller?.abort(new Error('cancelled'))
    if (this.#controller !== null) this.end({ kind: 'cancelled' })
  }

  pause(): void {
    if (!this.#ended) this.#controller?.pause()
  }

  resume(): void {
    if (!this.#ended) this.#controller?.resume()
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#cancelled) controller.abort(new Error('cancelled'))
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    this.#status = status
    if (status !== 200) {
      const retryAfter = headers['retry-after']
      this.#retryAfter = typeof retryAfter === 'string' ? retryAfter : undefined
      return
    }
    const contentType = String(headers['content-type'] ?? '')
    const streams = generates(this.#attempt)
    if (!contentType.startsWith(streams ? 'text/event-stream' : 'application/json')) {
      this.#fail({
        reason: 'protocol',
        message: `The upstream answered ${contentType || 'without a content type'} instead of ${streams ? 'a stream' : 'JSON'}.`,
        status,
        retryable: true,
      })
      return
    }
    // What comes whole comes at the end of the work: whoever leaves from now on owes it.
    if (!streams) this.#emit({ type: 'started' })
    this.#decoder = this.#dialect.decoder(this.#attempt)
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#ended) return
    if (this.#decoder === null) {
      if (this.#errorBytes < ERROR_BODY_BYTES_MAX) this.#errorBody.push(chunk)
      this.#errorBytes += chunk.length
      return
    }
    const failure = this.#decoder.push(chunk, event => this.#emit(event))
    if (failure !== null) this.#fail(failure)
  }

  onResponseEnd(): void {
    if (this.#ended) return
    if (this.#decoder === null) {
      const body = Buffer.concat(this.#errorBody).subarray(0, ERROR_BODY_BYTES_MAX).toString('utf8')
      this.#errorBody = []
      this.#errorBytes = 0
      if (!this.#hooks.again(this.#status, body))
        this.end({ kind: 'failed', failure: this.#dialect.failureOfStatus(this.#status, body, this.#retryAfter) })
      return
    }
    const failure = this.#decoder.end(event => this.#emit(event))
    this.end(failure === null ? { kind: 'completed' } : { kind: 'failed', failure })
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error & { code?: string }): void {
    if (this.#cancelled) this.end({ kind: 'cancelled' })
    else this.end({ kind: 'failed', failure: failureOfError(error) })
  }

  /** Ends the attempt, once. */
  end(end: AttemptEnd): void {
    if (this.#ended) return
    this.#ended = true
    this.#hooks.onEnd()
    this.#sink.onEnd(end)
  }

  #emit(event: InferenceEvent): void {
    if (!this.#ended) this.#sink.onEvent(event)
  }

  #fail(failure: UpstreamFailure): void {
    this.end({ kind: 'failed', failure })
    this.#controller?.abort(new Error(failure.message))
  }
}

function failureOfError(error: Error & { code?: string }): UpstreamFailure {
  switch (error.code) {
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
    case 'UND_ERR_CONNECT_TIMEOUT':
      return { reason: 'timeout', message: 'The upstream did not answer in time.', retryable: true }
    case 'EGRESS_REFUSED':
      return {
        reason: 'unavailable',
        message: 'The upstream has an inside address, which upstreams[].allowPrivate does not permit.',
        retryable: true,
      }
    case 'ECONNREFUSED':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return { reason: 'unavailable', message: 'The upstream cannot be reached.', retryable: true }
    default:
      return { reason: 'disconnected', message: 'The connection to the upstream broke.', retryable: true }
  }
}
