import { createRoute, z } from '@hono/zod-openapi'
import { requireFullRights } from '../admission/full-rights.ts'
import { ApiError } from '../errors.ts'
import type { AccountPorts } from './account.ts'
import { ChangeRate } from './change-rate.ts'
import { Checklist, checklistOf, monthlyLimit } from './checklist.ts'
import { answers, type ClientApiDeps, type ClientApp, jsonBody } from './context.ts'
import { centsIn, centsOut, dollarsIn, dollarsOut } from './money-fields.ts'

const CENTS_MAX = 100_000_000
/** Each makes a new snapshot, or asks the provider of payments. */
const CHANGES_PER_MINUTE = 60

const PaymentConfig = z
  .object({ limit: z.number().openapi({ description: 'Dollars a month (UTC); -1: none.' }) })
  .openapi('PaymentConfig')
const PaymentConfigChange = z
  .looseObject({ limit: z.number().nullish().openapi({ description: 'Below zero: none. Left out: as it is.' }) })
  .openapi('PaymentConfigChange')
const Funds = z
  .looseObject({ amount: z.int().min(1).max(CENTS_MAX).openapi({ description: 'Cents.' }) })
  .openapi('AddFunds')
const FundsPage = z
  .object({
    id: z.string(),
    url: z.string().openapi({ description: 'Where it is paid. Credit is added once the provider says that it was.' }),
    amount: z.int().openapi({ description: 'Cents that are paid.' }),
    bonus: z.int().openapi({ description: 'Cents that are credited on top.' }),
    expires_at: z.string(),
  })
  .openapi('FundsPage')

/** /payment/checklist, /payment/config, /payment/funds: how an account stands, its own limit, and paying for credit. */
export function paymentRoutes(app: ClientApp, deps: ClientApiDeps, account: AccountPorts): void {
  const changes = new ChangeRate(CHANGES_PER_MINUTE)
  app.openapi(
    createRoute({
      method: 'get',
      path: '/payment/checklist',
      tags: ['Account'],
      summary: 'How the account stands',
      responses: answers('Credit, what was spent this month, and what may be.', Checklist),
    }),
    async context => context.json(await checklistOf(context.var.caller, deps, account), 200),
  )
  const config = (orgId: string): z.infer<typeof PaymentConfig> => {
    const limit = monthlyLimit(orgId, deps)
    return { limit: limit === null ? -1 : dollarsOut(limit) }
  }
  app.openapi(
    createRoute({
      method: 'get',
      path: '/payment/config',
      tags: ['Account'],
      summary: 'What the organisation lets itself spend in a month',
      responses: answers('The limit.', PaymentConfig),
    }),
    context => context.json(config(context.var.caller.org.id), 200),
  )
  app.openapi(
    createRoute({
      method: 'post',
      path: '/payment/config',
      tags: ['Account'],
      summary: 'Set what the organisation lets itself spend in a month',
      request: { body: jsonBody(PaymentConfigChange) },
      responses: answers('The limit as it is now.', PaymentConfig),
    }),
    async context => {
      const { caller } = context.var
      requireFullRights(caller, deps.snapshot())
      const { limit } = context.req.valid('json')
      if (limit != null) {
        const amount = limit < 0 ? null : dollarsIn(limit, 'limit')
        if (amount === 0n)
          throw new ApiError('invalid_value', 'limit: has to be above 0, or below it for none', { param: 'limit' })
        changes.take(caller.org.id, deps.nowMs())
        await account.setMonthlyLimit(caller.org.id, amount)
      }
      return context.json(config(caller.org.id), 200)
    },
  )
  app.openapi(
    createRoute({
      method: 'post',
      path: '/payment/funds',
      tags: ['Account'],
      summary: 'Begin to pay for credit',
      request: { body: jsonBody(Funds) },
      responses: answers('The page where it is paid.', FundsPage),
    }),
    async context => {
      const { caller } = context.var
      requireFullRights(caller, deps.snapshot())
      if (account.checkout === undefined)
        throw new ApiError('not_found', 'No provider of payments is configured here. Ask the operator for credit.')
      changes.take(caller.org.id, deps.nowMs())
      const page = await account.checkout(caller.org.id, centsIn(context.req.valid('json').amount))
      return context.json(
        {
          id: page.id,
          url: page.url,
          amount: centsOut(page.amountNanodollars),
          bonus: centsOut(page.bonusNanodollars),
          expires_at: new Date(page.expiresMs).toISOString(),
        },
        200,
      )
    },
  )
  for (const [method, path, what] of [
    ['post', '/payment/topup', 'Credit is not topped up by itself here: no means of payment is kept.'],
    ['get', '/payment/billing-portal', 'There is no billing portal here: no means of payment is kept.'],
  ] as const) {
    app[method](path, () => {
      throw new ApiError(
        'not_found',
        `${what} POST /payment/funds pays for credit, GET /payment/usage tells what it went for.`,
      )
    })
  }
}
