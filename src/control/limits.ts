import { createRoute, z } from '@hono/zod-openapi'
import { ApiError } from '../errors.ts'
import { EACH_END_USER, type LimitRule, type Measure, type Window } from '../inference/limit-rule.ts'
import { formatDollars, MoneyFormatError, parseDollars } from '../ledger/money.ts'
import { countedFromMs, pieceAt, sliceMs } from '../ledger/window.ts'
import { createId } from './api-key.ts'
import { answers, type Control, type ControlApp, jsonBody } from './control-context.ts'
import { formatTime, listOf, PageQuery, pageOf } from './fields.ts'

const UNITS = ['minute', 'hour', 'day', 'week', 'month'] as const
const WINDOWS = ['ever', ...UNITS, ...UNITS.map(unit => `rolling_${unit}` as const)] as const
const MEASURES = [
  'dollars',
  'requests',
  'tokens',
  'uncached_tokens',
  'input_tokens',
  'output_tokens',
  'concurrency',
] as const
/** Far beyond any real one, and a sum of it still fits into 64 bits. */
const COUNT_MAX = 1_000_000_000_000_000n

const LimitParams = z.object({ limit: z.string().openapi({ example: 'limit_0aB3dE5gH7jK9m' }) })
const MeasureField = z.enum(MEASURES).openapi({
  description:
    'What is counted. tokens are input and output together; uncached_tokens leave cached input out; concurrency counts requests that run, and has no window.',
})
const WindowField = z.enum(WINDOWS).openapi({
  description:
    'Since when it counts, in UTC; weeks begin on Monday. rolling_day looks back over 24 hours, rolling_month over 30 days.',
})
const AMOUNT = 'Dollars as a decimal string, or a whole number as a string; above zero.'
const PERCENTS = 'Parts of the amount, in percent, at which a webhook is told.'

/** A limit, as answered. */
export const LimitBody = z
  .object({
    id: z.string(),
    org: z.string().nullable(),
    project: z.string().nullable(),
    key: z.string().nullable(),
    end_user: z.string().nullable().openapi({ description: '"each": every end user has it for itself.' }),
    model: z.string().nullable(),
    measure: MeasureField,
    amount: z.string().openapi({ description: AMOUNT, example: '10.00' }),
    window: WindowField,
    hard: z.boolean().openapi({ description: 'False: nothing is refused, only told.' }),
    notify_percents: z.array(z.int()).openapi({ description: PERCENTS }),
    used: z
      .string()
      .nullable()
      .openapi({ description: 'Counted in the window so far; null where each end user has its own.' }),
    held: z.string().nullable().openapi({ description: 'Set aside for requests that run.' }),
    resets_at: z
      .string()
      .nullable()
      .openapi({ description: 'When the window ends; null when it rolls or never ends.' }),
  })
  .openapi('Limit')

const Percents = z.array(z.int().min(1).max(100)).max(10)

/** What creates a limit. Its scope is what is not null; a limit without an org is for the whole installation. */
export const LimitCreate = z
  .strictObject({
    org: z.string().nullable().default(null),
    project: z.string().nullable().default(null),
    key: z.string().nullable().default(null),
    end_user: z.string().min(1).max(128).nullable().default(null),
    model: z.string().nullable().default(null),
    measure: MeasureField,
    amount: z.string().openapi({ description: AMOUNT, example: '10.00' }),
    window: WindowField.default('ever'),
    hard: z.boolean().default(true),
    notify_percents: Percents.default([80, 100]).openapi({ description: PERCENTS }),
  })
  .openapi('LimitCreate')

/** What changes a limit; its scope, measure and window stay what they are. */
export const LimitChange = z
  .strictObject({
    amount: z.string().optional().openapi({ description: AMOUNT, example: '10.00' }),
    hard: z.boolean().optional(),
    notify_percents: Percents.optional().openapi({ description: PERCENTS }),
  })
  .openapi('LimitChange')

/** A page of limits. */
export const LimitList = listOf(LimitBody).openapi('LimitList')

/** GET and POST /limits, GET, PATCH and DELETE /limits/{limit}. */
export function limitRoutes(app: ControlApp, control: Control): void {
  const find = (id: string): LimitRule => {
    const limit = control.snapshot().limits.get(id)
    if (limit === undefined)
      throw new ApiError('not_found', `There is no limit "${id}". GET /control/v1/limits lists them.`)
    return limit
  }
  app.openapi(
    createRoute({
      method: 'get',
      path: '/control/v1/limits',
      operationId: 'listLimits',
      summary: 'List limits, with what counts under each',
      request: { query: PageQuery.extend({ org: z.string().optional() }) },
      responses: answers(200, 'A page of limits.', LimitList),
    }),
    async context => {
      const query = context.req.valid('query')
      if (query.org !== undefined) control.org(query.org)
      const limits = [...control.snapshot().limits.values()].filter(
        limit => query.org === undefined || limit.orgId === query.org,
      )
      const page = pageOf(limits, limit => limit.id, query)
      return context.json({ ...page, data: await Promise.all(page.data.map(limit => limitBody(control, limit))) }, 200)
    },
  )
  app.openapi(
    createRoute({
      method: 'post',
      path: '/control/v1/limits',
      operationId: 'createLimit',
      summary: 'Limit what an org, project, key, end user or model may use',
      request: { body: jsonBody(LimitCreate) },
      responses: answers(201, 'The limit. What was used in its window before counts as well.', LimitBody),
    }),
    async context => {
      const body = context.req.valid('json')
      const id = createId('limit', control.randomBytes)
      await control.change(async () => {
        const rule = ruleOf(control, id, body)
        await control.store.putLimit(rule)
      })
      return context.json(await limitBody(control, find(id)), 201)
    },
  )
  app.openapi(
    createRoute({
      method: 'get',
      path: '/control/v1/limits/{limit}',
      operationId: 'getLimit',
      summary: 'Get a limit',
      request: { params: LimitParams },
      responses: answers(200, 'The limit, with what counts under it.', LimitBody),
    }),
    async context => context.json(await limitBody(control, find(context.req.valid('param').limit)), 200),
  )
  app.openapi(
    createRoute({
      method: 'patch',
      path: '/control/v1/limits/{limit}',
      operationId: 'updateLimit',
      summary: 'Change how much a limit lets through',
      request: { params: LimitParams, body: jsonBody(LimitChange) },
      responses: answers(200, 'The limit after the change. Requests that run go on.', LimitBody),
    }),
    async context => {
      const { limit: id } = context.req.valid('param')
      const { amount, hard, notify_percents } = context.req.valid('json')
      await control.change(async () => {
        const rule = find(id)
        await control.store.putLimit({
          ...rule,
          amount: amount === undefined ? rule.amount : amountOf(rule.measure, amount),
          hard: hard ?? rule.hard,
          notifyPercents: notify_percents === undefined ? rule.notifyPercents : ascending(notify_percents),
        })
      })
      return context.json(await limitBody(control, find(id)), 200)
    },
  )
  app.openapi(
    createRoute({
      method: 'delete',
      path: '/control/v1/limits/{limit}',
      operationId: 'removeLimit',
      summary: 'Remove a limit',
      request: { params: LimitParams },
      responses: answers(200, 'The limit that was.', LimitBody),
    }),
    async context => {
      const { limit: id } = context.req.valid('param')
      const body = await limitBody(control, find(id))
      await control.change(async () => {
        find(id)
        await control.store.removeLimit(id)
      })
      return context.json(body, 200)
    },
  )
}

function ruleOf(control: Control, id: string, body: z.output<typeof LimitCreate>): LimitRule {
  const invalid = (param: string, message: string) => new ApiError('invalid_value', `${param}: ${message}`, { param })
  const key = body.key === null ? null : control.key(body.key)
  const project = body.project === null ? null : control.snapshot().projects.get(body.project)
  if (project === undefined) throw invalid('project', `there is no project "${body.project}"`)
  const orgId = body.org ?? key?.orgId ?? project?.orgId ?? null
  if (orgId !== null) control.org(orgId)
  if (key !== null && key.orgId !== orgId) throw invalid('key', `it belongs to the org "${key.orgId}"`)
  if (project !== null && project.orgId !== orgId) throw invalid('project', `it belongs to the org "${project.orgId}"`)
  if (body.end_user !== null && orgId === null) throw invalid('org', 'has to be given with an end user')
  if (body.model !== null) control.model(body.model)
  const measure: Measure = body.measure === 'dollars' ? 'nanodollars' : body.measure
  const window: Window = body.window
  if (measure === 'concurrency' && window !== 'ever')
    throw invalid('window', 'concurrency counts what runs now, so it has none; leave it out')
  if (body.end_user !== null && window === 'ever' && measure !== 'concurrency')
    throw invalid('window', 'an end user can be limited for at most a month')
  return {
    id,
    orgId,
    projectId: body.project,
    keyId: body.key,
    endUserId: body.end_user,
    modelId: body.model,
    measure,
    amount: amountOf(measure, body.amount),
    window,
    hard: body.hard,
    notifyPercents: ascending(body.notify_percents),
  }
}

function amountOf(measure: Measure, text: string): bigint {
  const invalid = (message: string) => new ApiError('invalid_value', `amount: ${message}`, { param: 'amount' })
  if (measure !== 'nanodollars') {
    if (!/^[1-9]\d{0,15}$/.test(text) || BigInt(text) > COUNT_MAX)
      throw invalid(`has to be a whole number from 1 to ${COUNT_MAX}, as a string`)
    return BigInt(text)
  }
  try {
    const amount = parseDollars(text)
    if (amount > 0n) return amount
  } catch (error) {
    if (error instanceof MoneyFormatError) throw invalid(error.message)
    throw error
  }
  throw invalid('has to be above zero')
}

function ascending(percents: readonly number[]): number[] {
  return [...new Set(percents)].sort((a, b) => a - b)
}

async function limitBody(control: Control, rule: LimitRule): Promise<z.infer<typeof LimitBody>> {
  const nowMs = control.clock.nowMs()
  const text = (amount: bigint) => (rule.measure === 'nanodollars' ? formatDollars(amount) : String(amount))
  const used = rule.endUserId === EACH_END_USER ? null : await usedUnder(control, rule, nowMs)
  const { toMs } = pieceAt(rule.window, nowMs)
  return {
    id: rule.id,
    org: rule.orgId,
    project: rule.projectId,
    key: rule.keyId,
    end_user: rule.endUserId,
    model: rule.modelId,
    measure: rule.measure === 'nanodollars' ? 'dollars' : rule.measure,
    amount: text(rule.amount),
    window: rule.window,
    hard: rule.hard,
    notify_percents: [...rule.notifyPercents],
    used: used === null ? null : text(used.settled),
    held: used === null ? null : text(used.held),
    resets_at: sliceMs(rule.window) === null && Number.isFinite(toMs) ? formatTime(toMs) : null,
  }
}

async function usedUnder(
  control: Control,
  rule: LimitRule,
  nowMs: number,
): Promise<{ readonly settled: bigint; readonly held: bigint }> {
  if (control.books !== undefined) return control.books.limitUsed(rule, nowMs)
  const uses = await control.store.limitUsage(rule, countedFromMs(rule.window, nowMs), null)
  return { settled: uses.reduce((sum, use) => sum + use.used, 0n), held: 0n }
}
