import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type RequestListener,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { ApiError } from '../errors.ts'
import type { Protocol, Surface } from '../inference/request.ts'
import type { ProtocolCodec } from '../protocols/protocol.ts'
import { requestIdHeaders, surfaceOf } from '../protocols/surface.ts'
import { withoutEndSlashes } from '../std/end-slashes.ts'
import type { ClientAddress } from './client-address.ts'
import { HttpClientPort } from './client-port.ts'
import { sendResponse, streamedRequest } from './fetch-listener.ts'
import { hostAllowed, originAllowed } from './origin.ts'
import type { Pipeline } from './pipeline.ts'
import { readBody } from './read-body.ts'
import { errorHeaders, sendError, toApiError } from './respond.ts'
import { methodsOf, type Route, routeOf } from './routes.ts'

/** Takes an event from a provider of payments, once it is sure of the sender; rejects with what to answer. */
export type PaymentReceiver = (headers: IncomingHttpHeaders, body: Uint8Array) => Promise<void>

/** What the listener answers with. */
export interface ListenerParts {
  readonly pipeline: Pick<Pipeline, 'serve'>
  readonly codecs: ReadonlyMap<Protocol, ProtocolCodec>
  readonly newId: (prefix: string) => string
  readonly nowMs: () => number
  /** What clients can ask beside inference; answers every path that is not of the listener's own. */
  readonly api: (request: Request, requestId: string) => Response | Promise<Response>
  /** The control plane, for paths under `/control/v1`. */
  readonly control: RequestListener
  /** By the name in the path under `/webhooks/`; those that are configured. */
  readonly paymentReceivers?: ReadonlyMap<string, PaymentReceiver>
  /** Prometheus text, or null when metrics are off. */
  readonly metrics: (() => Promise<{ contentType: string; body: string }>) | null
  /** JSON of `GET /health`, and whether all is well. */
  readonly health: () => { readonly ok: boolean; readonly body: object }
  readonly settings: ListenerSettings
}

/** The part of the configuration that the edge needs. */
export interface ListenerSettings {
  readonly host: string
  readonly port: number
  readonly tls: { readonly cert: Buffer; readonly key: Buffer } | null
  readonly allowedHosts: readonly string[]
  readonly corsOrigins: readonly string[]
  /** Who a request comes from, proxies considered. */
  readonly clientAddress: ClientAddress
  readonly bodyBytesMax: number
  /** Paths whose bodies are files, which may be larger and take longer than requests. Absent: none. */
  readonly uploads?: UploadBounds
  readonly headerBytesMax: number
  readonly connectionsMax: number
  readonly requestTimeoutMs: number
}

/** What holds for bodies that are files. */
export interface UploadBounds {
  /** Without slashes at the end. */
  readonly paths: ReadonlySet<string>
  readonly fileBytesMax: number
  /** Beside the file. */
  readonly formBytesMax: number
  /** Longest time to receive one. */
  readonly timeoutMs: number
}

/** The server's public side while it listens. */
export interface Listener {
  readonly address: AddressInfo
  /** Accepts no new connections, closes idle ones; resolves when all are closed, at the latest after `graceMs`. */
  close(graceMs: number): Promise<void>
}

const KEEP_ALIVE_IDLE_MS = 75_000
/** How often slow requests are looked for; Node's own half a minute would let them stay so much longer. */
const TIMEOUT_CHECK_MS = 1000
/** Connections that bring a file: Node's bound on the time of a request is not theirs. */
const UPLOADING = new WeakSet<object>()
/** Events of payments are a few kilobytes. */
const PAYMENT_EVENT_BYTES_MAX = 256 * 1024
/** Browsers may read these of an answer from another origin. */
const EXPOSED_HEADERS =
  'x-request-id, request-id, x-headrace-upstream, x-headrace-route, x-headrace-attempts, x-headrace-model, x-headrace-cost, x-headrace-ending, x-headrace-idempotency, idempotent-replayed, retry-after, retry-after-ms, x-should-retry'

/** Listens for clients. Rejects with the system's error when the address cannot be had. */
export async function listen(parts: ListenerParts): Promise<Listener> {
  const { settings } = parts
  const options = {
    maxHeaderSize: settings.headerBytesMax,
    requestTimeout: settings.requestTimeoutMs,
    headersTimeout: Math.min(settings.requestTimeoutMs, 30_000),
    connectionsCheckingInterval: TIMEOUT_CHECK_MS,
    keepAliveTimeout: KEEP_ALIVE_IDLE_MS,
    noDelay: true,
  }
  const handler = createHandler(parts)
  const server =
    settings.tls === null ? createServer(options, handler) : createTlsServer({ ...options, ...settings.tls }, handler)
  server.maxConnections = settings.connectionsMax
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && UPLOADING.has(socket)) return
    // In the middle of an answer, an answer to something else would be taken for a part of it.
    const answering = (socket as { _httpMessage?: ServerResponse })._httpMessage?.headersSent === true
    if (error.code === 'ECONNRESET' || answering || !socket.writable) socket.destroy()
    else socket.end(unreadableAnswer(error.code, parts.newId('req_'), settings))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(settings.port, settings.host, () => {
      server.removeListener('error', reject)
      resolve()
    })
  })
  return { address: server.address() as AddressInfo, close: graceMs => closeServer(server, graceMs) }
}

/** The whole answer to what Node's parser could not read as a request, so that no error comes without a body and an id. */
function unreadableAnswer(code: string | undefined, requestId: string, settings: ListenerSettings): string {
  const error =
    code === 'HPE_HEADER_OVERFLOW'
      ? new ApiError(
          'request_headers_too_large',
          `The request line and headers are longer than ${settings.headerBytesMax} bytes.`,
        )
      : code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? new ApiError('request_timeout', `The request did not come whole within ${settings.requestTimeoutMs} ms.`)
        : new ApiError('invalid_request', 'This is not a whole HTTP/1.1 request.')
  const body = JSON.stringify(error.toOpenAi())
  const headers = { ...errorHeaders(error, requestId), connection: 'close', 'content-length': Buffer.byteLength(body) }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  return [`HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}`, ...lines, '', body].join('\r\n')
}

async function closeServer(server: Server, graceMs: number): Promise<void> {
  const force = setTimeout(() => server.closeAllConnections(), graceMs)
  await new Promise<void>(resolve => {
    server.close(() => resolve())
    server.closeIdleConnections()
  })
  clearTimeout(force)
}

/** The request handler by itself, for tests and embedding. */
export function createHandler(parts: ListenerParts): RequestListener {
  const { settings } = parts
  return (request, response) => {
    const requestId = parts.newId('req_')
    const client = new HttpClientPort(response)
    let surface: Surface = 'openai'
    try {
      if (!hostAllowed(request.headers.host, settings.host, settings.allowedHosts)) {
        throw new ApiError(
          'forbidden_host',
          `The host name ${JSON.stringify(request.headers.host ?? '')} is not one of ours.`,
        )
      }
      const cors = corsHeaders(request, settings.corsOrigins)
      if (cors !== null) for (const [name, value] of Object.entries(cors)) response.setHeader(name, value as string)
      const url = request.url ?? '/'
      const query = url.indexOf('?')
      const path = query < 0 ? url : url.slice(0, query)
      const route = routeOf(path)
      surface = route?.kind === 'generate' ? route.surface : surfaceOf(path, request.headers)
      if (request.method === 'OPTIONS') {
        response.writeHead(204, {
          ...(route === undefined ? {} : { allow: methodsOf(route).join(', ') }),
          'x-request-id': requestId,
        })
        response.end()
        return
      }
      // A path that takes requests may also list what became of them.
      if (route === undefined || (route.kind === 'generate' && request.method !== 'POST')) {
        answerApi(parts, request, response, requestId, surface).catch(thrown =>
          refuse(client, thrown, requestId, surface),
        )
        return
      }
      if (route.kind === 'control') {
        response.setHeader('x-request-id', requestId)
        return parts.control(request, response)
      }
      if (!methodsOf(route).includes(request.method ?? '')) {
        response.setHeader('allow', methodsOf(route).join(', '))
        throw new ApiError('method_not_allowed', `${request.method} does nothing at ${url}.`)
      }
      if (route.kind === 'generate') {
        const codec = parts.codecs.get(route.protocol) as ProtocolCodec
        void parts.pipeline.serve(codec, {
          headers: request.headers,
          body: () => readBody(request, settings.bodyBytesMax),
          client,
          requestId,
          surface: route.surface,
          path,
          pathModel: route.pathModel,
          from: () => settings.clientAddress(request),
        })
        return
      }
      answerRead(parts, route, request, response, requestId).catch(thrown => refuse(client, thrown, requestId, surface))
    } catch (thrown) {
      request.resume()
      refuse(client, thrown, requestId, surface)
    }
  }
}

function refuse(client: HttpClientPort, thrown: unknown, requestId: string, surface: Surface): void {
  if (client.headSent) client.end()
  else sendError(client, toApiError(thrown), requestId, surface)
}

/** Hands an exchange to the client API; bodies travel in both directions as they come. */
async function answerApi(
  parts: ListenerParts,
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
  surface: Surface,
): Promise<void> {
  const { uploads, bodyBytesMax } = parts.settings
  const [path = ''] = (request.url ?? '').split('?', 1)
  const isUpload = request.method === 'POST' && uploads?.paths.has(withoutEndSlashes(path)) === true
  if (isUpload) boundUpload(request, uploads.timeoutMs)
  const streamed = isUpload
    ? streamedRequest(request, uploads.fileBytesMax + uploads.formBytesMax, () => fileTooLarge(uploads.fileBytesMax))
    : streamedRequest(request, bodyBytesMax)
  const answered = await parts.api(streamed, requestId)
  for (const [name, value] of Object.entries(requestIdHeaders(surface, requestId))) response.setHeader(name, value)
  await sendResponse(answered, request, response)
}

function fileTooLarge(bytesMax: number): ApiError {
  return new ApiError('file_too_large', `The file is larger than ${bytesMax} bytes.`)
}

function boundUpload(request: IncomingMessage, timeoutMs: number): void {
  const { socket } = request
  UPLOADING.add(socket)
  const timer = setTimeout(() => socket.destroy(), timeoutMs).unref()
  request.once('close', () => {
    clearTimeout(timer)
    UPLOADING.delete(socket)
  })
}

async function answerRead(
  parts: ListenerParts,
  route: Route,
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
): Promise<void> {
  switch (route.kind) {
    case 'health': {
      const { ok, body } = parts.health()
      return sendJson(response, ok ? 200 : 503, body, requestId)
    }
    case 'metrics': {
      if (parts.metrics === null) throw new ApiError('not_found', 'Metrics are switched off (telemetry.metrics).')
      const { contentType, body } = await parts.metrics()
      response.writeHead(200, { 'content-type': contentType, 'x-request-id': requestId })
      response.end(body)
      return
    }
    case 'payment-event': {
      const receive = parts.paymentReceivers?.get(route.provider)
      if (receive === undefined)
        throw new ApiError('not_found', `Payments through ${JSON.stringify(route.provider)} are not configured here.`)
      await receive(request.headers, await readBody(request, PAYMENT_EVENT_BYTES_MAX))
      return sendJson(response, 200, { received: true }, requestId)
    }
  }
}

function sendJson(response: ServerResponse, status: number, body: object, requestId: string): void {
  const bytes = Buffer.from(JSON.stringify(body))
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': bytes.length,
    'x-request-id': requestId,
  })
  response.end(bytes)
}

function corsHeaders(request: IncomingMessage, origins: readonly string[]): OutgoingHttpHeaders | null {
  const { origin } = request.headers
  if (origin === undefined || origins.length === 0 || !originAllowed(origin, origins)) return null
  return {
    'access-control-allow-origin': origin,
    vary: 'Origin',
    'access-control-expose-headers': EXPOSED_HEADERS,
    'access-control-allow-methods': 'GET, POST, DELETE, OPTIONS',
    'access-control-allow-headers': request.headers['access-control-request-headers'] ?? 'authorization, content-type',
    'access-control-max-age': '600',
  }
}
