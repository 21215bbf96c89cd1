import { createRoute, z } from '@hono/zod-openapi'
import { formatDollars } from '../ledger/money.ts'
import { answers, type Control, type ControlApp } from './control-context.ts'
import { DollarsOut, formatTime, listOf, PageQuery, pageOf, TimeOut } from './fields.ts'

/** A request that was let in and never ended, as a crash took the process. */
export const InterruptedBody = z
  .object({
    request: z.string(),
    org: z.string(),
    key: z.string(),
    model: z.string(),
    held: DollarsOut.openapi({ description: 'Its first hold, which died with the process: nothing was charged.' }),
    admitted_at: TimeOut,
  })
  .openapi('Interrupted')

/** A page of interrupted requests. */
export const InterruptedList = listOf(InterruptedBody).openapi('InterruptedList')

/** GET /interrupted. */
export function interruptedRoutes(app: ControlApp, control: Control): void {
  app.openapi(
    createRoute({
      method: 'get',
      path: '/control/v1/interrupted',
      operationId: 'listInterrupted',
      summary: 'List requests that a crash interrupted, free of charge',
      request: { query: PageQuery },
      responses: answers(200, 'A page of interrupted requests.', InterruptedList),
    }),
    async context => {
      const page = pageOf(await control.store.interrupted(), each => each.requestId, context.req.valid('query'))
      const data = page.data.map(each => ({
        request: each.requestId,
        org: each.orgId,
        key: each.keyId,
        model: each.modelId,
        held: formatDollars(each.heldNanodollars),
        admitted_at: formatTime(each.admittedMs),
      }))
      return context.json({ ...page, data }, 200)
    },
  )
}
