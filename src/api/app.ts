import { HTTPException } from 'hono/http-exception'
import { authenticate } from '../admission/authenticate.ts'
import { ApiError } from '../errors.ts'
import { errorBody, surfaceOf } from '../protocols/surface.ts'
import { validationError } from '../wire/validation-error.ts'
import { type ClientApiDeps, newClientApp } from './context.ts'
import { usageRoutes } from './usage.ts'

/** What clients can ask beside inference: files, batches, kept responses, their account. */
export interface ClientApi {
  /** Answers a request; `requestId` goes into error bodies. */
  fetch(request: Request, requestId: string): Response | Promise<Response>
}

/** Builds the client API. It calls stages of the data plane only through what it is handed. */
export function createClientApi(deps: ClientApiDeps): ClientApi {
  const app = newClientApp({
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
    return context.json(errorBody(surfaceOf(context.req.path), error, requestId), error.status as 400)
  })
  app.notFound(context => {
    throw new ApiError('not_found', `There is nothing at ${context.req.method} ${context.req.path}.`)
  })
  app.use('*', async (context, next) => {
    context.set('surface', surfaceOf(context.req.path))
    context.set(
      'caller',
      authenticate(Object.fromEntries(context.req.raw.headers), deps.snapshot(), deps.keyHasher, deps.nowMs()),
    )
    // Answers tell of money and hold what people wrote.
    context.header('cache-control', 'no-store')
    await next()
  })
  for (const addRoutes of [usageRoutes]) addRoutes(app, deps)
  return { fetch: (request, requestId) => app.fetch(request, { requestId }) }
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
