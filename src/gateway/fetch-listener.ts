import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { ApiError } from '../errors.ts'
import { readBody } from './read-body.ts'
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
  const headers = new Headers()
  for (const [name, value] of Object.entries(request.headers)) {
    if (typeof value === 'string') headers.set(name, value)
  }
  const answered = await answer(
    new Request(`http://localhost${request.url}`, {
      method: request.method ?? 'GET',
      headers,
      body: body.length === 0 ? null : Buffer.from(body),
    }),
  )
  const bytes = Buffer.from(await answered.arrayBuffer())
  response.writeHead(answered.status, { ...Object.fromEntries(answered.headers), 'content-length': bytes.length })
  response.end(request.method === 'HEAD' ? undefined : bytes)
}
