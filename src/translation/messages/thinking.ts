import type { JsonObject } from '../../inference/request.ts'
import { isObject } from '../../wire/json-object.ts'

/** Least `thinking.budget_tokens` that the Messages API takes. */
export const BUDGET_TOKENS_MIN = 1024
/** Efforts that the Messages API knows; OpenAI's `minimal` is nearest to its lowest. */
const EFFORTS: Readonly<Record<string, string>> = {
  minimal: 'low',
  low: 'low',
  medium: 'medium',
  high: 'high',
  xhigh: 'xhigh',
  max: 'max',
}

/** The effort that a budget stands for; models that are told an effort know no budgets. */
function effortOfBudget(tokens: number): string {
  if (tokens < 4096) return 'low'
  return tokens < 16_384 ? 'medium' : 'high'
}

/**
 * `thinking` and `output_config.effort` → `reasoning_effort`. A budget stays beside it as `thinking`, which DeepSeek reads and others
 * skip; thinking that the model is left to decide on is `reasoning.enabled`, as DeepInfra and OpenRouter call it.
 */
export function readThinking(request: JsonObject, body: JsonObject, dropped: string[]): void {
  const effort = isObject(request.output_config) ? request.output_config.effort : undefined
  if (typeof effort === 'string') body.reasoning_effort = effort
  const { thinking } = request
  if (!isObject(thinking)) return
  if (thinking.display !== undefined && thinking.display !== null) dropped.push('thinking.display')
  // DeepInfra's schema has `enabled` in place of a type.
  const type = thinking.type ?? (thinking.enabled === true ? 'adaptive' : 'disabled')
  switch (type) {
    case 'disabled':
      if (effort !== undefined && effort !== null) dropped.push('output_config.effort')
      body.reasoning_effort = 'none'
      return
    case 'adaptive':
      if (body.reasoning_effort === undefined) body.reasoning = { enabled: true }
      return
    case 'enabled': {
      const tokens = thinking.budget_tokens
      if (typeof tokens !== 'number') {
        body.reasoning_effort ??= 'high'
        return
      }
      body.reasoning_effort ??= effortOfBudget(tokens)
      body.thinking = { type: 'enabled', budget_tokens: tokens }
      return
    }
    default:
      dropped.push('thinking')
  }
}

/**
 * The reverse. An effort asks for thinking, which the Messages API does not do of itself, so it comes with `adaptive`. A budget has to be
 * at least 1,024 tokens and below `maxTokens`; one that cannot be both is left out.
 */
export function writeThinking(body: JsonObject, request: JsonObject, maxTokens: number, dropped: string[]): void {
  const reasoning = isObject(body.reasoning) ? body.reasoning : {}
  const effort = body.reasoning_effort ?? reasoning.effort
  const asked = isObject(body.thinking) ? body.thinking : {}
  const budget = asked.type === 'enabled' ? (asked.budget_tokens ?? reasoning.max_tokens) : reasoning.max_tokens
  if (effort === 'none' || reasoning.enabled === false || asked.type === 'disabled') {
    request.thinking = { type: 'disabled' }
    return
  }
  const known = typeof effort === 'string' && Object.hasOwn(EFFORTS, effort) ? EFFORTS[effort] : undefined
  if (effort !== undefined && effort !== null && known === undefined) dropped.push('reasoning_effort')
  if (typeof budget === 'number') {
    const tokens = Math.min(budget, maxTokens - 1)
    if (tokens >= BUDGET_TOKENS_MIN) request.thinking = { type: 'enabled', budget_tokens: tokens }
    else dropped.push('thinking.budget_tokens')
    if (known !== undefined && known !== effortOfBudget(budget)) request.output_config = { effort: known }
    return
  }
  if (known !== undefined) request.output_config = { effort: known }
  if (known !== undefined || reasoning.enabled === true || asked.type !== undefined)
    request.thinking = { type: 'adaptive' }
}
