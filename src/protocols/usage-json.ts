import type { JsonObject } from '../inference/request.ts'
import { nanodollarsToDecimal } from '../wire/decimal.ts'
import type { AnswerForm } from './answer-form.ts'
import type { AnswerTotals } from './protocol.ts'

const OUR_FIELDS = new Set([
  'prompt_tokens',
  'completion_tokens',
  'total_tokens',
  'prompt_tokens_details',
  'completion_tokens_details',
  'prompt_cache_hit_tokens',
  'prompt_cache_miss_tokens',
  'estimated_cost',
  'notice',
])

/**
 * The `usage` object of OpenAI's chat and completions wire, as JSON text. Cached tokens are named twice, as OpenAI and as
 * DeepSeek name them, since some clients read only the one and some only the other; `estimated_cost` is DeepInfra's
 * name, in dollars. Counts that are absent are 0 here: clients cannot read null.
 */
export function usageJson(totals: AnswerTotals, form?: AnswerForm): string {
  const { usage, usageExtra } = totals
  const cached = usage.cachedInputTokens
  const promptDetails: JsonObject = { cached_tokens: cached }
  if (usage.cacheWriteSource !== 'absent') promptDetails.cache_write_tokens = usage.cacheWriteTokens
  let json =
    `{"prompt_tokens":${usage.inputTokens},"completion_tokens":${usage.outputTokens}` +
    `,"total_tokens":${usage.inputTokens + usage.outputTokens}` +
    `,"prompt_tokens_details":${detailsJson(promptDetails, usageExtra?.prompt_tokens_details)}` +
    `,"completion_tokens_details":${detailsJson({ reasoning_tokens: usage.reasoningTokens }, usageExtra?.completion_tokens_details)}` +
    `,"prompt_cache_hit_tokens":${cached},"prompt_cache_miss_tokens":${usage.inputTokens - cached}` +
    `,"estimated_cost":${nanodollarsToDecimal(totals.chargeNanodollars)}${form?.usage(totals) ?? ''}`
  if (totals.notice !== undefined) json += `,"notice":${JSON.stringify(totals.notice)}`
  for (const key in usageExtra) {
    if (!OUR_FIELDS.has(key)) json += `,${JSON.stringify(key)}:${JSON.stringify(usageExtra[key] ?? null)}`
  }
  return `${json}}`
}

/** `,"service_tier":...` of an answer whose request named a tier, in OpenAI's words; else nothing. */
export function serviceTierJson({ serviceTier }: AnswerTotals): string {
  if (serviceTier === undefined) return ''
  return `,"service_tier":"${serviceTier === 'standard' ? 'default' : serviceTier}"`
}

/** Our counts win over fields of the same name that an upstream sent. */
function detailsJson(ours: JsonObject, theirs: unknown): string {
  return JSON.stringify(typeof theirs === 'object' && theirs !== null ? { ...ours, ...theirs, ...ours } : ours)
}
