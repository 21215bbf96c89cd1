import type { Caller } from '../admission/authenticate.ts'
import { ApiError, ERRORS, type ErrorCode } from '../errors.ts'
import type { JsonObject } from '../inference/request.ts'
import type { KeptDocument, KeptDocuments } from '../ledger/kept-document.ts'
import type { ResponsesRequest } from '../protocols/openai-responses/decode.ts'
import { queuedFrames } from '../protocols/openai-responses/encoder.ts'
import { readKeptResponse, responseDocuments, UNFINISHED } from '../protocols/openai-responses/kept-response.ts'
import { failedResponse, responseId, responseObject } from '../protocols/openai-responses/response-object.ts'
import type { ProtocolCodec } from '../protocols/protocol.ts'
import { requestIdHeaders } from '../protocols/surface.ts'
import type { ClientPort } from './client-port.ts'
import { DetachedPort, type Watcher } from './detached-port.ts'
import type { Admitted, Incoming } from './incoming.ts'
import type { Pipeline } from './pipeline.ts'

/** What background responses are made of. */
export interface BackgroundParts {
  readonly pipeline: Pick<Pipeline, 'serve' | 'runningRequest'>
  readonly kept: KeptDocuments
  /** How long a response is kept. */
  readonly keepMs: number
  /** Wall clock. */
  readonly nowMs: () => number
  /** Told of documents that could not be written; a client reads the older state then. */
  readonly onError: (error: unknown) => void
  /** Responses that run at a time, since no connection bounds what is answered at once; 1,000 unless given. */
  readonly runningMax?: number
  /** What all of them were asked, together, as each keeps its input in memory while it runs; 256 MiB unless given. */
  readonly askedCharsMax?: number
}

/** A response that runs, though its client may have left. */
interface Run {
  readonly orgId: string
  readonly requestId: string
  readonly port: DetachedPort
  readonly stream: boolean
  /** Its document as it is before the end. */
  readonly document: KeptDocument
  /** Resolves when the response has ended and its document says so. */
  readonly ended: Promise<void>
}

const RUNNING_MAX = 1_000
const ASKED_CHARS_MAX = 256 * 1024 * 1024
const FULL_RETRY_MS = 5_000
/** Documents that are looked at in one go when a server starts; each may be as long as a request. */
const PAGE = 16

/**
 * Responses that are answered at once and worked on until they end. The document of each is written before the answer; its end becomes
 * durable together with the settlement, and says failed or cancelled where there is no whole answer.
 */
export class BackgroundResponses {
  readonly #parts: BackgroundParts
  /** By response id. */
  readonly #runs = new Map<string, Run>()
  #running = 0
  #askedChars = 0

  constructor(parts: BackgroundParts) {
    this.#parts = parts
  }

  /** Serves an exchange as the pipeline does; one that asks for the background goes on after its answer. Never rejects. */
  async serve(codec: ProtocolCodec, incoming: Incoming): Promise<void> {
    const { pipeline } = this.#parts
    if (codec.protocol !== 'openai-responses') return pipeline.serve(codec, incoming)
    let run: Run | null = null
    const ended = Promise.withResolvers<void>()
    const detach = async (admitted: Admitted): Promise<ClientPort | null> => {
      if ((admitted.request as ResponsesRequest).responses.body.background !== true) return null
      run = await this.#begin(admitted, incoming, ended.promise)
      return run.port
    }
    await pipeline.serve(codec, { ...incoming, detach })
    if (run !== null) await this.#end(run)
    ended.resolve()
  }

  /** How far a response is that is kept as unfinished. */
  statusOf(id: string): 'queued' | 'in_progress' {
    const run = this.#runs.get(id)
    if (run === undefined) return 'queued'
    const state = this.#parts.pipeline.runningRequest(run.orgId, run.requestId)
    return state !== undefined && state.outputTokens > 0 ? 'in_progress' : 'queued'
  }

  /** Stops a response and resolves when its document says so; at once where none of that id runs. */
  async cancel(orgId: string, id: string): Promise<void> {
    const run = this.#runOf(orgId, id)
    run?.port.leave()
    await run?.ended
  }

  /**
   * Reads a streamed response that runs from its first event; the result ends the reading. Undefined where none of that id runs, false
   * where it is not streamed or too long to be remembered.
   */
  watch(orgId: string, id: string, watcher: Watcher): (() => void) | false | undefined {
    const run = this.#runOf(orgId, id)
    if (run === undefined) return undefined
    return run.stream && run.port.watch(watcher)
  }

  /** Marks what ran when the server stopped as failed. Before the first request. */
  async recover(): Promise<number> {
    const { kept, nowMs } = this.#parts
    const error = new ApiError('server_error', 'The server was restarted before this response was complete.')
    for (let count = 0; ; ) {
      const page = { order: 'asc', limit: PAGE } as const
      const found = await kept.list({ kind: 'response', states: UNFINISHED }, page, nowMs())
      for (const document of found) await kept.replace(failedDocument(document, error), UNFINISHED)
      count += found.length
      if (found.length < PAGE) return count
    }
  }

  /** Resolves when no response runs any more; nothing new may come then. */
  async idle(): Promise<void> {
    while (this.#runs.size > 0) await Promise.all([...this.#runs.values()].map(({ ended }) => ended))
  }

  #runOf(orgId: string, id: string): Run | undefined {
    const run = this.#runs.get(id)
    return run?.orgId === orgId ? run : undefined
  }

  // Written before the client is told, so that what it is told of can be found.
  async #begin(
    { request, caller, model, admittedMs }: Admitted,
    incoming: Incoming,
    ended: Promise<void>,
  ): Promise<Run> {
    const asked = request as ResponsesRequest
    const { kept, keepMs } = this.#parts
    const response = responseObject(asked, model.id, Math.floor(admittedMs / 1000), { status: 'queued', output: [] })
    const [document] = responseDocuments(
      { response, input: asked.responses.input },
      ownerOf(caller, admittedMs),
      keepMs,
    )
    this.#takePlace(document as KeptDocument)
    try {
      await kept.put(document as KeptDocument)
    } catch (cause) {
      this.#leavePlace(document as KeptDocument)
      throw new ApiError('settlement_unavailable', 'The response could not be written down.', {
        cause,
        retryAfterMs: FULL_RETRY_MS,
      })
    }
    const run: Run = {
      ...{ orgId: caller.org.id, requestId: request.id, port: new DetachedPort(), stream: request.stream },
      ...{ document: document as KeptDocument, ended },
    }
    this.#runs.set(responseId(request.id), run)
    answer(run, response, incoming)
    return run
  }

  async #end(run: Run): Promise<void> {
    const { kept, onError } = this.#parts
    const { port, document } = run
    try {
      // No-op where the whole response was written with its settlement.
      const ending = port.gone ? cancelledDocument(document) : failedDocument(document, errorIn(port.last))
      await kept.replace(ending, UNFINISHED)
    } catch (error) {
      onError(error)
    } finally {
      this.#runs.delete(document.id)
      this.#leavePlace(document)
    }
  }

  // Before anything is waited for, so that many at once do not get past the bounds.
  #takePlace({ json }: KeptDocument): void {
    const { runningMax = RUNNING_MAX, askedCharsMax = ASKED_CHARS_MAX } = this.#parts
    if (this.#running >= runningMax || this.#askedChars + json.length > askedCharsMax) {
      throw new ApiError('engine_overloaded', 'Too many responses run in the background; repeat later.', {
        retryAfterMs: FULL_RETRY_MS,
      })
    }
    this.#running++
    this.#askedChars += json.length
  }

  #leavePlace({ json }: KeptDocument): void {
    this.#running--
    this.#askedChars -= json.length
  }
}

function ownerOf({ org, key }: Caller, nowMs: number) {
  return { orgId: org.id, keyId: key.id, nowMs }
}

function answer({ port, requestId, stream }: Run, response: JsonObject, { client, surface }: Incoming): void {
  const headers = { ...requestIdHeaders(surface, requestId), 'x-headrace-model': String(response.model) }
  if (!stream) {
    client.head(200, { 'content-type': 'application/json', ...headers })
    client.end(JSON.stringify(response))
    return
  }
  client.head(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache', ...headers })
  port.write(queuedFrames(response))
  const stop = port.watch({ write: text => void client.write(text), end: () => client.end() })
  if (stop !== false) client.onGone = stop
}

function failedDocument(document: KeptDocument, error: ApiError): KeptDocument {
  const kept = readKeptResponse(document.json)
  return {
    ...document,
    state: 'failed',
    json: JSON.stringify({ ...kept, response: failedResponse(kept.response, error) }),
  }
}

function cancelledDocument(document: KeptDocument): KeptDocument {
  const kept = readKeptResponse(document.json)
  const response = { ...kept.response, status: 'cancelled' }
  return { ...document, state: 'cancelled', json: JSON.stringify({ ...kept, response }) }
}

// An answer that failed ends with an error body, or with the frame of one.
function errorIn(last: string): ApiError {
  try {
    const [, frame] = /^event: error\ndata: (.*)$/m.exec(last) ?? []
    const { code, message } = frame === undefined ? JSON.parse(last).error : JSON.parse(frame)
    if (code in ERRORS) return new ApiError(code as ErrorCode, message)
  } catch {}
  return new ApiError('server_error', 'The response ended without an answer.')
}
