import { createRoute, z } from '@hono/zod-openapi'
import { ApiError } from '../errors.ts'
import { answers, type ClientApiDeps, type ClientApp } from './context.ts'

const RequestUsage = z
  .looseObject({ object: z.literal('request_usage'), id: z.string(), status: z.enum(['running', 'settled']) })
  .openapi('RequestUsage')

/** GET /usage/{request}: what one request was charged, whichever way it ended. */
export function usageRoutes(app: ClientApp, deps: ClientApiDeps): void {
  for (const base of ['/v1', '/v1/openai'])
    app.openapi(
      createRoute({
        method: 'get',
        path: `${base}/usage/{request}`,
        tags: ['Usage'],
        summary: 'What one request was charged',
        request: { params: z.object({ request: z.string() }) },
        responses: answers('What was used and charged; dollars are decimal strings.', RequestUsage),
      }),
      async context => {
        const { request } = context.req.valid('param')
        const usage = await deps.usageOf(context.var.caller.org.id, request)
        if (usage === undefined) {
          throw new ApiError(
            'request_not_found',
            `No request ${JSON.stringify(request)} of this organisation is known.`,
          )
        }
        return context.json(usage as z.infer<typeof RequestUsage>, 200)
      },
    )
}
