import type { JsonObject } from '../../../inference/request.ts'
import { isObject } from '../../../wire/json-object.ts'
import { mergeClaims } from '../../usage/claims.ts'
import { largest, readCount } from '../../usage/read-count.ts'
import { unknownFields } from '../../usage/unknown-fields.ts'
import type { UsageReport, UsageWire } from '../../usage/usage-report.ts'
import { llamaTimings } from '../llama-server/timings-usage.ts'
import { readUpstreamCost, UPSTREAM_COST_FIELDS } from './upstream-cost.ts'

/** Read here, ours to write (`notice`), or no business of the client. */
const CONSUMED = new Set([
  ...['prompt_tokens', 'completion_tokens', 'total_tokens', 'prompt_tokens_details', 'completion_tokens_details'],
  ...['prompt_cache_hit_tokens', 'prompt_cache_miss_tokens', 'cached_tokens', 'reasoning_tokens'],
  ...['cache_read_input_tokens', 'cache_creation_input_tokens', 'notice'],
  ...UPSTREAM_COST_FIELDS,
])
const PROMPT_DETAILS_CONSUMED = new Set(['cached_tokens', 'cache_write_tokens', 'cache_creation_tokens'])
const COMPLETION_DETAILS_CONSUMED = new Set(['reasoning_tokens'])

/**
 * Usage of OpenAI's chat and text completions in every form that is in use; counts are inclusive. Told by its fields:
 *
 * - cached input: `prompt_tokens_details.cached_tokens` (OpenAI, vLLM and SGLang when told to, llama-server, most others),
 *   `prompt_cache_hit_tokens` (DeepSeek), `cached_tokens` (Moonshot), `cache_read_input_tokens` (LiteLLM). Where a server
 *   fills in several the largest counts: it was measured, the zero beside it is what an empty structure prints;
 * - written input: `prompt_tokens_details.cache_write_tokens` (OpenAI, OpenRouter, DeepInfra), `.cache_creation_tokens` or
 *   `cache_creation_input_tokens` (LiteLLM);
 * - input without `prompt_tokens`: hit and miss together (DeepSeek);
 * - reasoning: `completion_tokens_details.reasoning_tokens`, or beside the totals (SGLang);
 * - `timings` beside the usage, or instead of it (llama-server);
 * - cost: see `readUpstreamCost`.
 */
export const openAiChat: UsageWire = {
  read(raw: unknown): UsageReport | undefined {
    if (!isObject(raw)) return undefined
    const promptDetails = isObject(raw.prompt_tokens_details) ? raw.prompt_tokens_details : undefined
    const completionDetails = isObject(raw.completion_tokens_details) ? raw.completion_tokens_details : undefined
    const hit = readCount(raw.prompt_cache_hit_tokens)
    const miss = readCount(raw.prompt_cache_miss_tokens)
    const input = readCount(raw.prompt_tokens) ?? (hit !== undefined && miss !== undefined ? hit + miss : undefined)
    const output = readCount(raw.completion_tokens)
    const costNanodollars = readUpstreamCost(raw)
    if (input === undefined && output === undefined && costNanodollars === undefined) return undefined
    return {
      claims: {
        input,
        cached: largest(
          readCount(promptDetails?.cached_tokens),
          hit,
          readCount(raw.cached_tokens),
          readCount(raw.cache_read_input_tokens),
        ),
        written: largest(
          readCount(promptDetails?.cache_write_tokens),
          readCount(promptDetails?.cache_creation_tokens),
          readCount(raw.cache_creation_input_tokens),
        ),
        output,
        reasoning: largest(readCount(completionDetails?.reasoning_tokens), readCount(raw.reasoning_tokens)),
        total: readCount(raw.total_tokens),
      },
      extra: extraOf(raw, promptDetails, completionDetails),
      costNanodollars,
    }
  },
  reportIn(frame: JsonObject): UsageReport | undefined {
    const raw = usageObjectIn(frame)
    if (raw === undefined && frame.timings === undefined) return undefined
    const timings = llamaTimings.reportIn(frame)
    const report = openAiChat.read(raw) ?? timings
    if (report === undefined) return undefined
    const claims = timings === undefined ? report.claims : mergeClaims(timings.claims, report.claims)
    return { ...report, claims, goesOn: goesOn(frame.choices) }
  },
}

/** The usage object of a chunk, wherever it stands: in the chunk, or in a choice (Moonshot). Undefined when there is none. */
export function usageObjectIn(chunk: JsonObject): unknown {
  if (chunk.usage !== undefined && chunk.usage !== null) return chunk.usage
  if (!Array.isArray(chunk.choices)) return undefined
  for (const choice of chunk.choices) {
    if (isObject(choice) && choice.usage !== undefined && choice.usage !== null) return choice.usage
  }
  return undefined
}

/** Whether a chunk has choices that it does not finish. */
function goesOn(choices: unknown): boolean {
  if (!Array.isArray(choices)) return false
  return choices.some(choice => isObject(choice) && typeof choice.finish_reason !== 'string')
}

function extraOf(raw: JsonObject, prompt?: JsonObject, completion?: JsonObject): JsonObject | undefined {
  const extra = unknownFields(raw, CONSUMED) ?? {}
  const promptExtra = unknownFields(prompt, PROMPT_DETAILS_CONSUMED)
  const completionExtra = unknownFields(completion, COMPLETION_DETAILS_CONSUMED)
  if (promptExtra !== undefined) extra.prompt_tokens_details = promptExtra
  if (completionExtra !== undefined) extra.completion_tokens_details = completionExtra
  return Object.keys(extra).length > 0 ? extra : undefined
}
