import type { HonoRequest } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { authenticate, presentedSecret } from '../admission/authenticate.ts'
import { ApiError } from '../errors.ts'
import type { Surface } from '../inference/request.ts'
import type { ProtocolCodec } from '../protocols/protocol.ts'
import { errorBody, surfaceOf } from '../protocols/surface.ts'
import { parseJsonBody } from '../wire/json.ts'
import { validationError } from '../wire/validation-error.ts'
import type { AccountPorts } from './account.ts'
import { apiTokenRoutes } from './api-tokens.ts'
import { balanceRoutes } from './balance.ts'
import { batchesRoutes } from './batches.ts'
import { chatCompletionRoutes } from './chat-completions.ts'
import { type ClientApiDeps, type ClientApp, newClientApp } from './context.ts'
import { countTokensRoutes } from './count-tokens.ts'
import { filesRoutes } from './files.ts'
import { meRoutes } from './me.ts'
import { isModelPath, modelRoutes } from './models.ts'
import { clientDocument } from './openapi.ts'
import { openRouterAccountRoutes } from './openrouter-account.ts'
import { openRouterModelRoutes } from './openrouter-models.ts'
import { paymentRoutes } from './payment.ts'
import { paymentUsageRoutes } from './payment-usage.ts'
import { referencePage } from './reference-page.ts'
import { responseRoutes } from './responses.ts'
import { scopedJwtRoutes } from './scoped-jwt.ts'
import { usageRoutes } from './usage.ts'

const OPENAPI_PATH = '/openapi.json'
const REFERENCE_PATH = '/docs'
const PUBLIC: ReadonlySet<string> = new Set([OPENAPI_PATH, REFERENCE_PATH])
/** Largest JSON body of a resource; they are small, but for what is to be counted, which is bounded as what is to be answered. */
const JSON_BYTES_MAX = 1 << 20
const COUNTED = /\/(count_tokens|input_tokens)$/
const EMPTY_OBJECT = Buffer.from('{}')
const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const

/** What clients can ask beside inference: files, batches, kept responses, their account. */
export interface ClientApi {
  /** Answers a request; `requestId` goes into error bodies. */
  fetch(request: Request, requestId: string): Response | Promise<Response>
  /** The OpenAPI 3.1 document of all that clients can ask, also answered at `/openapi.json`. */
  openapi(): object
}

/** Builds the client API. It calls stages of the data plane only through what it is handed. */
export function createClientApi(deps: ClientApiDeps): ClientApi {
  const app = newClientApp({
    // With and without a slash at the end: some clients join their base and path carelessly.
    strict: false,
    defaultHook: result => {
      // On failure the validator hands over the raw input beside the error.
      if (!result.success) throw validationError(result.error.issues, (result as { data?: unknown }).data)
    },
  })
  app.onError((thrown, context) => {
    const error = toApiError(thrown, deps.onError)
    const { requestId } = context.env as { requestId: string }
    context.header('x-should-retry', String(error.retryable))
    for (const [name, value] of Object.entries(error.headers)) context.header(name, value)
    return context.json(errorBody(surfaceFor(context.req), error, requestId), error.status as 400)
  })
  app.notFound(context => {
    const { method, path } = context.req
    const allowed = METHODS.filter(each => isAnswered(app, each, path))
    if (allowed.length === 0)
      throw new ApiError('not_found', `There is nothing at ${method} ${path}; ${REFERENCE_PATH} lists what there is.`)
    context.header('allow', allowed.join(', '))
    throw new ApiError('method_not_allowed', `${method} does nothing at ${path}. Use ${allowed.join(' or ')}.`)
  })
  let page: { readonly json: string; readonly html: string } | null = null
  const described = () => {
    if (page === null) {
      const document = clientDocument(app, deps.codecs)
      page = { json: JSON.stringify(document), html: referencePage(document) }
    }
    return page
  }
  app.use('*', async (context, next) => {
    context.set('surface', surfaceFor(context.req))
    const { method, path } = context.req
    // What is not there, and what anybody may read, needs no key: a wrong base URL should not look like a wrong key.
    if (PUBLIC.has(path) || !isAnswered(app, method, path)) return await next()
    const headers = Object.fromEntries(context.req.raw.headers)
    if (deps.publicModels === true && isModelPath(path) && presentedSecret(headers) === undefined)
      context.set('reader', null)
    else {
      const caller = authenticate(headers, deps.snapshot(), deps.keyHasher, deps.nowMs())
      // What is handed on is the right to infer, not to look into the organisation's account and documents.
      if (caller.token !== undefined && !isModelPath(path) && !COUNTED.test(path))
        throw new ApiError(
          'permission_denied',
          'A token is for inference, counting tokens and the list of models alone; use an API key.',
        )
      context.set('caller', caller)
      context.set('reader', caller)
    }
    // Answers tell of money and hold what people wrote.
    context.header('cache-control', 'no-store')
    // Read here, within bounds on size and nesting; handlers find it read.
    if (isJson(context.req.header('content-type')))
      parseJsonBody(await boundedBody(context.req, COUNTED.test(path) ? Number.POSITIVE_INFINITY : JSON_BYTES_MAX))
    await next()
  })
  app.get(OPENAPI_PATH, context => context.body(described().json, 200, { 'content-type': 'application/json' }))
  app.get(REFERENCE_PATH, context => {
    context.header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'")
    return context.html(described().html)
  })
  for (const addRoutes of [
    modelRoutes,
    usageRoutes,
    responseRoutes,
    chatCompletionRoutes,
    countTokensRoutes,
    balanceRoutes,
    openRouterModelRoutes,
    openRouterAccountRoutes,
    filesRoutes,
    batchesRoutes,
  ])
    addRoutes(app, deps)
  // What is absent in tests of the rest nobody asks for there.
  const account = deps.account as AccountPorts
  for (const addRoutes of [meRoutes, apiTokenRoutes, scopedJwtRoutes, paymentRoutes, paymentUsageRoutes])
    addRoutes(app, deps, account)
  return {
    fetch: (request, requestId) => app.fetch(request, { requestId }),
    openapi: () => JSON.parse(described().json),
  }
}

function surfaceFor(request: HonoRequest): Surface {
  return surfaceOf(request.path, { 'anthropic-version': request.header('anthropic-version') })
}

function isJson(contentType: string | undefined): boolean {
  return contentType !== undefined && /^application\/(\w[\w.-]*\+)?json\b/i.test(contentType)
}

// What nobody sends is no body: a client library may name a content type all the same.
async function boundedBody(request: HonoRequest, bytesMax: number): Promise<Uint8Array> {
  if (Number(request.header('content-length') ?? 0) > bytesMax) throw tooLarge()
  const bytes = new Uint8Array(await request.arrayBuffer())
  if (bytes.length > bytesMax) throw tooLarge()
  return bytes.length === 0 ? EMPTY_OBJECT : bytes
}

function tooLarge(): ApiError {
  return new ApiError('request_too_large', `A JSON body can have at most ${JSON_BYTES_MAX} bytes here.`)
}

/** Whether a route answers there; middleware, which stands on every path, does not count. */
function isAnswered(app: ClientApp, method: string, path: string): boolean {
  const [handlers] = app.router.match(method === 'HEAD' ? 'GET' : method, path)
  return handlers.some(([[, route]]) => route.method !== 'ALL')
}

/** The OpenAPI 3.1 document of the client API, for generated documentation. */
export function clientOpenApi(codecs: readonly ProtocolCodec[]): object {
  // Routes are described when they are added; only answering a request needs the ports.
  return createClientApi({ codecs } as unknown as ClientApiDeps).openapi()
}

function toApiError(thrown: unknown, onError: (error: unknown) => void): ApiError {
  if (thrown instanceof ApiError) return thrown
  if (thrown instanceof HTTPException && thrown.status === 415)
    return new ApiError('unsupported_media_type', 'Send "Content-Type: application/json".')
  if (thrown instanceof HTTPException && thrown.status === 400)
    return new ApiError('invalid_json', 'The body is not JSON. Send one JSON object in UTF-8.')
  onError(thrown)
  return new ApiError('server_error', 'The server made a mistake with this request.')
}
