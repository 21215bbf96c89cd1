import type { JsonObject } from '../../inference/request.ts'
import type { AnswerTotals } from '../protocol.ts'
import { usageJson } from '../usage-json.ts'

/**
 * The `usage` object of a response: chat's, whose counts have other names here. The charge and fields of the upstream's own stay under
 * theirs.
 */
export function responsesUsage(totals: AnswerTotals): JsonObject {
  const {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: total,
    prompt_tokens_details: inputDetails,
    completion_tokens_details: outputDetails,
    prompt_cache_hit_tokens: _,
    prompt_cache_miss_tokens: __,
    ...rest
  } = JSON.parse(usageJson(totals))
  return {
    input_tokens: input,
    input_tokens_details: inputDetails,
    output_tokens: output,
    output_tokens_details: outputDetails,
    total_tokens: total,
    ...rest,
  }
}
