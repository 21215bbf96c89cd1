import type { JsonObject } from '../inference/request.ts'
import type { CountSource, Usage } from '../inference/usage.ts'
import { isObject } from '../wire/json-object.ts'

/** No request has so many tokens: a count beyond it is a fault of the upstream, and as good as none. */
const TOKENS_MAX = 1_000_000_000

/** What an upstream's usage object says, in our terms. */
export interface NormalisedUsage {
  readonly usage: Usage
  /** Fields that we do not know; they travel on to the client. Undefined when there are none. */
  readonly extra?: JsonObject
}

/** Read here, or telling what the upstream takes from us, which is no business of the client. */
const CONSUMED = new Set([
  ...['prompt_tokens', 'completion_tokens', 'total_tokens', 'prompt_cache_hit_tokens', 'prompt_cache_miss_tokens'],
  ...['prompt_tokens_details', 'completion_tokens_details', 'reasoning_tokens'],
  ...['estimated_cost', 'cost', 'cost_details', 'is_byok', 'notice'],
])
const PROMPT_DETAILS_CONSUMED = new Set(['cached_tokens', 'cache_write_tokens'])
const COMPLETION_DETAILS_CONSUMED = new Set(['reasoning_tokens'])

/**
 * Reads the `usage` object of an upstream that speaks OpenAI's wire, in every form that is in use:
 *
 * - cached input as `prompt_tokens_details.cached_tokens` (OpenAI, vLLM, SGLang, llama-server) or as
 *   `prompt_cache_hit_tokens` (DeepSeek); an explicit 0 is a report, a missing field is *absent*;
 * - reasoning as `completion_tokens_details.reasoning_tokens` (OpenAI), or beside the totals (SGLang);
 * - counts written as floats are cut to whole tokens; null, negative or other values are *absent*;
 * - cached tokens above the input are clamped to it, written ones to what is left, reasoning to the output; where
 *   reasoning exceeds the output and `total_tokens` shows that it was left out, it is added.
 *
 * Undefined when `raw` is no usage object or says nothing about input and output.
 */
export function normaliseOpenAiUsage(raw: unknown): NormalisedUsage | undefined {
  if (!isObject(raw)) return undefined
  const promptDetails = isObject(raw.prompt_tokens_details) ? raw.prompt_tokens_details : undefined
  const completionDetails = isObject(raw.completion_tokens_details) ? raw.completion_tokens_details : undefined
  const hit = count(raw.prompt_cache_hit_tokens)
  const miss = count(raw.prompt_cache_miss_tokens)
  const input = count(raw.prompt_tokens) ?? (hit !== undefined && miss !== undefined ? hit + miss : undefined)
  let output = count(raw.completion_tokens)
  if (input === undefined && output === undefined) return undefined
  const cached = count(promptDetails?.cached_tokens) ?? hit
  const written = count(promptDetails?.cache_write_tokens)
  const reasoning = count(completionDetails?.reasoning_tokens) ?? count(raw.reasoning_tokens)
  if (reasoning !== undefined && output !== undefined && reasoning > output) {
    if (count(raw.total_tokens) === (input ?? 0) + output + reasoning) output += reasoning
  }
  const cachedClamped = clamp(cached, input)
  const usage: Usage = {
    inputTokens: input ?? 0,
    inputSource: source(input),
    cachedInputTokens: cachedClamped,
    cachedInputSource: source(cached),
    cacheWriteTokens: clamp(written, (input ?? 0) - cachedClamped),
    cacheWriteSource: source(written),
    outputTokens: output ?? 0,
    outputSource: source(output),
    reasoningTokens: clamp(reasoning, output),
    reasoningSource: source(reasoning),
  }
  return { usage, extra: unknownFields(raw, promptDetails, completionDetails) }
}

/** A whole, non-negative number of tokens, or undefined. */
function count(value: unknown): number | undefined {
  if (typeof value !== 'number' || !(value >= 0) || value > TOKENS_MAX) return undefined
  return Math.trunc(value)
}

function clamp(value: number | undefined, most: number | undefined): number {
  return Math.min(value ?? 0, most ?? 0)
}

function source(value: number | undefined): CountSource {
  return value === undefined ? 'absent' : 'reported'
}

function unknownFields(
  raw: JsonObject,
  promptDetails?: JsonObject,
  completionDetails?: JsonObject,
): JsonObject | undefined {
  const extra = pickUnknown(raw, CONSUMED) ?? {}
  const prompt = promptDetails && pickUnknown(promptDetails, PROMPT_DETAILS_CONSUMED)
  const completion = completionDetails && pickUnknown(completionDetails, COMPLETION_DETAILS_CONSUMED)
  if (prompt !== undefined) extra.prompt_tokens_details = prompt
  if (completion !== undefined) extra.completion_tokens_details = completion
  return Object.keys(extra).length > 0 ? extra : undefined
}

function pickUnknown(from: JsonObject, consumed: ReadonlySet<string>): JsonObject | undefined {
  let picked: JsonObject | undefined
  for (const [key, value] of Object.entries(from)) {
    if (consumed.has(key) || value === null) continue
    picked ??= {}
    picked[key] = value
  }
  return picked
}
