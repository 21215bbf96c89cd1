import { createRoute, z } from '@hono/zod-openapi'
import { ApiError } from '../errors.ts'
import type { LimitRule } from '../inference/limit-rule.ts'
import type { AccountPorts } from './account.ts'
import { Checklist, checklistOf } from './checklist.ts'
import { answers, type ClientApiDeps, type ClientApp, jsonBody } from './context.ts'

/** Where there is no limit: the largest number that clients of 32 bits can read. */
const NO_LIMIT = 2 ** 31 - 1
const REQUEST_IDS_MAX = 100
const REASON_CHARS_MAX = 4096

const Me = z
  .looseObject({
    uid: z.string().openapi({ description: 'Id of the organisation.' }),
    name: z.string(),
    display_name: z.string(),
    email: z.string().nullable().openapi({ description: 'Null: this installation knows organisations, not people.' }),
    is_admin: z.boolean(),
    checklist: Checklist.optional(),
  })
  .openapi('Me')

const RateLimit = z
  .object({
    rate_limit: z.int().openapi({ description: `Requests at a time; ${NO_LIMIT}: no limit.` }),
    tpm_rate_limit: z.int().openapi({ description: `Tokens a minute; ${NO_LIMIT}: no limit.` }),
  })
  .openapi('RateLimit')
const RateLimitWish = z
  .looseObject({
    rate_limit: z.int().min(1),
    tpm_rate_limit: z.int().min(1).nullish(),
    reason: z.string().max(REASON_CHARS_MAX),
  })
  .openapi('RateLimitWish')

const RequestCostQuery = z
  .looseObject({
    requestIds: z.array(z.string().min(1).max(255)).min(1).max(REQUEST_IDS_MAX).openapi({
      description: 'The x-request-id of answers.',
    }),
  })
  .openapi('RequestCostQuery')
const RequestCosts = z
  .object({ requests: z.array(z.object({ requestId: z.string(), costNanoUsd: z.int() })) })
  .openapi('RequestCosts')

const LiveMetrics = z
  .object({
    tokens_per_second: z.number(),
    time_to_first_token: z.number().nullable().openapi({ description: 'Mean, in seconds.' }),
    requests_per_second: z.number(),
    total_tflops: z.number().nullable().openapi({ description: 'Null: not measured.' }),
  })
  .openapi('LiveMetrics')

/** Whom a key acts for, its limits, what requests cost, and how the service does. */
export function meRoutes(app: ClientApp, deps: ClientApiDeps, account: AccountPorts): void {
  app.openapi(
    createRoute({
      method: 'get',
      path: '/v1/me',
      tags: ['Account'],
      summary: 'Whom the API key acts for',
      request: { query: z.object({ checklist: z.enum(['true', 'false', '1', '0']).default('false') }) },
      responses: answers('The organisation; with checklist=true how its account stands, too.', Me),
    }),
    async context => {
      const { caller } = context.var
      const { org } = caller
      const wanted = ['true', '1'].includes(context.req.valid('query').checklist)
      return context.json(
        {
          ...{ uid: org.id, name: org.name, display_name: org.name, provider: 'api_key', picture: null },
          ...{ email: null, email_verified: false, account_setup: true, is_admin: false },
          ...{ first_name: '', last_name: '', country: '', company: '', website: '', title: '' },
          ...{ is_business_account: false, is_team_account: false, is_team_owner: false, team_role: null },
          ...(wanted && { checklist: await checklistOf(caller, deps, account) }),
        },
        200,
      )
    },
  )
  app.openapi(
    createRoute({
      method: 'get',
      path: '/v1/me/rate_limit',
      tags: ['Account'],
      summary: 'How much the API key may ask at a time',
      responses: answers('The tightest of the limits that its requests come under.', RateLimit),
    }),
    context => {
      const rules = deps.snapshot().limitsByKey.get(context.var.caller.key.id) ?? []
      return context.json(
        { rate_limit: tightest(rules, isOfRequests), tpm_rate_limit: tightest(rules, isOfTokens) },
        200,
      )
    },
  )
  app.openapi(
    createRoute({
      method: 'post',
      path: '/v1/me/rate_limit/request',
      tags: ['Account'],
      summary: 'Ask for another limit',
      request: { body: jsonBody(RateLimitWish) },
      responses: answers('Never: limits are set by the operator.', z.object({})),
    }),
    () => {
      // Nobody would read a wish that is only written down.
      throw new ApiError(
        'permission_denied',
        'Limits are set by the operator of this installation, whom a wish sent here would not reach. Ask the operator (headrace limits).',
      )
    },
  )
  app.openapi(
    createRoute({
      method: 'post',
      path: '/v1/request-costs',
      tags: ['Usage'],
      summary: 'What requests were charged',
      request: { body: jsonBody(RequestCostQuery) },
      responses: answers('Nanodollars each; requests that run, or are not known, are left out.', RequestCosts),
    }),
    async context => {
      const ids = [...new Set(context.req.valid('json').requestIds)]
      const charges = await account.chargesOf(context.var.caller.org.id, ids)
      const requests = ids.flatMap(requestId => {
        const charge = charges.get(requestId)
        return charge === undefined ? [] : [{ requestId, costNanoUsd: Number(charge) }]
      })
      return context.json({ requests }, 200)
    },
  )
  app.openapi(
    createRoute({
      method: 'get',
      path: '/v1/metrics/live',
      tags: ['Usage'],
      summary: 'How the whole service does, over the last minute',
      responses: answers('Rates of what was settled.', LiveMetrics),
    }),
    context => {
      const { outputTokensPerSecond, requestsPerSecond, firstTokenSeconds } = account.live()
      return context.json(
        {
          tokens_per_second: outputTokensPerSecond,
          time_to_first_token: firstTokenSeconds,
          requests_per_second: requestsPerSecond,
          total_tflops: null,
        },
        200,
      )
    },
  )
}

function isOfRequests({ measure }: LimitRule): boolean {
  return measure === 'concurrency'
}

function isOfTokens({ measure, window }: LimitRule): boolean {
  return measure === 'tokens' && (window === 'minute' || window === 'rolling_minute')
}

// Limits on one model or one end user say nothing about the key as a whole.
function tightest(rules: readonly LimitRule[], counts: (rule: LimitRule) => boolean): number {
  const amounts = rules
    .filter(rule => rule.hard && rule.modelId === null && rule.endUserId === null && counts(rule))
    .map(({ amount }) => Number(amount))
  return Math.min(NO_LIMIT, ...amounts)
}
