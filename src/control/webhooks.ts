import { createRoute, z } from '@hono/zod-openapi'
import { ApiError } from '../errors.ts'
import { answers, type Control, type ControlApp, jsonBody } from './control-context.ts'
import { decodeCursor, encodeCursor, formatTime, formatTimeOrNull, listOf, PageQuery, TimeOut } from './fields.ts'
import type { WebhooksPort } from './ports.ts'

/** The endpoints of the configuration. */
export const WebhookList = z
  .object({
    data: z.array(
      z.object({
        url: z.string(),
        events: z.array(z.string()).openapi({ description: 'What is sent there; ["all"] for everything.' }),
        pending: z.int().openapi({ description: 'Events that wait to be delivered.' }),
      }),
    ),
  })
  .openapi('WebhookList')

const State = z.enum(['pending', 'delivered', 'failed'])

/** One event on its way to one endpoint. */
export const DeliveryBody = z
  .object({
    id: z.string().openapi({ description: 'Sent as webhook-id, the same on every try.' }),
    url: z.string(),
    type: z.string(),
    state: State,
    tries: z.int(),
    outcome: z.string().openapi({ description: 'What came of the last try; empty before the first.' }),
    created_at: TimeOut,
    tried_at: TimeOut.nullable(),
    next_at: TimeOut.nullable().openapi({ description: 'Not tried before; null when it is over.' }),
    body: z.string().openapi({ description: 'What is sent, JSON.' }),
  })
  .openapi('WebhookDelivery')

/** A page of deliveries. */
export const DeliveryList = listOf(DeliveryBody).openapi('WebhookDeliveryList')

/** A test event that was sent off. */
export const WebhookTested = z
  .object({ id: z.string(), urls: z.array(z.string()).openapi({ description: 'Where it goes.' }) })
  .openapi('WebhookTest')

/** What is tried again. */
export const WebhookRetried = z.object({ retried: z.int() }).openapi('WebhookRetry')

/** GET /webhooks, GET /webhooks/deliveries, POST /webhooks/test, POST /webhooks/retry. */
export function webhookRoutes(app: ControlApp, control: Control): void {
  app.openapi(
    createRoute({
      method: 'get',
      path: '/control/v1/webhooks',
      operationId: 'listWebhooks',
      summary: 'List the endpoints that are told of events',
      responses: answers(200, 'All endpoints, as configured.', WebhookList),
    }),
    async context => {
      const endpoints = await port(control).endpoints()
      const data = endpoints.map(({ url, events, pending }) => ({
        url,
        events: events === 'all' ? ['all'] : [...events],
        pending,
      }))
      return context.json({ data }, 200)
    },
  )
  app.openapi(
    createRoute({
      method: 'get',
      path: '/control/v1/webhooks/deliveries',
      operationId: 'listDeliveries',
      summary: 'List deliveries of events, newest first',
      request: { query: PageQuery.extend({ state: State.optional() }) },
      responses: answers(200, 'A page of deliveries.', DeliveryList),
    }),
    async context => {
      const { limit, cursor, state } = context.req.valid('query')
      const found = await port(control).deliveries({ state, limit: limit + 1, beforeSeq: seqOf(cursor) })
      const rows = found.slice(0, limit)
      const last = rows.at(-1)
      const hasMore = found.length > rows.length && last !== undefined
      return context.json(
        {
          data: rows.map(row => ({
            id: row.id,
            url: row.endpoint,
            type: row.type,
            state: row.state,
            tries: row.tries,
            outcome: row.outcome,
            created_at: formatTime(row.createdMs),
            tried_at: formatTimeOrNull(row.triedMs),
            next_at: row.state === 'pending' ? formatTime(row.nextMs) : null,
            body: row.body,
          })),
          has_more: hasMore,
          next_cursor: hasMore ? encodeCursor(String(last.seq)) : null,
        },
        200,
      )
    },
  )
  app.openapi(
    createRoute({
      method: 'post',
      path: '/control/v1/webhooks/test',
      operationId: 'testWebhooks',
      summary: 'Send a test event to one endpoint or to all',
      request: { body: jsonBody(z.strictObject({ url: z.string().optional() }).openapi('WebhookTestSend')) },
      responses: answers(200, 'The event, on its way. Its deliveries tell how it went.', WebhookTested),
    }),
    async context => {
      const { url } = context.req.valid('json')
      const { id, urls } = await port(control).test(url ?? null)
      if (urls.length === 0) throw noEndpoint(url)
      return context.json({ id, urls: [...urls] }, 200)
    },
  )
  app.openapi(
    createRoute({
      method: 'post',
      path: '/control/v1/webhooks/retry',
      operationId: 'retryWebhooks',
      summary: 'Try again what could not be delivered, one event or all',
      request: { body: jsonBody(z.strictObject({ id: z.string().optional() }).openapi('WebhookRetryAsk')) },
      responses: answers(200, 'How many deliveries are tried again.', WebhookRetried),
    }),
    async context => {
      const { id } = context.req.valid('json')
      const retried = await port(control).retry(id ?? null)
      if (retried === 0 && id !== undefined)
        throw new ApiError('not_found', `No delivery of the event "${id}" has failed.`)
      return context.json({ retried }, 200)
    },
  )
}

function port(control: Control): WebhooksPort {
  if (control.webhooks === undefined) throw new ApiError('not_found', 'There are no webhooks here.')
  return control.webhooks
}

function noEndpoint(url: string | undefined): ApiError {
  if (url === undefined)
    return new ApiError('not_found', 'No endpoint is configured. Add one to webhooks in the configuration.')
  return new ApiError('not_found', `There is no endpoint ${JSON.stringify(url)} in webhooks of the configuration.`)
}

function seqOf(cursor: string | undefined): number | undefined {
  if (cursor === undefined) return undefined
  const text = decodeCursor(cursor)
  if (!/^\d{1,15}$/.test(text))
    throw new ApiError('invalid_value', 'cursor: has to be the next_cursor of the page before', { param: 'cursor' })
  return Number(text)
}
