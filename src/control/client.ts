import type { z } from '@hono/zod-openapi'
import type { CreditAdd, CreditAdded, CreditBody } from './credit.ts'
import type { CreditTransferList } from './credit-transfers.ts'
import type { InterruptedList } from './interrupted.ts'
import type { KeyBody, KeyChange, KeyCreate, KeyCreated, KeyList } from './keys.ts'
import type { VerifyBody } from './ledger.ts'
import type { LimitBody, LimitChange, LimitCreate, LimitList } from './limits.ts'
import type { ModelBody, ModelList, ModelPut } from './models.ts'
import type { OrgBody, OrgChange, OrgCreate, OrgList } from './orgs.ts'
import type { CheckoutBegin, CheckoutBody, PaymentList } from './payments.ts'
import type { PriceImport, PriceImported } from './price-list.ts'
import type { Replay, ReplayAsk } from './price-replay.ts'
import type { PriceBody, PriceCreate, PriceList } from './prices.ts'
import type { ProjectBody, ProjectCreate, ProjectList } from './projects.ts'
import type { StatementBody, TransferList, UsageHourList } from './statements.ts'
import type { StatusBody } from './status.ts'
import type { UsageList, UsageStory, UsageSummary } from './usage.ts'
import type { DeliveryList, WebhookList, WebhookRetried, WebhookTested } from './webhooks.ts'

/** The control plane answered with an error. */
export class ControlError extends Error {
  override name = 'ControlError'
  readonly status: number
  /** The row of the table of errors. */
  readonly code: string
  /** The field at fault, when one is. */
  readonly param: string | null

  constructor(status: number, code: string, message: string, param: string | null = null) {
    super(message)
    this.status = status
    this.code = code
    this.param = param
  }
}

/** Carries a request to the control plane: over a socket, or straight into its `fetch`. */
export type Send = (request: Request) => Response | Promise<Response>

/** One page of a list. */
export interface PageQuery {
  readonly limit?: number
  readonly cursor?: string
}

/** Which usage; times are RFC 3339. */
export interface UsageQuery {
  readonly org?: string
  readonly key?: string
  readonly model?: string
  readonly from?: string
  readonly to?: string
}

/** What usage can be summed by. */
export type UsageGroupBy = z.infer<typeof UsageSummary>['group_by']

/** The control plane's operations as typed methods. Each throws `ControlError` when it is refused. */
export type ControlClient = ReturnType<typeof createControlClient>

/** A client that sends every operation through `send`. The origin is a placeholder where a socket carries the request. */
export function createControlClient(send: Send, operatorToken: string, origin = 'http://control.localhost') {
  async function call<Answer>(method: string, path: string, body?: unknown, query: object = {}): Promise<Answer> {
    const url = new URL(`/control/v1${path}`, origin)
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) url.searchParams.set(name, String(value))
    const headers: Record<string, string> = { authorization: `Bearer ${operatorToken}` }
    if (body !== undefined) headers['content-type'] = 'application/json'
    const response = await send(
      new Request(url, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) }),
    )
    const text = await response.text()
    if (!response.ok) throw controlError(response.status, text)
    const answer = parse(text)
    if (answer === null)
      throw new ControlError(response.status, 'server_error', 'The control plane answered what is not JSON.')
    return answer as Answer
  }
  const get = <Answer>(path: string, query?: object) => call<Answer>('GET', path, undefined, query)
  const org = (id: string) => `/orgs/${encodeURIComponent(id)}`
  const key = (id: string) => `/keys/${encodeURIComponent(id)}`
  const model = (id: string) => `/models/${encodeURIComponent(id)}`

  return {
    status: () => get<z.output<typeof StatusBody>>('/status'),

    listOrgs: (query?: PageQuery) => get<z.output<typeof OrgList>>('/orgs', query),
    createOrg: (body: z.input<typeof OrgCreate>) => call<z.output<typeof OrgBody>>('POST', '/orgs', body),
    getOrg: (id: string) => get<z.output<typeof OrgBody>>(org(id)),
    updateOrg: (id: string, body: z.input<typeof OrgChange>) => call<z.output<typeof OrgBody>>('PATCH', org(id), body),

    getCredit: (orgId: string) => get<z.output<typeof CreditBody>>(`${org(orgId)}/credit`),
    addCredit: (orgId: string, body: z.input<typeof CreditAdd>) =>
      call<z.output<typeof CreditAdded>>('POST', `${org(orgId)}/credit`, body),
    listCreditTransfers: (orgId: string, query?: PageQuery) =>
      get<z.output<typeof CreditTransferList>>(`${org(orgId)}/credit/transfers`, query),

    listKeys: (query?: PageQuery & { org?: string }) => get<z.output<typeof KeyList>>('/keys', query),
    createKey: (body: z.input<typeof KeyCreate>) => call<z.output<typeof KeyCreated>>('POST', '/keys', body),
    getKey: (id: string) => get<z.output<typeof KeyBody>>(key(id)),
    updateKey: (id: string, body: z.input<typeof KeyChange>) => call<z.output<typeof KeyBody>>('PATCH', key(id), body),
    revokeKey: (id: string) => call<z.output<typeof KeyBody>>('DELETE', key(id)),

    listProjects: (query?: PageQuery & { org?: string }) => get<z.output<typeof ProjectList>>('/projects', query),
    createProject: (body: z.input<typeof ProjectCreate>) =>
      call<z.output<typeof ProjectBody>>('POST', '/projects', body),

    listLimits: (query?: PageQuery & { org?: string }) => get<z.output<typeof LimitList>>('/limits', query),
    createLimit: (body: z.input<typeof LimitCreate>) => call<z.output<typeof LimitBody>>('POST', '/limits', body),
    updateLimit: (id: string, body: z.input<typeof LimitChange>) =>
      call<z.output<typeof LimitBody>>('PATCH', `/limits/${encodeURIComponent(id)}`, body),
    removeLimit: (id: string) => call<z.output<typeof LimitBody>>('DELETE', `/limits/${encodeURIComponent(id)}`),

    listModels: (query?: PageQuery) => get<z.output<typeof ModelList>>('/models', query),
    getModel: (id: string) => get<z.output<typeof ModelBody>>(model(id)),
    putModel: (id: string, body: z.input<typeof ModelPut>) => call<z.output<typeof ModelBody>>('PUT', model(id), body),
    removeModel: (id: string) => call<z.output<typeof ModelBody>>('DELETE', model(id)),
    listPrices: (modelId: string, query?: PageQuery) =>
      get<z.output<typeof PriceList>>(`${model(modelId)}/prices`, query),
    setPrice: (modelId: string, body: z.input<typeof PriceCreate>) =>
      call<z.output<typeof PriceBody>>('POST', `${model(modelId)}/prices`, body),
    listAllPrices: (query?: PageQuery) => get<z.output<typeof PriceList>>('/prices', query),
    importPrices: (body: z.input<typeof PriceImport>) => call<z.output<typeof PriceImported>>('POST', '/prices', body),
    replayPrices: (body: z.input<typeof ReplayAsk>) => call<z.output<typeof Replay>>('POST', '/prices/replay', body),

    listUsage: (query?: UsageQuery & PageQuery) => get<z.output<typeof UsageList>>('/usage', query),
    summarizeUsage: (query?: UsageQuery & { group_by?: UsageGroupBy }) =>
      get<z.output<typeof UsageSummary>>('/usage/summary', query),
    listUsageHours: (query?: UsageQuery & PageQuery & { upstream?: string }) =>
      get<z.output<typeof UsageHourList>>('/usage/hours', query),
    listTransfers: (query?: Pick<UsageQuery, 'org' | 'from' | 'to'> & PageQuery) =>
      get<z.output<typeof TransferList>>('/transfers', query),
    getStatement: (orgId: string, month: string) =>
      get<z.output<typeof StatementBody>>(`${org(orgId)}/statements/${encodeURIComponent(month)}`),
    getUsage: (requestId: string) => get<z.output<typeof UsageStory>>(`/usage/${encodeURIComponent(requestId)}`),

    verifyLedger: () => call<z.output<typeof VerifyBody>>('POST', '/ledger/verify'),
    listInterrupted: (query?: PageQuery) => get<z.output<typeof InterruptedList>>('/interrupted', query),
    beginCheckout: (orgId: string, body: z.input<typeof CheckoutBegin>) =>
      call<z.output<typeof CheckoutBody>>('POST', `${org(orgId)}/checkout`, body),
    listPayments: (query?: PageQuery) => get<z.output<typeof PaymentList>>('/payments', query),
    listWebhooks: () => get<z.output<typeof WebhookList>>('/webhooks'),
    listDeliveries: (query?: PageQuery & { state?: 'pending' | 'delivered' | 'failed' }) =>
      get<z.output<typeof DeliveryList>>('/webhooks/deliveries', query),
    testWebhooks: (body: { url?: string }) => call<z.output<typeof WebhookTested>>('POST', '/webhooks/test', body),
    retryWebhooks: (body: { id?: string }) => call<z.output<typeof WebhookRetried>>('POST', '/webhooks/retry', body),
    openapi: () => get<object>('/openapi.json'),
  }
}

/** Every row of a list, page after page. */
export async function* allRows<Row, Query extends PageQuery>(
  list: (query?: Query) => Promise<{ data: Row[]; next_cursor: string | null }>,
  query: NoInfer<Query>,
): AsyncGenerator<Row> {
  let cursor = query.cursor
  do {
    const page = await list({ ...query, cursor })
    yield* page.data
    cursor = page.next_cursor ?? undefined
  } while (cursor !== undefined)
}

function controlError(status: number, text: string): ControlError {
  const error = (parse(text) as { error?: { message?: unknown; code?: unknown; param?: unknown } } | null)?.error
  if (typeof error?.message !== 'string' || typeof error.code !== 'string') {
    return new ControlError(status, 'server_error', `The control plane answered ${status} without saying why.`)
  }
  return new ControlError(status, error.code, error.message, typeof error.param === 'string' ? error.param : null)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
