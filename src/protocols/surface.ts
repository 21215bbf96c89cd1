import type { ApiError } from '../errors.ts'
import type { Protocol, Surface } from '../inference/request.ts'
import { openRouterError } from './openrouter-error.ts'

/** A path that answers inference requests. */
export interface GenerateRoute {
  readonly protocol: Protocol
  readonly surface: Surface
  /** The model's id, where the path names it. */
  readonly pathModel?: string
}

const OPENAI_PATHS: Readonly<Record<string, Protocol>> = {
  '/chat/completions': 'openai-chat',
  '/completions': 'openai-completions',
  '/responses': 'openai-responses',
  '/responses/compact': 'openai-responses',
  '/embeddings': 'openai-embeddings',
  '/rerank': 'rerank',
}

const ANTHROPIC_PATHS: Readonly<Record<string, Protocol>> = { '/messages': 'anthropic-messages' }

/**
 * The bases of Anthropic's clients: its SDK appends `/v1/messages` to what it is given, AI SDK only `/messages`, and both read the same
 * variable of the environment.
 */
export const ANTHROPIC_BASES = ['/v1', '/anthropic/v1', '/anthropic', '', '/api/v1'] as const

/**
 * The same handlers under every base that a family of clients uses (Headrace's own clients: `/v1`). Without a base: DeepSeek's, whose
 * clients are told the host alone; `/beta` is theirs too.
 */
const BASES: readonly {
  readonly base: string
  readonly surface: Surface
  readonly paths: Readonly<Record<string, Protocol>>
}[] = [
  { base: '/v1', surface: 'openai', paths: OPENAI_PATHS },
  { base: '/v1/openai', surface: 'openai', paths: OPENAI_PATHS },
  { base: '', surface: 'openai', paths: OPENAI_PATHS },
  { base: '/beta', surface: 'openai', paths: OPENAI_PATHS },
  { base: '/api/v1', surface: 'openrouter', paths: OPENAI_PATHS },
  ...ANTHROPIC_BASES.map(base => ({ base, surface: 'anthropic' as const, paths: ANTHROPIC_PATHS })),
  // Cohere's clients.
  { base: '/v2', surface: 'openai', paths: { '/rerank': 'rerank' } },
]

const ROUTES: ReadonlyMap<string, GenerateRoute> = new Map(
  BASES.flatMap(({ base, surface, paths }) =>
    Object.entries(paths).map(([path, protocol]) => [base + path, { protocol, surface }] as const),
  ),
)

/** DeepInfra's native path; the model's id, which may hold slashes, follows. */
const NATIVE_BASE = '/v1/inference/'

/** The route of a path without its query and trailing slashes; undefined when none answers inference requests there. */
export function generateRouteOf(path: string): GenerateRoute | undefined {
  const route = ROUTES.get(path)
  if (route !== undefined || !path.startsWith(NATIVE_BASE)) return route
  const pathModel = decoded(path.slice(NATIVE_BASE.length))
  return pathModel === undefined ? undefined : { protocol: 'deepinfra-inference', surface: 'deepinfra', pathModel }
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** Every path that answers inference requests by itself, for the API's description. */
export function generateRoutes(): readonly (readonly [string, GenerateRoute])[] {
  return [...ROUTES, [`${NATIVE_BASE}{model}`, { protocol: 'deepinfra-inference', surface: 'deepinfra' }]]
}

/** Where models are listed: under the bases that clients put before `/models`. */
export const MODELS_BASES = ['/v1/openai', '/v1', '/anthropic/v1', '/anthropic'] as const

/**
 * The conventions of whoever calls a path that is no inference route: they decide how its errors look, and the form of a list of models,
 * which OpenAI's and Anthropic's clients ask for at the same address (the latter's say which version they speak).
 */
export function surfaceOf(path: string, headers: Readonly<Record<string, unknown>> = {}): Surface {
  if (headers['anthropic-version'] !== undefined && /^\/v1\/models(\/|$)/.test(path)) return 'anthropic'
  if (/^(\/api)?(\/v1)?\/messages(\/|$)/.test(path)) return 'anthropic'
  if (path.startsWith('/api/v1')) return 'openrouter'
  if (path.startsWith('/anthropic/')) return 'anthropic'
  if (/^\/(v1\/(inference|scoped-jwt|me|api-tokens|metrics|request-costs)|payment|deploy)(\/|$)/.test(path))
    return 'deepinfra'
  // `/models` alone is what clients ask who know no base.
  if (/^\/(models|openrouter)\//.test(path)) return 'deepinfra'
  return 'openai'
}

/** The `type` of Anthropic's error body by status, as its SDK's classes know them. */
const ANTHROPIC_TYPES: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  409: 'conflict_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  503: 'overloaded_error',
  504: 'timeout_error',
}

/** The body of an error as the clients of a surface read it. */
export function errorBody(surface: Surface, error: ApiError, requestId: string): object {
  switch (surface) {
    case 'openai':
      return error.toOpenAi()
    case 'anthropic': {
      const type = ANTHROPIC_TYPES[error.status] ?? (error.status >= 500 ? 'api_error' : 'invalid_request_error')
      return {
        type: 'error',
        error: {
          type,
          message: error.message,
          details: { error_code: error.code, ...(error.param !== null && { param: error.param }) },
        },
        request_id: requestId,
      }
    }
    case 'deepinfra':
      // AI SDK reads `detail.error`, the native client `error`.
      return { detail: { error: error.message }, error: error.message, code: error.code }
    case 'openrouter':
      return { error: openRouterError(error) }
  }
}

/** The names under which the clients of a surface look for a request's id in the headers of an answer. */
export function requestIdHeaders(surface: Surface, requestId: string): Record<string, string> {
  return surface === 'anthropic'
    ? { 'x-request-id': requestId, 'request-id': requestId }
    : { 'x-request-id': requestId }
}
