import { type GenerateRoute, generateRouteOf } from '../protocols/surface.ts'
import { withoutEndSlashes } from '../std/end-slashes.ts'

/** What a path of the data plane means. */
export type Route =
  | ({ readonly kind: 'generate' } & GenerateRoute)
  | { readonly kind: 'health' }
  | { readonly kind: 'metrics' }
  | { readonly kind: 'payment-event'; readonly provider: string }
  | { readonly kind: 'control' }

/** The methods a route answers. */
export function methodsOf(route: Route): readonly string[] {
  return route.kind === 'generate' || route.kind === 'payment-event' ? ['POST'] : ['GET', 'HEAD']
}

/** Where providers of payments send events, each under its name. */
const PAYMENT_EVENTS = '/webhooks/'

/**
 * Finds the route of a request's path, without its query. Trailing slashes are forgiven.
 */
export function routeOf(path: string): Route | undefined {
  const clean = path.length > 1 ? withoutEndSlashes(path) : path
  const generate = generateRouteOf(clean)
  if (generate !== undefined) return { kind: 'generate', ...generate }
  if (clean === '/health') return { kind: 'health' }
  if (clean === '/metrics') return { kind: 'metrics' }
  if (clean === '/control/v1' || clean.startsWith('/control/v1/')) return { kind: 'control' }
  if (clean.startsWith(PAYMENT_EVENTS)) {
    const provider = clean.slice(PAYMENT_EVENTS.length)
    return /^[a-z]+$/.test(provider) ? { kind: 'payment-event', provider } : undefined
  }
  return undefined
}
