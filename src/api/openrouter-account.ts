import { createRoute, z } from '@hono/zod-openapi'
import { ApiError } from '../errors.ts'
import type { ApiKey } from '../inference/snapshot.ts'
import { netCredit } from '../ledger/grant.ts'
import type { Settlement } from '../ledger/journal.ts'
import { pieceAt } from '../ledger/window.ts'
import { nanodollarsToDecimal } from '../wire/decimal.ts'
import { answers, type ClientApiDeps, type ClientApp } from './context.ts'

/* An org's account as OpenRouter's clients read it (the schemas of its SDK 1.3). Dollars are numbers there. */

const Key = z
  .object({
    data: z.looseObject({
      label: z.string(),
      limit: z.number().nullable().openapi({ description: 'The cap of the key, dollars; null: none.' }),
      limit_remaining: z.number().nullable(),
      usage: z.number().openapi({ description: 'Dollars, in all.' }),
      usage_daily: z.number().openapi({ description: 'Since midnight UTC.' }),
      usage_weekly: z.number().openapi({ description: 'Since Monday, UTC.' }),
      usage_monthly: z.number().openapi({ description: 'Since the first of the month, UTC.' }),
    }),
  })
  .openapi('OpenRouterKey')

const Credits = z
  .object({
    data: z.object({
      total_credits: z.number().openapi({ description: 'All that was ever bought or granted, less what went back.' }),
      total_usage: z.number(),
    }),
  })
  .openapi('OpenRouterCredits')

const Generation = z
  .object({
    data: z.looseObject({
      id: z.string(),
      model: z.string(),
      provider_name: z.string().nullable(),
      total_cost: z.number(),
      tokens_prompt: z.int().nullable(),
      tokens_completion: z.int().nullable(),
    }),
  })
  .openapi('OpenRouterGeneration')

/** `GET /api/v1/key`, `/auth/key`, `/credits` and `/generation?id=`. */
export function openRouterAccountRoutes(app: ClientApp, deps: ClientApiDeps): void {
  for (const path of ['/api/v1/key', '/api/v1/auth/key'])
    app.openapi(
      createRoute({
        method: 'get',
        path,
        tags: ['Account'],
        summary: 'What the API key may spend and has spent',
        responses: answers('Dollars.', Key),
      }),
      async context => {
        const { key, org } = context.var.caller
        return context.json({ data: { ...(await spendingOf(key, deps)), ...keyFacts(key, org.id) } }, 200)
      },
    )
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/credits',
      tags: ['Account'],
      summary: 'What the organisation was credited and has used',
      responses: answers('Dollars; the difference is the balance.', Credits),
    }),
    async context => {
      const { totals, balanceNanodollars } = await deps.creditOf(context.var.caller.org.id)
      const put = netCredit(totals)
      // The use is taken from the balance, so that they agree although settlements go on meanwhile.
      return context.json(
        { data: { total_credits: dollars(put), total_usage: dollars(put - balanceNanodollars) } },
        200,
      )
    },
  )
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/generation',
      tags: ['Usage'],
      summary: 'What one answer used and was charged, by its id or that of its request',
      request: { query: z.object({ id: z.string().min(1).max(128) }) },
      responses: answers('Dollars and tokens.', Generation),
    }),
    async context => {
      const { id } = context.req.valid('query')
      const settlement = await deps.settlementOf(requestIdOf(id))
      if (settlement === null || settlement.orgId !== context.var.caller.org.id)
        throw new ApiError('request_not_found', `No ended request ${JSON.stringify(id)} of this organisation is known.`)
      return context.json({ data: generationOf(id, settlement) }, 200)
    },
  )
}

/** Answers are named after their requests, each protocol with a beginning of its own. */
function requestIdOf(id: string): string {
  return id.startsWith('req_') ? id : `req_${id.slice(id.indexOf('-') + 1)}`
}

async function spendingOf(key: ApiKey, deps: ClientApiDeps) {
  const nowMs = deps.nowMs()
  const { settledNanodollars, heldNanodollars } = deps.keySpent(key.id)
  const since = (window: 'day' | 'week' | 'month') => deps.keyChargedSince(key.id, pieceAt(window, nowMs).fromMs)
  const [day, week, month] = await Promise.all([since('day'), since('week'), since('month')])
  const cap = key.capNanodollars
  const left = cap === null ? null : cap - settledNanodollars - heldNanodollars
  return {
    label: key.name,
    limit: cap === null ? null : dollars(cap),
    limit_remaining: left === null ? null : dollars(left > 0n ? left : 0n),
    usage: dollars(settledNanodollars),
    usage_daily: dollars(day),
    usage_weekly: dollars(week),
    usage_monthly: dollars(month),
  }
}

function keyFacts({ expiresMs }: ApiKey, orgId: string) {
  return {
    limit_reset: null,
    expires_at: expiresMs === null ? null : new Date(expiresMs).toISOString(),
    // Keys of one's own with providers, free models and keys that make keys are not sold here.
    ...{
      byok_usage: 0,
      byok_usage_daily: 0,
      byok_usage_weekly: 0,
      byok_usage_monthly: 0,
      include_byok_in_limit: false,
    },
    ...{ is_free_tier: false, free_model_daily_requests: { limit: 0, remaining: 0, used: 0 } },
    ...{ is_management_key: false, is_provisioning_key: false, allowed_data_regions: [] },
    ...{ organization_id: orgId, creator_user_id: null, workspace_id: null },
    rate_limit: { interval: '10s', requests: -1, note: 'Limits are told in the x-ratelimit headers of each answer.' },
  }
}

const API_TYPES: Partial<Record<Settlement['protocol'], string>> = {
  'openai-embeddings': 'embeddings',
  rerank: 'rerank',
}

function generationOf(id: string, settlement: Settlement) {
  const { usage, chargeNanodollars, ttftMs, durationMs, ending, upstreamId } = settlement
  const cost = dollars(chargeNanodollars)
  return {
    id,
    request_id: settlement.requestId,
    model: settlement.modelId,
    provider_name: upstreamId === '' ? null : upstreamId,
    created_at: new Date(settlement.admittedMs).toISOString(),
    api_type: API_TYPES[settlement.protocol] ?? 'completions',
    ...{ total_cost: cost, usage: cost, is_byok: false, upstream_inference_cost: null, cache_discount: null },
    ...{ tokens_prompt: usage.inputTokens, native_tokens_prompt: usage.inputTokens },
    ...{ tokens_completion: usage.outputTokens, native_tokens_completion: usage.outputTokens },
    ...{ native_tokens_reasoning: usage.reasoningTokens, native_tokens_cached: usage.cachedInputTokens },
    streamed: settlement.stream,
    cancelled: ending === 'cancelled',
    // The reason of a whole answer is not kept with its charge.
    finish_reason: ending === 'exhausted' ? 'length' : null,
    native_finish_reason: null,
    latency: durationMs,
    generation_time: ttftMs === null ? null : durationMs - ttftMs,
    moderation_latency: null,
    service_tier: settlement.serviceTier === 'standard' ? 'default' : settlement.serviceTier,
    external_user: settlement.endUserId,
    provider_responses: null,
    data_region: 'global',
    origin: '',
    ...{ app_id: null, http_referer: null, user_agent: null, router: null, preset_id: null, session_id: null },
    ...{ upstream_id: null, response_cache_source_id: null, workspace_id: null, web_search_engine: null },
    ...{ num_fetches: null, num_search_results: null, num_input_audio_prompt: null },
    ...{ num_media_prompt: null, num_media_completion: null, native_tokens_completion_images: null },
  }
}

// For show: a double holds 15 digits, more than a charge or a balance of an org has.
function dollars(nanodollars: bigint): number {
  return Number(nanodollarsToDecimal(nanodollars))
}
