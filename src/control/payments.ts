import { createRoute, z } from '@hono/zod-openapi'
import { ApiError } from '../errors.ts'
import { formatDollars } from '../ledger/money.ts'
import { answers, type Control, type ControlApp, jsonBody } from './control-context.ts'
import {
  DollarsIn,
  DollarsOut,
  decodeCursor,
  encodeCursor,
  formatDollarsOrNull,
  formatTime,
  listOf,
  PageQuery,
  TimeOut,
} from './fields.ts'

const OrgParams = z.object({ org: z.string().openapi({ example: 'org_0aB3dE5gH7jK9m' }) })

/** What begins a checkout. */
export const CheckoutBegin = z
  .strictObject({
    amount: DollarsIn.optional().openapi({ description: 'What is to be paid and credited, in whole cents.' }),
    pack: z.string().max(32).optional().openapi({ description: 'Instead of an amount: a pack of the configuration.' }),
    id: z
      .string()
      .regex(/^[\w.:-]{1,100}$/, 'can have 1 to 100 letters, digits and . _ : -')
      .optional()
      .openapi({ description: 'Beginning a checkout again with the same id, within a day, answers the same one.' }),
  })
  .openapi('CheckoutBegin')

/** A checkout that was begun. */
export const CheckoutBody = z
  .object({
    id: z.string(),
    url: z.string().openapi({ description: 'Where it is paid. Credit is added once the provider says that it was.' }),
    amount: DollarsOut,
    bonus: DollarsOut.openapi({ description: 'Credited on top.' }),
    expires_at: TimeOut,
  })
  .openapi('Checkout')

/** What a provider of payments told. */
export const PaymentBody = z
  .object({
    id: z.string(),
    type: z.string().openapi({ description: "The provider's name for what happened." }),
    kind: z.string().openapi({ description: 'credited, refunded, charged_back, or ignored.' }),
    reason: z.string().openapi({ description: 'Why it was ignored; else empty.' }),
    org: z.string().nullable(),
    payment: z.string().nullable().openapi({ description: "The provider's id of the payment." }),
    amount: DollarsOut.nullable().openapi({ description: 'Null when it is not a sum of US dollars.' }),
    at: TimeOut,
  })
  .openapi('Payment')

/** A page of events of payments. */
export const PaymentList = listOf(PaymentBody).openapi('PaymentList')

/** POST /orgs/{org}/checkout, GET /payments. */
export function paymentRoutes(app: ControlApp, control: Control): void {
  app.openapi(
    createRoute({
      method: 'post',
      path: '/control/v1/orgs/{org}/checkout',
      operationId: 'beginCheckout',
      summary: 'Begin a checkout in which credit is paid for',
      request: { params: OrgParams, body: jsonBody(CheckoutBegin) },
      responses: answers(201, 'The page where it is paid.', CheckoutBody),
    }),
    async context => {
      const { org: orgId } = context.req.valid('param')
      const { amount, pack, id } = context.req.valid('json')
      control.org(orgId)
      const { checkout } = control.payments ?? {}
      if (checkout === undefined) {
        throw new ApiError(
          'not_found',
          'No server runs here that sells credit. Configure payments, then start the server.',
        )
      }
      const offer = await checkout({
        orgId,
        amountNanodollars: amount ?? null,
        pack: pack ?? null,
        id: id ?? null,
      })
      return context.json(
        {
          id: offer.id,
          url: offer.url,
          amount: formatDollars(offer.amountNanodollars),
          bonus: formatDollars(offer.bonusNanodollars),
          expires_at: formatTime(offer.expiresMs),
        },
        201,
      )
    },
  )
  app.openapi(
    createRoute({
      method: 'get',
      path: '/control/v1/payments',
      operationId: 'listPayments',
      summary: 'List what providers of payments told, newest first',
      request: { query: PageQuery },
      responses: answers(200, 'A page of events.', PaymentList),
    }),
    async context => {
      const { limit, cursor } = context.req.valid('query')
      const beforeId = cursor === undefined ? undefined : decodeCursor(cursor)
      const found = (await control.payments?.list({ limit: limit + 1, beforeId })) ?? []
      const rows = found.slice(0, limit)
      const last = rows.at(-1)
      const hasMore = found.length > rows.length && last !== undefined
      return context.json(
        {
          data: rows.map(row => ({
            id: row.id,
            type: row.type,
            kind: row.kind,
            reason: row.reason,
            org: row.orgId,
            payment: row.paymentId,
            amount: formatDollarsOrNull(row.amountNanodollars),
            at: formatTime(row.atMs),
          })),
          has_more: hasMore,
          next_cursor: hasMore ? encodeCursor(last.id) : null,
        },
        200,
      )
    },
  )
}
