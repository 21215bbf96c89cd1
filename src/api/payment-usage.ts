import { createRoute, z } from '@hono/zod-openapi'
import type { Price } from '../inference/snapshot.ts'
import { taskOf } from '../protocols/model-lists.ts'
import { type UsageItem, usageItems } from '../statements/usage-items.ts'
import { picodollarsToCents } from '../wire/decimal.ts'
import type { AccountPorts } from './account.ts'
import { ownKey } from './api-tokens.ts'
import { answers, type ClientApiDeps, type ClientApp } from './context.ts'
import { centsOut, exactDollars } from './money-fields.ts'
import { type MonthPart, monthsOf, periodOf } from './usage-period.ts'

const Interval = z.object({
  fr: z.int().openapi({ description: 'Inclusive, milliseconds since 1970.' }),
  to: z.int().openapi({ description: 'Exclusive.' }),
})

const Item = z.object({
  model: z.object({ provider: z.string(), model_name: z.string(), task: z.string(), private: z.boolean() }),
  units: z.int().openapi({ description: 'Tokens; requests where pricing_type is requests.' }),
  rate: z.number().openapi({ description: 'Cents for one; the mean, where it was not the same for all.' }),
  cost: z.int().openapi({ description: 'Whole cents, rounded, for show.' }),
  cost_usd: z.string().openapi({ description: 'Dollars, exact.' }),
  pricing_type: z.enum(['input_tokens', 'cached_input_tokens', 'output_tokens', 'requests']),
  interval: Interval,
})

const UsageMonths = z
  .object({
    initial_month: z.string().openapi({ description: 'The first month with usage.', example: '2026.01' }),
    months: z.array(
      z.object({
        period: z.string().openapi({ example: '2026.01' }),
        interval: Interval,
        items: z.array(Item),
        total_cost: z.int().openapi({ description: 'Whole cents, rounded once from the exact sum.' }),
        total_cost_usd: z.string().openapi({ description: 'Dollars, exact.' }),
        invoice_id: z
          .string()
          .openapi({ description: 'NOT_FINAL: invoices are made by the operator. EMPTY: nothing.' }),
      }),
    ),
  })
  .openapi('UsageMonths')

const PeriodQuery = z.object({
  from: z
    .string()
    .default('current')
    .openapi({ description: 'A month (2026.01), current, current(-1), or seconds since 1970.' }),
  to: z.string().optional().openapi({ description: 'Likewise, included; left out: the running month.' }),
})

const TYPES = {
  input: 'input_tokens',
  cached_input: 'cached_input_tokens',
  output: 'output_tokens',
  request: 'requests',
} as const

type Period = z.infer<typeof PeriodQuery>

/** GET /payment/usage and its parts: what an organisation used and what it cost, by month and model. */
export function paymentUsageRoutes(app: ClientApp, deps: ClientApiDeps, account: AccountPorts): void {
  const months = async (
    orgId: string,
    { from, to }: Period,
    of: (part: MonthPart) => Promise<readonly UsageItem[]>,
  ) => {
    const nowMs = deps.nowMs()
    const firstMs = (await account.firstHourMs(orgId)) ?? nowMs
    const parts = monthsOf(from, to, firstMs, nowMs)
    const all: z.infer<typeof UsageMonths>['months'] = []
    for (const part of parts) all.push(monthBody(part, await of(part)))
    return { initial_month: periodOf(firstMs), months: all }
  }
  const itemsOf = (orgId: string, keyId?: string) => async (part: MonthPart) => {
    const hours = []
    const selection = { orgId, ...(keyId !== undefined && { keyId }), fromMs: part.fromMs, toMs: part.toMs }
    for await (const hour of account.usageHours(selection)) hours.push(hour)
    const prices = new Map<string, Price | null>()
    for (const id of new Set(hours.map(({ priceId }) => priceId))) prices.set(id, await account.price(id))
    return usageItems(hours, id => prices.get(id))
  }
  const monthBody = ({ period, fromMs, toMs }: MonthPart, items: readonly UsageItem[]) => {
    const total = items.reduce((sum, { costNanodollars }) => sum + costNanodollars, 0n)
    return {
      period,
      interval: { fr: fromMs, to: toMs },
      items: items.map(itemBody),
      total_cost: centsOut(total),
      total_cost_usd: exactDollars(total),
      invoice_id: items.length === 0 ? 'EMPTY' : 'NOT_FINAL',
    }
  }
  const itemBody = (item: UsageItem): z.infer<typeof Item> => {
    const model = deps.snapshot().models.get(item.modelId)
    const provider = model?.ownedBy ?? item.modelId.split('/')[0] ?? ''
    return {
      model: {
        ...{ provider, model_name: item.modelId, private: false },
        task: model === undefined ? '' : taskOf(model),
      },
      units: item.units,
      rate:
        item.picodollarsEach === null
          ? Number(item.costNanodollars) / 1e7 / item.units
          : Number(picodollarsToCents(item.picodollarsEach)),
      cost: centsOut(item.costNanodollars),
      cost_usd: exactDollars(item.costNanodollars),
      pricing_type: TYPES[item.class],
      interval: { fr: item.fromMs, to: item.toMs },
    }
  }
  const route = (path: string, summary: string) =>
    createRoute({
      method: 'get',
      path,
      tags: ['Usage'],
      summary,
      request: { query: PeriodQuery },
      responses: answers('Month by month; the running one is not final.', UsageMonths),
    })

  app.openapi(route('/payment/usage', 'What was used and what it cost, by month and model'), async context => {
    const { org } = context.var.caller
    return context.json(await months(org.id, context.req.valid('query'), itemsOf(org.id)), 200)
  })
  app.openapi(route('/payment/usage/tokens', 'As /payment/usage, of tokens alone'), async context => {
    const { org } = context.var.caller
    const tokens = async (part: MonthPart) => (await itemsOf(org.id)(part)).filter(item => item.class !== 'request')
    return context.json(await months(org.id, context.req.valid('query'), tokens), 200)
  })
  app.openapi(route('/payment/usage/rent', 'As /payment/usage, of what is rented: nothing is'), async context =>
    context.json(await months(context.var.caller.org.id, context.req.valid('query'), async () => []), 200),
  )
  app.openapi(
    createRoute({
      method: 'get',
      path: '/payment/usage/{api_token}',
      tags: ['Usage'],
      summary: 'As /payment/usage, of one API key and the tokens derived from it',
      request: {
        params: z.object({ api_token: z.string().openapi({ description: 'The key itself, or its id.' }) }),
        query: PeriodQuery,
      },
      responses: answers('Month by month; the running one is not final.', UsageMonths),
    }),
    async context => {
      const { caller } = context.var
      const key = ownKey(context.req.valid('param').api_token, caller, deps)
      return context.json(await months(caller.org.id, context.req.valid('query'), itemsOf(caller.org.id, key.id)), 200)
    },
  )
}
