import { createRoute, z } from '@hono/zod-openapi'
import { ApiError } from '../errors.ts'
import type { Price } from '../inference/snapshot.ts'
import type { Transfer } from '../ledger/journal.ts'
import { formatDollars } from '../ledger/money.ts'
import { NO_BILLING } from '../statements/invoice.ts'
import { type Month, parseMonth } from '../statements/month.ts'
import { unitPricesOf } from '../statements/price-classes.ts'
import { buildStatement, effectOn, FootingError, type Statement, shownId } from '../statements/statement.ts'
import { answers, type Control, type ControlApp } from './control-context.ts'
import {
  DollarsOut,
  decodeCursor,
  encodeCursor,
  formatDollarsOrNull,
  formatTime,
  listOf,
  PageQuery,
  TimeIn,
  TimeOut,
} from './fields.ts'
import type { UsageHour } from './ports.ts'

const HOUR_MS = 3_600_000
const Count = z.int().min(0)
const PriceClassName = z.enum(['input', 'cached_input', 'output', 'request'])

const Entry = z.object({
  id: z.string(),
  at: TimeOut,
  kind: z.string(),
  amount: DollarsOut.openapi({ description: "Above zero when the org's balance rose." }),
  memo: z.string().nullable(),
})

const PartyBody = z
  .object({ name: z.string(), address: z.array(z.string()), tax_id: z.string().nullable() })
  .openapi('Party')

const InvoiceBody = z
  .object({
    number: z
      .string()
      .openapi({ description: 'The same whenever it is asked for; never that of another month or org.' }),
    seller: PartyBody,
    customer: PartyBody,
    subtotal: DollarsOut.openapi({ description: 'All charges, exact.' }),
    rounding: DollarsOut.openapi({ description: 'What rounding the subtotal to cents, half to even, added.' }),
    net: DollarsOut,
    tax_rate: z.string().openapi({ description: 'Percent.' }),
    tax: DollarsOut.openapi({ description: 'Of the net, rounded once to cents.' }),
    total: DollarsOut,
    paid: DollarsOut.openapi({ description: 'Taken from prepaid credit.' }),
    due: DollarsOut,
    note: z.string().nullable(),
  })
  .openapi('Invoice')

/** A month of an org's account, as answered. */
export const StatementBody = z
  .object({
    org: z.object({ id: z.string(), name: z.string() }),
    month: z.string(),
    from: TimeOut,
    to: TimeOut,
    provisional: z.boolean().openapi({ description: 'The month is not over.' }),
    currency: z.literal('USD'),
    opening_balance: DollarsOut,
    credits: z.array(Entry),
    credits_total: DollarsOut,
    charges: z.array(
      z.object({
        model: z.string(),
        price: z.string(),
        requests: Count,
        input_tokens: Count.openapi({ description: 'Not served from a cache.' }),
        cached_input_tokens: Count,
        output_tokens: Count,
        lines: z.array(
          z.object({
            class: PriceClassName,
            quantity: Count,
            unit_price: z.string().openapi({ description: 'US dollars per million tokens; per request for requests.' }),
            amount: z.string().openapi({ description: 'US dollars, exact, at most 12 places.' }),
          }),
        ),
        difference: z.string().openapi({
          description: 'Charge less the sum of the lines: rounding, work that was not charged, work beyond a hold.',
        }),
        charge: DollarsOut,
        cost: DollarsOut.nullable().openapi({ description: 'What upstreams take for it; null while not known.' }),
      }),
    ),
    charges_total: DollarsOut,
    corrections: z.array(Entry),
    corrections_total: DollarsOut,
    closing_balance: DollarsOut,
    invoice: InvoiceBody.nullable().openapi({ description: 'Null without billing.name, and until the month is over.' }),
  })
  .openapi('Statement', {
    description: 'opening_balance + credits_total - charges_total + corrections_total = closing_balance, exactly.',
  })

const UsageHourBody = z
  .object({
    hour: TimeOut.openapi({ description: 'Its start.' }),
    org: z.string(),
    org_name: z.string(),
    key: z.string(),
    key_name: z.string(),
    model: z.string(),
    upstream: z.string(),
    ending: z.string(),
    price: z.string(),
    unit_prices: z
      .record(PriceClassName, z.string())
      .nullable()
      .openapi({ description: 'Picodollars each; null when the price row is gone.' }),
    requests: Count,
    input_tokens: Count.openapi({ description: 'Cached ones included.' }),
    cached_input_tokens: Count,
    output_tokens: Count,
    charge: DollarsOut,
    cost: DollarsOut.nullable(),
  })
  .openapi('UsageHour')

/** A page of usage by hour. */
export const UsageHourList = listOf(UsageHourBody).openapi('UsageHourList')

const TransferRow = Entry.extend({
  org: z.string(),
  org_name: z.string(),
  transfer: z.string().openapi({ description: 'Its id in the ledger.' }),
}).openapi('OrgTransfer')

/** A page of movements of orgs' accounts. */
export const TransferList = listOf(TransferRow).openapi('OrgTransferList')

const WholeHour = TimeIn.refine(atMs => typeof atMs !== 'number' || atMs % HOUR_MS === 0, {
  error: 'has to be a whole hour in UTC, such as "2026-01-31T12:00:00Z"',
})
const RangeQuery = z.object({
  org: z.string().optional(),
  from: WholeHour.optional().openapi({
    type: 'string',
    format: 'date-time',
    description: 'A whole hour; from then on.',
  }),
  to: WholeHour.optional().openapi({ type: 'string', format: 'date-time', description: 'A whole hour; before then.' }),
})

/** GET /orgs/{org}/statements/{month}, /usage/hours and /transfers. */
export function statementRoutes(app: ControlApp, control: Control): void {
  app.openapi(
    createRoute({
      method: 'get',
      path: '/control/v1/orgs/{org}/statements/{month}',
      operationId: 'getStatement',
      summary: "Tell a month of an org's account: balances, credits, charges by model and price",
      request: {
        params: z.object({
          org: z.string().openapi({ example: 'org_0aB3dE5gH7jK9m' }),
          month: z.string().openapi({ example: '2026-10', description: 'In UTC.' }),
        }),
      },
      responses: answers(200, 'The statement.', StatementBody),
    }),
    async context => {
      const { org, month } = context.req.valid('param')
      return context.json(statementBody(await statementOf(control, org, monthIn(month))), 200)
    },
  )
  app.openapi(
    createRoute({
      method: 'get',
      path: '/control/v1/usage/hours',
      operationId: 'listUsageHours',
      summary: 'List usage by hour, key, model, upstream, price and ending, oldest first',
      request: {
        query: RangeQuery.extend({
          key: z.string().optional(),
          model: z.string().optional(),
          upstream: z.string().optional(),
        }).extend(PageQuery.shape),
      },
      responses: answers(200, 'A page of usage.', UsageHourList),
    }),
    async context => {
      const { limit, cursor, ...query } = context.req.valid('query')
      refuseBackwards(query)
      const { rows, nextCursor } = await control.store.usageHours(
        {
          orgId: query.org,
          keyId: query.key,
          modelId: query.model,
          upstreamId: query.upstream,
          fromMs: query.from,
          toMs: query.to,
        },
        { limit, cursor: cursor === undefined ? undefined : decodeCursor(cursor) },
      )
      const prices = await pricesOf(control, rows)
      return context.json(
        pageBody(
          rows.map(row => hourBody(control, row, prices)),
          nextCursor,
        ),
        200,
      )
    },
  )
  app.openapi(
    createRoute({
      method: 'get',
      path: '/control/v1/transfers',
      operationId: 'listTransfers',
      summary: "List movements of orgs' accounts but charges: credit and corrections",
      request: { query: RangeQuery.extend(PageQuery.shape) },
      responses: answers(200, 'A page of movements.', TransferList),
    }),
    async context => {
      const { limit, cursor, ...query } = context.req.valid('query')
      refuseBackwards(query)
      const { rows, nextCursor } = await control.store.transferList(
        { orgId: query.org, fromMs: query.from, toMs: query.to },
        { limit, cursor: cursor === undefined ? undefined : decodeCursor(cursor) },
      )
      return context.json(
        pageBody(
          rows.map(row => transferBody(control, row)),
          nextCursor,
        ),
        200,
      )
    },
  )
}

/** The statement of an org and month. Throws `not_found` for an org that is not, and says when the books do not foot. */
async function statementOf(control: Control, orgId: string, month: Month): Promise<Statement> {
  const org = control.org(orgId)
  const nowMs = control.clock.nowMs()
  if (month.fromMs > nowMs)
    throw new ApiError('invalid_value', `month: ${month.text} has not begun; name this month or an earlier one`, {
      param: 'month',
    })
  const records = await control.store.statementRecords(orgId, month.fromMs, month.toMs)
  const prices = await pricesOf(control, records.charges)
  try {
    return buildStatement({ org, month, nowMs, records, prices, billing: control.billing ?? NO_BILLING })
  } catch (error) {
    if (error instanceof FootingError) throw new ApiError('server_error', error.message, { cause: error })
    throw error
  }
}

function monthIn(text: string): Month {
  const month = parseMonth(text)
  if (month === null)
    throw new ApiError('invalid_value', 'month: has to be a month such as "2026-10"', { param: 'month' })
  return month
}

async function pricesOf(control: Control, rows: readonly { readonly priceId: string }[]): Promise<Map<string, Price>> {
  const prices = new Map<string, Price>()
  for (const priceId of new Set(rows.map(row => row.priceId))) {
    const price = await control.store.priceById(priceId)
    if (price !== null) prices.set(priceId, price)
  }
  return prices
}

function refuseBackwards(query: { from?: number; to?: number }): void {
  if (query.from !== undefined && query.to !== undefined && query.from >= query.to)
    throw new ApiError('invalid_value', 'to: has to be after from', { param: 'to' })
}

function pageBody<Row>(data: Row[], nextCursor: string | null) {
  return { data, has_more: nextCursor !== null, next_cursor: nextCursor === null ? null : encodeCursor(nextCursor) }
}

/** The same object, its lists no longer read-only, as the description of the answer has them. */
function statementBody(statement: Statement): z.infer<typeof StatementBody> {
  return structuredClone(statement) as z.infer<typeof StatementBody>
}

function hourBody(control: Control, row: UsageHour, prices: ReadonlyMap<string, Price>): z.infer<typeof UsageHourBody> {
  const price = prices.get(row.priceId)
  const { orgs, keys } = control.snapshot()
  return {
    hour: formatTime(row.hourMs),
    org: row.orgId,
    org_name: orgs.get(row.orgId)?.name ?? row.orgId,
    key: row.keyId,
    key_name: keys.get(row.keyId)?.name ?? row.keyId,
    model: row.modelId,
    upstream: row.upstreamId,
    ending: row.ending,
    price: row.priceId,
    unit_prices: price === undefined ? null : unitPriceTexts(price),
    requests: row.requests,
    input_tokens: row.inputTokens,
    cached_input_tokens: row.cachedInputTokens,
    output_tokens: row.outputTokens,
    charge: formatDollars(row.chargeNanodollars),
    cost: formatDollarsOrNull(row.costNanodollars),
  }
}

function unitPriceTexts(price: Price) {
  const { input, cached_input, output, request } = unitPricesOf(price)
  return { input: `${input}`, cached_input: `${cached_input}`, output: `${output}`, request: `${request}` }
}

function transferBody(control: Control, transfer: Transfer): z.infer<typeof TransferRow> {
  const account = [transfer.credit, transfer.debit].find(each => each.startsWith('org:')) ?? 'org:'
  const org = account.slice('org:'.length)
  return {
    org,
    org_name: control.snapshot().orgs.get(org)?.name ?? org,
    transfer: transfer.id,
    id: shownId(transfer),
    at: formatTime(transfer.atMs),
    kind: transfer.kind,
    amount: formatDollars(effectOn(org, transfer)),
    memo: transfer.memo,
  }
}
