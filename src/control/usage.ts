import { createRoute, z } from '@hono/zod-openapi'
import { ApiError } from '../errors.ts'
import { type Settlement, TRANSFER_KINDS, type Transfer } from '../ledger/journal.ts'
import { formatDollars } from '../ledger/money.ts'
import { answers, type Control, type ControlApp } from './control-context.ts'
import { endingRule } from './ending-rule.ts'
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
import type { UsageFilter } from './ports.ts'
import { PriceBody, priceBody } from './prices.ts'
import { chargeArithmetic } from './story.ts'

const Source = z.enum(['reported', 'counted', 'absent'])
const Count = z.int().min(0)

const UsageFilterQuery = z.object({
  org: z.string().optional(),
  key: z.string().optional(),
  model: z.string().optional(),
  from: TimeIn.optional().openapi({ type: 'string', format: 'date-time', description: 'Settled then or later.' }),
  to: TimeIn.optional().openapi({ type: 'string', format: 'date-time', description: 'Settled before then.' }),
})

/** What one request used and was charged. */
export const UsageBody = z
  .object({
    request: z.string(),
    org: z.string(),
    key: z.string(),
    model: z.string(),
    protocol: z.string(),
    stream: z.boolean(),
    upstream: z.string().openapi({ description: 'Empty when none was reached.' }),
    attempts: z.int(),
    ending: z.enum(['completed', 'cancelled', 'timed_out', 'aborted', 'failed', 'exhausted', 'empty']),
    usage: z
      .object({
        input_tokens: Count.openapi({ description: 'Cached ones included.' }),
        input_source: Source,
        cached_input_tokens: Count,
        cached_input_source: Source,
        cache_write_tokens: Count,
        cache_write_source: Source,
        output_tokens: Count.openapi({ description: 'Reasoning tokens included.' }),
        output_source: Source,
        reasoning_tokens: Count,
        reasoning_source: Source,
        search_units: Count.optional().openapi({ description: 'Of a rerank, where it has any.' }),
      })
      .openapi('Usage', { description: 'Each count was reported by the upstream, counted by us, or is absent.' }),
    service_tier: z.enum(['standard', 'priority', 'flex', 'batch']).openapi({ description: 'What it was served at.' }),
    end_user: z
      .string()
      .nullable()
      .openapi({ description: 'safety_identifier, user or metadata.user_id of the request.' }),
    price: z.string().openapi({ description: 'Id of the price row that was charged.' }),
    cost: DollarsOut.nullable().openapi({
      description: 'What the upstream takes from the operator; null when not known.',
    }),
    charge: DollarsOut,
    overrun: DollarsOut.openapi({ description: 'Work beyond the hold, which the operator bears.' }),
    held: DollarsOut.openapi({ description: 'The hold at its largest.' }),
    admitted_at: TimeOut,
    settled_at: TimeOut,
    ttft_ms: z.number().nullable().openapi({ description: 'Request received to first output token.' }),
    duration_ms: z.number().openapi({ description: 'Request received to settlement.' }),
  })
  .openapi('UsageRow')

/** A page of usage. */
export const UsageList = listOf(UsageBody).openapi('UsageList')

/** Usage summed by groups. */
export const UsageSummary = z
  .object({
    group_by: z.enum(['org', 'key', 'model', 'upstream', 'ending', 'day', 'hour']),
    data: z.array(
      z.object({
        group: z.string(),
        requests: Count,
        input_tokens: Count,
        cached_input_tokens: Count,
        output_tokens: Count,
        charge: DollarsOut,
      }),
    ),
  })
  .openapi('UsageSummary')

const TransferBody = z
  .object({
    id: z.string(),
    debit: z.string(),
    credit: z.string(),
    amount: DollarsOut,
    kind: z.enum(TRANSFER_KINDS),
    request: z.string().nullable(),
    at: TimeOut,
    memo: z.string().nullable(),
  })
  .openapi('Transfer')

/** One request's story, from its admission to the transfers in the ledger. */
export const UsageStory = z
  .object({
    row: UsageBody,
    rule: z
      .object({
        when: z.string().openapi({ description: 'What happened.' }),
        charged: z.string().openapi({ description: 'What is charged for it.' }),
      })
      .openapi({ description: 'The line of the table of endings that it was charged by.' }),
    price: PriceBody.nullable().openapi({ description: 'The price row that was charged.' }),
    arithmetic: z
      .object({
        lines: z.array(
          z.object({
            class: z.enum(['input', 'cached_input', 'cache_write', 'output', 'reasoning', 'request', 'search_unit']),
            quantity: Count,
            price: z
              .string()
              .openapi({ description: 'Dollars per million tokens; dollars each for requests and search units.' }),
            picodollars_each: z.string(),
            picodollars: z.string(),
          }),
        ),
        factors: z
          .array(z.object({ of: z.enum(['margin', 'tier', 'window', 'step']), multiplier: z.string() }))
          .openapi({ description: 'What the sum of the lines is multiplied by.' }),
        picodollars: z.string().openapi({ description: 'Exact; a fraction where it is no whole number.' }),
        dollars: z.string(),
        rounded: DollarsOut.openapi({ description: 'After the one rounding, half to even, to nanodollars.' }),
        rounding_picodollars: z.string().openapi({ description: 'What the rounding added.' }),
        held: DollarsOut,
        charge: DollarsOut,
        overrun: DollarsOut,
        explanation: z.string(),
      })
      .nullable()
      .openapi({ description: 'Null when the price row is gone.' }),
    transfers: z.array(TransferBody),
  })
  .openapi('UsageStory')

/** GET /usage, /usage/summary and /usage/{request}. */
export function usageRoutes(app: ControlApp, control: Control): void {
  app.openapi(
    createRoute({
      method: 'get',
      path: '/control/v1/usage',
      operationId: 'listUsage',
      summary: 'List what requests used, newest first',
      request: { query: UsageFilterQuery.extend(PageQuery.shape) },
      responses: answers(200, 'A page of usage.', UsageList),
    }),
    async context => {
      const query = context.req.valid('query')
      const cursor = query.cursor === undefined ? undefined : decodeCursor(query.cursor)
      const { rows, nextCursor } = await control.store.usageList(usageFilter(query), { limit: query.limit, cursor })
      return context.json(
        {
          data: rows.map(usageBody),
          has_more: nextCursor !== null,
          next_cursor: nextCursor === null ? null : encodeCursor(nextCursor),
        },
        200,
      )
    },
  )
  app.openapi(
    createRoute({
      method: 'get',
      path: '/control/v1/usage/summary',
      operationId: 'summarizeUsage',
      summary: 'Sum usage up',
      request: { query: UsageFilterQuery.extend({ group_by: UsageSummary.shape.group_by.default('model') }) },
      responses: answers(200, 'One sum per group.', UsageSummary),
    }),
    async context => {
      const query = context.req.valid('query')
      const sums = await control.store.usageSummary(usageFilter(query), query.group_by)
      const data = sums.map(sum => ({
        group: sum.group,
        requests: sum.requests,
        input_tokens: sum.inputTokens,
        cached_input_tokens: sum.cachedInputTokens,
        output_tokens: sum.outputTokens,
        charge: formatDollars(sum.chargeNanodollars),
      }))
      return context.json({ group_by: query.group_by, data }, 200)
    },
  )
  app.openapi(
    createRoute({
      method: 'get',
      path: '/control/v1/usage/{request}',
      operationId: 'getUsage',
      summary: "Tell one request's story: usage, price, arithmetic and transfers",
      request: {
        params: z.object({ request: z.string().openapi({ description: 'The x-request-id of its answer.' }) }),
      },
      responses: answers(200, 'The story.', UsageStory),
    }),
    async context => context.json(await story(control, context.req.valid('param').request), 200),
  )
}

async function story(control: Control, requestId: string): Promise<z.infer<typeof UsageStory>> {
  const settlement = await control.store.usageByRequest(requestId)
  if (settlement === null) throw await unsettled(control, requestId)
  // The snapshot knows when a price really ends: where the next begins. The store knows those of removed models too.
  const prices = control.snapshot().models.get(settlement.modelId)?.prices
  const price =
    prices?.find(each => each.id === settlement.priceId) ?? (await control.store.priceById(settlement.priceId))
  const transfers = await control.store.transfersOf({ requestId })
  return {
    row: usageBody(settlement),
    rule: endingRule(settlement),
    price: price === null ? null : priceBody(price),
    arithmetic: price === null ? null : chargeArithmetic(settlement, price),
    transfers: transfers.map(transferBody),
  }
}

async function unsettled(control: Control, requestId: string): Promise<ApiError> {
  const interrupted = (await control.store.interrupted()).some(each => each.requestId === requestId)
  const reason = interrupted
    ? 'A crash interrupted it, and nothing was charged; GET /control/v1/interrupted lists such requests.'
    : 'It may still run, or have been refused, or have failed free of charge.'
  return new ApiError('request_not_found', `No settled request has the id "${requestId}". ${reason}`)
}

function usageFilter(query: z.output<typeof UsageFilterQuery>): UsageFilter {
  if (query.from !== undefined && query.to !== undefined && query.from >= query.to) {
    throw new ApiError('invalid_value', 'to: has to be after from', { param: 'to' })
  }
  return { orgId: query.org, keyId: query.key, modelId: query.model, fromMs: query.from, toMs: query.to }
}

function usageBody(row: Settlement): z.infer<typeof UsageBody> {
  const { usage } = row
  return {
    request: row.requestId,
    org: row.orgId,
    key: row.keyId,
    model: row.modelId,
    protocol: row.protocol,
    stream: row.stream,
    upstream: row.upstreamId,
    attempts: row.attempts,
    ending: row.ending,
    usage: {
      input_tokens: usage.inputTokens,
      input_source: usage.inputSource,
      cached_input_tokens: usage.cachedInputTokens,
      cached_input_source: usage.cachedInputSource,
      cache_write_tokens: usage.cacheWriteTokens,
      cache_write_source: usage.cacheWriteSource,
      output_tokens: usage.outputTokens,
      output_source: usage.outputSource,
      reasoning_tokens: usage.reasoningTokens,
      reasoning_source: usage.reasoningSource,
      ...(usage.searchUnits !== undefined && { search_units: usage.searchUnits }),
    },
    service_tier: row.serviceTier,
    end_user: row.endUserId,
    price: row.priceId,
    cost: formatDollarsOrNull(row.costNanodollars),
    charge: formatDollars(row.chargeNanodollars),
    overrun: formatDollars(row.overrunNanodollars),
    held: formatDollars(row.heldNanodollars),
    admitted_at: formatTime(row.admittedMs),
    settled_at: formatTime(row.settledMs),
    ttft_ms: row.ttftMs,
    duration_ms: row.durationMs,
  }
}

function transferBody(transfer: Transfer): z.infer<typeof TransferBody> {
  return {
    id: transfer.id,
    debit: transfer.debit,
    credit: transfer.credit,
    amount: formatDollars(transfer.amountNanodollars),
    kind: transfer.kind,
    request: transfer.requestId,
    at: formatTime(transfer.atMs),
    memo: transfer.memo,
  }
}
