import type { JsonObject } from '../../../inference/request.ts'
import { isObject } from '../../../wire/json-object.ts'
import { readCount } from '../../usage/read-count.ts'
import { unknownFields } from '../../usage/unknown-fields.ts'
import type { UsageReport, UsageWire } from '../../usage/usage-report.ts'

/** `cache_creation`, the split of written tokens by how long they are kept, is not among them: it travels on. */
const CONSUMED = new Set([
  ...['input_tokens', 'output_tokens', 'cache_read_input_tokens', 'cache_creation_input_tokens'],
  'output_tokens_details',
])
const OUTPUT_DETAILS_CONSUMED = new Set(['thinking_tokens'])

/**
 * Usage of the Messages API. `input_tokens` is what was neither read from nor written to the cache, so the input is the sum
 * of the three; written tokens are one number, or one for each time of keeping (`cache_creation`).
 *
 * A stream tells it twice: `message_start` the input, with an `output_tokens` that is a place-holder (1, or 0) and no count;
 * `message_delta` the output, and with it, in servers that count at the end, all of the input again. Where nothing is said
 * about a cache, `input_tokens` is taken as the whole.
 */
export const anthropicMessages: UsageWire = {
  read(raw: unknown): UsageReport | undefined {
    if (!isObject(raw)) return undefined
    const fresh = readCount(raw.input_tokens)
    const cached = readCount(raw.cache_read_input_tokens)
    const written = readCount(raw.cache_creation_input_tokens) ?? writtenInParts(raw.cache_creation)
    const output = readCount(raw.output_tokens)
    const details = isObject(raw.output_tokens_details) ? raw.output_tokens_details : undefined
    const reasoning = readCount(details?.thinking_tokens)
    const apart = cached !== undefined || written !== undefined
    if (fresh === undefined && output === undefined && !apart) return undefined
    const extra = unknownFields(raw, CONSUMED)
    const detailsExtra = unknownFields(details, OUTPUT_DETAILS_CONSUMED)
    return {
      claims: { ...(apart ? { uncached: fresh } : { input: fresh }), cached, written, output, reasoning },
      extra: detailsExtra === undefined ? extra : { ...extra, output_tokens_details: detailsExtra },
    }
  },
  reportIn(frame: JsonObject): UsageReport | undefined {
    if (frame.usage !== undefined) return anthropicMessages.read(frame.usage)
    if (!isObject(frame.message)) return undefined
    const start = anthropicMessages.read(frame.message.usage)
    return start && { ...start, claims: { ...start.claims, output: undefined, reasoning: undefined }, goesOn: true }
  },
}

function writtenInParts(split: unknown): number | undefined {
  if (!isObject(split)) return undefined
  const short = readCount(split.ephemeral_5m_input_tokens)
  const long = readCount(split.ephemeral_1h_input_tokens)
  return short === undefined && long === undefined ? undefined : (short ?? 0) + (long ?? 0)
}
