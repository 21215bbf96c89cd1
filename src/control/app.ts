import { OpenAPIHono } from '@hono/zod-openapi'
import { bodyLimit } from 'hono/body-limit'
import { ApiError } from '../errors.ts'
import { validationError } from '../wire/validation-error.ts'
import { type ControlApp, createControl } from './control-context.ts'
import { creditRoutes } from './credit.ts'
import { errorAnswer } from './error-answers.ts'
import { interruptedRoutes } from './interrupted.ts'
import { keyRoutes } from './keys.ts'
import { ledgerRoutes } from './ledger.ts'
import { limitRoutes } from './limits.ts'
import { modelRoutes } from './models.ts'
import { secretsEqual } from './operator-token.ts'
import { orgRoutes } from './orgs.ts'
import { paymentRoutes } from './payments.ts'
import type { ControlDeps } from './ports.ts'
import { priceListRoutes } from './price-list.ts'
import { priceReplayRoutes } from './price-replay.ts'
import { priceRoutes } from './prices.ts'
import { projectRoutes } from './projects.ts'
import { statementRoutes } from './statements.ts'
import { statusRoutes } from './status.ts'
import { usageRoutes } from './usage.ts'
import { webhookRoutes } from './webhooks.ts'

/** Where the control plane lives. */
export const CONTROL_PATH = '/control/v1'
const OPENAPI_PATH = `${CONTROL_PATH}/openapi.json`
const BODY_BYTES_MAX = 1 << 20

const OPENAPI_INFO = {
  openapi: '3.1.0',
  info: {
    title: 'Headrace control plane',
    version: '1',
    description:
      'Changes the rules that requests are served by: orgs, API keys, credit, models and prices; tells what was used. ' +
      'Money travels as decimal strings in US dollars, times as RFC 3339 in UTC.',
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
  security: [{ operatorToken: [] }],
}

/** The control plane as a function from requests to answers. */
export interface ControlPlane {
  /** Answers a request whose path begins with `/control/v1`. */
  fetch(request: Request): Response | Promise<Response>
  /** The OpenAPI 3.1 document, also answered at `/control/v1/openapi.json`. */
  openapi(): object
}

/** Builds the control plane. It writes to the store and publishes snapshots; it calls no stage of the data plane. */
export function createControlApp(deps: ControlDeps): ControlPlane {
  const control = createControl(deps)
  const app: ControlApp = new OpenAPIHono({
    defaultHook: result => {
      // On failure the validator hands over the raw input beside the error.
      if (!result.success) throw validationError(result.error.issues, (result as { data?: unknown }).data)
    },
  })
  app.onError((error, context) => errorAnswer(error, context, deps.onError ?? (() => {})))
  app.notFound(context => {
    const { method, path } = context.req
    const allowed = methodsAt(app, path)
    if (allowed.length > 0) context.header('allow', allowed.join(', '))
    return errorAnswer(unknownRoute(method, path, allowed), context, () => {})
  })
  app.use('*', async (context, next) => {
    // Answers tell secrets and money; nothing between us and the operator may keep them.
    context.header('cache-control', 'no-store')
    if (context.req.path !== OPENAPI_PATH) authorise(context.req.header('authorization'), deps.operatorToken)
    await next()
  })
  app.use(
    '*',
    bodyLimit({
      maxSize: BODY_BYTES_MAX,
      onError: () => {
        throw new ApiError('request_too_large', `A body can have at most ${BODY_BYTES_MAX} bytes.`)
      },
    }),
  )
  for (const addRoutes of [
    statusRoutes,
    orgRoutes,
    creditRoutes,
    keyRoutes,
    modelRoutes,
    priceRoutes,
    projectRoutes,
    limitRoutes,
    priceListRoutes,
    priceReplayRoutes,
    statementRoutes,
    usageRoutes,
    ledgerRoutes,
    interruptedRoutes,
    paymentRoutes,
    webhookRoutes,
  ]) {
    addRoutes(app, control)
  }
  app.openAPIRegistry.registerComponent('securitySchemes', 'operatorToken', {
    type: 'http',
    scheme: 'bearer',
    description: 'The line in the file operator-token of the home.',
  })
  const openapi = () => app.getOpenAPI31Document(OPENAPI_INFO)
  app.get(OPENAPI_PATH, context => context.json(openapi()))
  return { fetch: request => app.fetch(request), openapi }
}

/** The OpenAPI 3.1 document of the control plane, for generated documentation. */
export function controlOpenApi(): object {
  // Routes are described when they are added; only answering a request needs the ports.
  return createControlApp({} as ControlDeps).openapi()
}

function authorise(header: string | undefined, operatorToken: string): void {
  const token = /^bearer +(\S+)$/i.exec(header ?? '')?.[1]
  if (token === undefined) {
    throw new ApiError(
      'invalid_operator_token',
      'No operator token was sent. Send "Authorization: Bearer <operator token>".',
    )
  }
  if (!secretsEqual(token, operatorToken)) {
    throw new ApiError(
      'invalid_operator_token',
      'This is not the operator token. It is the line in the file operator-token of the home.',
    )
  }
}

function unknownRoute(method: string, path: string, allowed: readonly string[]): ApiError {
  if (allowed.length === 0)
    return new ApiError('not_found', `There is nothing at ${path}. ${OPENAPI_PATH} describes every route.`)
  return new ApiError('method_not_allowed', `${method} does nothing at ${path}. Use ${allowed.join(' or ')}.`)
}

function methodsAt(app: ControlApp, path: string): string[] {
  const matching = app.routes.filter(route => route.method !== 'ALL' && pathMatches(route.path, path))
  return [...new Set(matching.map(route => route.method))]
}

function pathMatches(pattern: string, path: string): boolean {
  const patternParts = pattern.split('/')
  const parts = path.split('/')
  return (
    patternParts.length === parts.length &&
    patternParts.every((part, i) => (part.startsWith(':') ? parts[i] !== '' : part === parts[i]))
  )
}
