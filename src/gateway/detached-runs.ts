import { presentedSecret } from '../admission/authenticate.ts'
import { ApiError } from '../errors.ts'
import type { KeptDocument } from '../ledger/kept-document.ts'
import { type Detached, NO_BYTES, type ProtocolCodec } from '../protocols/protocol.ts'
import { requestIdHeaders } from '../protocols/surface.ts'
import { isObject } from '../wire/json-object.ts'
import type { Admitted, Incoming } from './incoming.ts'
import { MemoryClient } from './memory-client.ts'
import type { Pipeline } from './pipeline.ts'

/** Requests that run without a client, at a time. */
const RUNNING_MAX = 1_000
const ASKED_BYTES_MAX = 256 * 1024 * 1024
const FULL_RETRY_MS = 5_000

/** A result that is owed to a URL. */
export interface ResultOrder {
  readonly requestId: string
  readonly orgId: string
  readonly keyId: string
  readonly url: string
  /** The secret that the client presented; what its results are signed with is made of it. */
  readonly presented: string
  /** JSON text of what is sent where the process ends before there is a result. */
  readonly interrupted: string
  readonly createdMs: number
}

/** Sends results to where they are wanted, however long it takes. */
export interface ResultSender {
  /** @throws ApiError that names `param` for a URL that may not be asked. */
  check(url: string, param: string): void
  /** Writes down that a result is owed; it then is sent even if this process ends. */
  expect(order: ResultOrder): Promise<void>
  /** The result, to become durable together with the charge for it. */
  document(order: ResultOrder, result: string): KeptDocument
  /** The result is durable: send it. */
  deliver(order: ResultOrder): void
  /** There is no result: make that durable, and send it. Never rejects. */
  fail(order: ResultOrder, body: string): Promise<void>
}

/** What detached runs are made of. */
export interface DetachedParts {
  readonly pipeline: Pick<Pipeline, 'serve'>
  readonly sender: ResultSender
  /** Length of the bodies of all that run, together, as each stays in memory meanwhile; 256 MiB unless given. */
  readonly askedBytesMax?: number
}

/** A request that runs without its client. */
interface Run {
  readonly order: ResultOrder
  readonly detached: Detached
  readonly client: MemoryClient
  readonly askedBytes: number
}

/**
 * Serves requests that may ask for their result to be sent to a URL instead. Such a request is let in as any other, and refused at once
 * where it cannot be; then it is written down, its client is told that it is queued, and it runs without one: charged once, by the same
 * rules, whatever becomes of the delivery.
 */
export class DetachedRuns {
  readonly #parts: DetachedParts
  #running = 0
  #askedBytes = 0

  constructor(parts: DetachedParts) {
    this.#parts = parts
  }

  /** Serves an exchange as the pipeline does; what is detached goes on after its answer. Never rejects. */
  async serve(codec: ProtocolCodec, incoming: Incoming): Promise<void> {
    const { pipeline, sender } = this.#parts
    if (codec.detach === undefined) return pipeline.serve(codec, incoming)
    const reading = incoming.body
    let body: Uint8Array = NO_BYTES
    let run: Run | null = null
    let result: string | null = null
    await pipeline.serve(codec, {
      ...incoming,
      body: async () => {
        body = await reading()
        return body
      },
      detach: async admitted => {
        const detached = codec.detach?.(body) ?? null
        if (detached === null) return null
        run = await this.#begin(detached, admitted, incoming, body.length)
        return run.client
      },
      keep: answer => {
        if (run === null) return []
        result = Buffer.from(answer).toString('utf8')
        return [sender.document(run.order, result)]
      },
    })
    if (run !== null) await this.#end(run, result)
  }

  async #begin(
    detached: Detached,
    { caller, admittedMs }: Admitted,
    incoming: Incoming,
    askedBytes: number,
  ): Promise<Run> {
    const { url, param, failed, queued } = detached
    const { client, headers, requestId, surface } = incoming
    if (headers['idempotency-key'] !== undefined) {
      throw new ApiError(
        'unsupported_parameter',
        `Idempotency-Key cannot be combined with '${param}'. Leave one out.`,
        {
          param: 'Idempotency-Key',
        },
      )
    }
    this.#parts.sender.check(url, param)
    const { askedBytesMax = ASKED_BYTES_MAX } = this.#parts
    if (this.#running >= RUNNING_MAX || this.#askedBytes + askedBytes > askedBytesMax) {
      throw new ApiError('engine_overloaded', `Too many requests with '${param}' run already; repeat later.`, {
        retryAfterMs: FULL_RETRY_MS,
      })
    }
    const error = new ApiError('server_error', 'The server was stopped before there was a result; nothing was charged.')
    const order: ResultOrder = {
      requestId,
      orgId: caller.org.id,
      keyId: caller.key.id,
      url,
      presented: presentedSecret(headers) ?? '',
      interrupted: JSON.stringify(failed(requestId, error)),
      createdMs: admittedMs,
    }
    this.#count(1, askedBytes)
    try {
      await this.#parts.sender.expect(order)
    } catch (cause) {
      this.#count(-1, -askedBytes)
      throw new ApiError('settlement_unavailable', 'The request could not be written down.', {
        cause,
        retryAfterMs: FULL_RETRY_MS,
      })
    }
    const answer = Buffer.from(JSON.stringify(queued(requestId)))
    client.head(200, {
      'content-type': 'application/json',
      ...requestIdHeaders(surface, requestId),
      'content-length': answer.length,
    })
    client.end(answer)
    return { order, detached, client: new MemoryClient(), askedBytes }
  }

  #count(requests: number, bytes: number): void {
    this.#running += requests
    this.#askedBytes += bytes
  }

  async #end({ order, detached, client, askedBytes }: Run, result: string | null): Promise<void> {
    this.#count(-1, -askedBytes)
    const { sender } = this.#parts
    const told = client.text()
    // What was to be kept and is not what was told did not become durable.
    if (result !== null && told === result) sender.deliver(order)
    else await sender.fail(order, JSON.stringify(detached.failed(order.requestId, errorIn(told))))
  }
}

/** The error in an answer, in whichever form its surface has. */
function errorIn(text: string): { code: string; message: string } {
  const unknown = { code: 'server_error', message: 'The request failed.' }
  try {
    const body: unknown = JSON.parse(text)
    if (!isObject(body)) return unknown
    const error = isObject(body.error) ? body.error : { message: body.error, code: body.code }
    if (typeof error.message !== 'string' || typeof error.code !== 'string') return unknown
    return { code: error.code, message: error.message }
  } catch {
    return unknown
  }
}
