import type { JsonObject } from '../../../inference/request.ts'
import { isObject } from '../../../wire/json-object.ts'
import { readCount } from '../../usage/read-count.ts'
import { unknownFields } from '../../usage/unknown-fields.ts'
import type { UsageReport, UsageWire } from '../../usage/usage-report.ts'
import { readUpstreamCost, UPSTREAM_COST_FIELDS } from './upstream-cost.ts'

const CONSUMED = new Set([
  ...['input_tokens', 'output_tokens', 'total_tokens', 'input_tokens_details', 'output_tokens_details'],
  ...UPSTREAM_COST_FIELDS,
])
const INPUT_DETAILS_CONSUMED = new Set(['cached_tokens', 'cache_write_tokens'])
const OUTPUT_DETAILS_CONSUMED = new Set(['reasoning_tokens'])

/**
 * Usage of the Responses API: inclusive counts under other names than in chat. It stands in the response object of every
 * event that ends a stream, `response.completed`, `response.incomplete` and `response.failed` alike, and is null in the
 * earlier ones and where generation never began.
 */
export const openAiResponses: UsageWire = {
  read(raw: unknown): UsageReport | undefined {
    if (!isObject(raw)) return undefined
    const inputDetails = isObject(raw.input_tokens_details) ? raw.input_tokens_details : undefined
    const outputDetails = isObject(raw.output_tokens_details) ? raw.output_tokens_details : undefined
    const input = readCount(raw.input_tokens)
    const output = readCount(raw.output_tokens)
    const costNanodollars = readUpstreamCost(raw)
    if (input === undefined && output === undefined && costNanodollars === undefined) return undefined
    const extra = unknownFields(raw, CONSUMED) ?? {}
    const inputExtra = unknownFields(inputDetails, INPUT_DETAILS_CONSUMED)
    const outputExtra = unknownFields(outputDetails, OUTPUT_DETAILS_CONSUMED)
    if (inputExtra !== undefined) extra.input_tokens_details = inputExtra
    if (outputExtra !== undefined) extra.output_tokens_details = outputExtra
    return {
      claims: {
        input,
        cached: readCount(inputDetails?.cached_tokens),
        written: readCount(inputDetails?.cache_write_tokens),
        output,
        reasoning: readCount(outputDetails?.reasoning_tokens),
        total: readCount(raw.total_tokens),
      },
      extra: Object.keys(extra).length > 0 ? extra : undefined,
      costNanodollars,
    }
  },
  reportIn(frame: JsonObject): UsageReport | undefined {
    if (!isObject(frame.response)) return frame.usage === undefined ? undefined : openAiResponses.read(frame.usage)
    const report = openAiResponses.read(frame.response.usage)
    const { status } = frame.response
    return report && { ...report, goesOn: status === 'in_progress' || status === 'queued' }
  },
}
