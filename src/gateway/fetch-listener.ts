import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream as NodeReadableStream } from 'node:stream/web'
import { ApiError } from '../errors.ts'
import { readBody, tooLarge } from './read-body.ts'
import { toApiError } from './respond.ts'

/** Largest body of a control request: a model's description is the longest of them. */
const BODY_BYTES_MAX = 1 << 20

/**
 * Serves a function from `Request` to `Response` over Node's HTTP server. Bodies are read whole, within a bound, so the function
 * sees ordinary requests whatever way the client sent them.
 */
export function fetchListener(answer: (request: Request) => Response | Promise<Response>): RequestListener {
  return (request, response) => {
    serve(answer, request, response).catch(thrown => {
      const error = thrown instanceof ApiError ? thrown : toApiError(thrown)
      if (!response.headersSent) response.writeHead(error.status, { 'content-type': 'application/json' })
      response.end(JSON.stringify(error.toOpenAi()))
    })
  }
}

async function serve(
  answer: (request: Request) => Response | Promise<Response>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const body = await readBody(request, BODY_BYTES_MAX)
  const answered = await answer(fetchRequest(request, body.length === 0 ? null : Buffer.from(body)))
  await sendResponse(answered, request, response)
}

/**
 * A request whose body is read as it comes, so that an upload need not fit into memory. Beyond `bytesMax` its stream fails with `refusal`;
 * this throws it at once when such a length was announced.
 */
export function streamedRequest(
  request: IncomingMessage,
  bytesMax: number,
  refusal: () => ApiError = () => tooLarge(bytesMax),
): Request {
  if (request.method === 'GET' || request.method === 'HEAD') return fetchRequest(request, null)
  if (Number(request.headers['content-length'] ?? 0) > bytesMax) throw refusal()
  let bytes = 0
  let chunks: AsyncIterableIterator<Buffer> | null = null
  // Destroying the request would take the connection, and the answer, along with it: what is left of the body is read and dropped.
  const drop = () =>
    void Promise.resolve(chunks?.return?.()).then(
      () => request.resume(),
      () => undefined,
    )
  const stream = new ReadableStream<Uint8Array>(
    {
      // Read only when asked for: what nobody reads stays with the connection, which drops it after the answer.
      async pull(controller) {
        chunks ??= request.iterator({ destroyOnReturn: false })
        const { done, value } = await chunks.next()
        if (done === true) return controller.close()
        bytes += value.length
        if (bytes <= bytesMax) return controller.enqueue(value)
        controller.error(refusal())
        drop()
      },
      cancel: drop,
    },
    { highWaterMark: 0 },
  )
  return fetchRequest(request, stream)
}

/** Answers with a `Response`, whose body is written as it comes. */
export async function sendResponse(
  answered: Response,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  response.writeHead(answered.status, Object.fromEntries(answered.headers))
  if (request.method === 'HEAD' || answered.body === null) {
    await answered.body?.cancel()
    response.end()
    return
  }
  await pipeline(Readable.fromWeb(answered.body as NodeReadableStream), response)
}

function fetchRequest(
  request: IncomingMessage,
  body: Buffer<ArrayBuffer> | ReadableStream<Uint8Array> | null,
): Request {
  const headers = new Headers()
  for (const [name, value] of Object.entries(request.headers)) {
    if (typeof value === 'string') headers.set(name, value)
  }
  try {
    return new Request(`http://localhost${request.url}`, {
      method: request.method ?? 'GET',
      headers,
      body,
      ...(body instanceof ReadableStream && { duplex: 'half' }),
    })
  } catch (cause) {
    // TRACE and its like, and targets that are no path.
    throw new ApiError(
      'invalid_request',
      'Nothing answers this method, or this is no path that a request can be for.',
      {
        cause,
      },
    )
  }
}
