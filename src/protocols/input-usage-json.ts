import { nanodollarsToDecimal } from '../wire/decimal.ts'
import type { AnswerTotals } from './protocol.ts'

const OUR_FIELDS = new Set(['prompt_tokens', 'completion_tokens', 'total_tokens', 'search_units', 'estimated_cost'])

/**
 * The `usage` object of work that has input alone, as JSON text: OpenAI's counts of embeddings, `search_units` where the work has any, and
 * DeepInfra's `estimated_cost` in dollars, which OpenRouter calls `cost`.
 */
export function inputUsageJson({ usage, chargeNanodollars, usageExtra }: AnswerTotals, withCost = false): string {
  const cost = nanodollarsToDecimal(chargeNanodollars)
  let json = `{"prompt_tokens":${usage.inputTokens},"total_tokens":${usage.inputTokens}`
  if (usage.searchUnits !== undefined) json += `,"search_units":${usage.searchUnits}`
  json += `,"estimated_cost":${cost}`
  if (withCost) json += `,"cost":${cost}`
  for (const key in usageExtra) {
    if (!OUR_FIELDS.has(key)) json += `,${JSON.stringify(key)}:${JSON.stringify(usageExtra[key] ?? null)}`
  }
  return `${json}}`
}
