import type { Dispatcher } from 'undici'
import { Pool } from 'undici'
import type { AttemptEnd, InferenceEvent, UpstreamFailure } from '../inference/event.ts'
import type { JsonObject } from '../inference/request.ts'
import type { Attempt, AttemptHandle, AttemptSink, Upstream, UpstreamLoad } from '../inference/upstream.ts'
import { outsideLookup, refuseInsideLiteral } from '../std/egress.ts'
import { failureOfStatus } from './dialects/openai/failure.ts'
import { JsonAnswerDecoder } from './dialects/openai/json-answer-decoder.ts'
import { OpenAiStreamDecoder } from './dialects/openai/stream-decoder.ts'
import { countInputLower, countInputUpper } from './tokenizer/count-input.ts'
import type { TokenCounter } from './tokenizer/token-counter.ts'

/** What an upstream that speaks the OpenAI protocol over HTTP needs. */
export interface HttpUpstreamOptions {
  readonly id: string
  /** Up to and with `/v1`. */
  readonly baseUrl: string
  readonly apiKey: string | null
  readonly connectionsMax: number
  readonly queueDepthMax: number
  /** Inside addresses are refused, names that resolve to one included, unless this is on. */
  readonly allowPrivate: boolean
  readonly stoppable: boolean
  readonly headersTimeoutMs: number
  /** Longest silence in the middle of an answer. */
  readonly bodyTimeoutMs: number
  /** Counts where the upstream does not, with the tokenizer file of each model (by its name there) that has one. */
  readonly tokenizers?: { readonly counter: TokenCounter; readonly files: ReadonlyMap<string, string> }
  /** How long the vectors of its models are, by the model's name there; those that are known. */
  readonly dimensions?: ReadonlyMap<string, number>
}

/** An error body is read this far; the rest is dropped. */
const ERROR_BODY_BYTES_MAX = 64 * 1024
const PATHS = { chat: '/chat/completions', text: '/completions', embed: '/embeddings', rerank: '/rerank' } as const

/**
 * An upstream behind OpenAI's wire: vLLM, SGLang, llama-server, a provider. Where it generates it is always asked to stream and for
 * usage, so that what was produced is known at any moment, and an abandoned request can be charged. Embeddings and reranks come whole.
 */
export class HttpUpstream implements Upstream {
  readonly id: string
  readonly kind = 'http'
  readonly stoppable: boolean
  readonly countInput?: Upstream['countInput']
  readonly countInputLower?: Upstream['countInputLower']
  readonly #options: HttpUpstreamOptions
  readonly #pool: Pool
  readonly #basePath: string
  readonly #headers: Record<string, string>
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
    this.#options = options
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
    this.#headers = {
      'content-type': 'application/json',
      ...(options.apiKey === null ? {} : { authorization: `Bearer ${options.apiKey}` }),
    }
  }

  run(attempt: Attempt, sink: AttemptSink): AttemptHandle {
    const running: HttpAttempt = new HttpAttempt(attempt, sink, {
      onEnd: () => {
        this.#running--
      },
      again: (status, body) => this.#asksForFloats(attempt, status, body) && this.#dispatch(attempt, running),
    })
    this.#running++
    if (this.#closed) {
      queueMicrotask(() =>
        running.end({
          kind: 'failed',
          failure: { reason: 'unavailable', message: `${this.id} is closed.`, retryable: true },
        }),
      )
      return running
    }
    this.#dispatch(attempt, running)
    return running
  }

  #dispatch(attempt: Attempt, running: HttpAttempt): true {
    const { kind } = attempt.request.input
    const generates = kind === 'chat' || kind === 'text'
    this.#pool.dispatch(
      {
        method: 'POST',
        path: this.#basePath + PATHS[kind],
        headers: { ...this.#headers, accept: generates ? 'text/event-stream' : 'application/json' },
        body: JSON.stringify(
          generates
            ? streamBody(attempt)
            : plainBody(attempt, {
                base64: !this.#floatModels.has(attempt.upstreamModel),
                dimensions: this.#options.dimensions?.get(attempt.upstreamModel),
              }),
        ),
      },
      running,
    )
    return true
  }

  // A server that knows no base64 refuses it; numbers are longer and say the same.
  #asksForFloats({ request, upstreamModel }: Attempt, status: number, body: string): boolean {
    if (request.input.kind !== 'embed' || this.#floatModels.has(upstreamModel)) return false
    if ((status !== 400 && status !== 422) || !/encoding_format|base64/i.test(body)) return false
    this.#floatModels.add(upstreamModel)
    return true
  }

  load(): UpstreamLoad {
    const { connectionsMax, queueDepthMax } = this.#options
    const size = this.#running
    return { running: Math.min(size, connectionsMax), queued: Math.max(0, size - connectionsMax), queueDepthMax }
  }

  async close(graceMs: number): Promise<void> {
    this.#closed = true
    const force = setTimeout(() => void this.#pool.destroy(), graceMs)
    await this.#pool.close().catch(() => undefined)
    clearTimeout(force)
  }
}

// The client's own body, so that fields we do not know reach the upstream, with what admission and metering need.
function streamBody(attempt: Attempt): JsonObject {
  const { request } = attempt
  const body: JsonObject = {
    ...request.body,
    model: attempt.upstreamModel,
    stream: true,
    stream_options: { include_usage: true },
    // Kept by us, or by nobody.
    store: undefined,
  }
  const limit = attempt.outputTokensFit === undefined ? attempt.outputTokensMax : attempt.outputTokensFit
  if (request.outputTokensMax !== undefined && (limit === null || request.outputTokensMax > limit)) {
    for (const name of ['max_tokens', 'max_completion_tokens']) {
      if (body[name] === undefined) continue
      if (limit === null) delete body[name]
      else body[name] = limit
    }
  }
  return body
}

function plainBody(
  { request, upstreamModel }: Attempt,
  vectors: { readonly base64: boolean; readonly dimensions: number | undefined },
): JsonObject {
  const { input } = request
  const body: JsonObject = { ...request.body, model: upstreamModel }
  if (input.kind !== 'embed') return body
  body.encoding_format = vectors.base64 ? 'base64' : 'float'
  // Longer vectors than it can make would be refused; whoever answers the client appends the zeros.
  if (input.dimensions !== undefined && vectors.dimensions !== undefined && input.dimensions >= vectors.dimensions)
    delete body.dimensions
  return body
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
  #decoder: OpenAiStreamDecoder | JsonAnswerDecoder | null = null
  #controller: Dispatcher.DispatchController | null = null
  #errorBody: Buffer[] = []
  #errorBytes = 0
  #status = 0
  #retryAfter: string | undefined
  #cancelled = false
  #ended = false

  constructor(attempt: Attempt, sink: AttemptSink, hooks: AttemptHooks) {
    this.#attempt = attempt
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
    const { request, passthrough, publicModel } = this.#attempt
    const { input } = request
    const generates = input.kind === 'chat' || input.kind === 'text'
    const contentType = String(headers['content-type'] ?? '')
    if (!contentType.startsWith(generates ? 'text/event-stream' : 'application/json')) {
      this.#fail({
        reason: 'protocol',
        message: `The upstream answered ${contentType || 'without a content type'} instead of ${generates ? 'a stream' : 'JSON'}.`,
        status,
        retryable: true,
      })
      return
    }
    if (!generates) {
      // It answers at the end of its work: whoever leaves from now on owes it.
      this.#emit({ type: 'started' })
      this.#decoder = new JsonAnswerDecoder(input)
      return
    }
    const prompts = input.kind === 'text' ? input.prompts.length : 1
    this.#decoder = new OpenAiStreamDecoder({ passthrough, publicModel, choices: request.n * prompts })
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
        this.end({ kind: 'failed', failure: failureOfStatus(this.#status, body, this.#retryAfter) })
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
