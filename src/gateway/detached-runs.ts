import { authenticate, type Caller, presentedSecret } from '../admission/authenticate.ts'
import type { KeyHasher } from '../admission/key-hasher.ts'
import { ApiError } from '../errors.ts'
import type { Snapshot } from '../inference/snapshot.ts'
import type { KeptDocument } from '../ledger/kept-document.ts'
import type { Detached, ProtocolCodec } from '../protocols/protocol.ts'
import { requestIdHeaders } from '../protocols/surface.ts'
import { isObject } from '../wire/json-object.ts'
import { MemoryClient } from './memory-client.ts'
import type { Incoming, Pipeline } from './pipeline.ts'
import { sendError, toApiError } from './respond.ts'

/** Requests that run without a client, at a time. */
const RUNNING_MAX = 1_000
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
  readonly pipeline: Pipeline
  readonly sender: ResultSender
  readonly snapshot: () => Snapshot
  readonly keyHasher: KeyHasher
  readonly nowMs: () => number
}

/**
 * Serves requests that may ask for their result to be sent to a URL instead. Such a request is checked and written down, its client is told
 * that it is queued, and it runs without one: charged once, by the same rules as any other, whatever becomes of the delivery.
 */
export class DetachedRuns {
  readonly #parts: DetachedParts
  #running = 0

  constructor(parts: DetachedParts) {
    this.#parts = parts
  }

  /** As `Pipeline.serve`; resolves when the client is answered, and what is detached may still run. */
  async serve(codec: ProtocolCodec, incoming: Incoming): Promise<void> {
    const { client, requestId, surface } = incoming
    try {
      const caller = this.#caller(incoming)
      const body = await incoming.body()
      const detached = codec.detach?.(body) ?? null
      if (detached === null) {
        await this.#parts.pipeline.serve(codec, { ...incoming, body: async () => body })
        return
      }
      const order = await this.#accept(codec, incoming, caller, body, detached)
      const queued = Buffer.from(JSON.stringify(detached.queued(requestId)))
      client.head(200, {
        'content-type': 'application/json',
        ...requestIdHeaders(surface, requestId),
        'content-length': queued.length,
      })
      client.end(queued)
      void this.#run(codec, incoming, body, detached, order)
    } catch (thrown) {
      if (!client.headSent) sendError(client, toApiError(thrown), requestId, surface)
    }
  }

  #caller({ headers }: Incoming): Caller {
    const { snapshot, keyHasher, nowMs } = this.#parts
    return authenticate(headers, snapshot(), keyHasher, nowMs())
  }

  async #accept(
    codec: ProtocolCodec,
    incoming: Incoming,
    caller: Caller,
    body: Uint8Array,
    { url, param, failed }: Detached,
  ): Promise<ResultOrder> {
    const { headers, requestId } = incoming
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
    await this.#parts.pipeline.examine(codec, incoming, caller, body)
    if (this.#running >= RUNNING_MAX) {
      throw new ApiError('engine_overloaded', `${RUNNING_MAX} requests with '${param}' run already.`, {
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
      createdMs: this.#parts.nowMs(),
    }
    this.#running++
    try {
      await this.#parts.sender.expect(order)
    } catch (cause) {
      this.#running--
      throw new ApiError('settlement_unavailable', 'The request could not be written down.', {
        cause,
        retryAfterMs: 5_000,
      })
    }
    return order
  }

  async #run(
    codec: ProtocolCodec,
    incoming: Incoming,
    body: Uint8Array,
    { failed }: Detached,
    order: ResultOrder,
  ): Promise<void> {
    const { sender, pipeline } = this.#parts
    const client = new MemoryClient()
    let result: string | null = null
    try {
      await pipeline.serve(codec, {
        ...incoming,
        body: async () => body,
        client,
        // Work may wait in a queue; by then the key may have been revoked.
        caller: () => this.#caller(incoming),
        keep: answer => {
          result = Buffer.from(answer).toString('utf8')
          return [sender.document(order, result)]
        },
      })
    } finally {
      this.#running--
    }
    const told = client.text()
    // What was to be kept and is not what was told did not become durable.
    if (result !== null && told === result) sender.deliver(order)
    else await sender.fail(order, JSON.stringify(failed(order.requestId, errorIn(told))))
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
