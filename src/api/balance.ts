import { createRoute, z } from '@hono/zod-openapi'
import { formatDollars } from '../ledger/money.ts'
import { answers, type ClientApiDeps, type ClientApp } from './context.ts'

const Balance = z
  .object({
    is_available: z.boolean().openapi({ description: 'Whether anything is left that no running request holds.' }),
    balance_infos: z.array(
      z.object({
        currency: z.literal('USD'),
        total_balance: z.string(),
        granted_balance: z.string().openapi({ description: 'Given for free and not spent; it is spent first.' }),
        topped_up_balance: z.string(),
      }),
    ),
  })
  .openapi('Balance')

/** `GET /user/balance`, as DeepSeek's clients ask it: dollars are decimal strings, and the two parts sum to the whole. */
export function balanceRoutes(app: ClientApp, deps: ClientApiDeps): void {
  app.openapi(
    createRoute({
      method: 'get',
      path: '/user/balance',
      tags: ['Account'],
      summary: 'What is left of the organisation’s credit',
      responses: answers('US dollars as decimal strings.', Balance),
    }),
    async context => {
      const { totals, balanceNanodollars, availableNanodollars } = await deps.creditOf(context.var.caller.org.id)
      const left = totals.grants.reduce((sum, grant) => sum + grant.remainingNanodollars, 0n)
      // After more was taken back than was left, nothing of a grant is.
      const most = balanceNanodollars > 0n ? balanceNanodollars : 0n
      const granted = left < most ? left : most
      return context.json(
        {
          is_available: availableNanodollars > 0n,
          balance_infos: [
            {
              currency: 'USD' as const,
              total_balance: formatDollars(balanceNanodollars),
              granted_balance: formatDollars(granted),
              topped_up_balance: formatDollars(balanceNanodollars - granted),
            },
          ],
        },
        200,
      )
    },
  )
}
