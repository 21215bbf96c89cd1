import type { FinishReason } from '../../inference/event.ts'
import type { JsonObject } from '../../inference/request.ts'
import { nanodollarsToDecimal } from '../../wire/decimal.ts'
import { isObject } from '../../wire/json-object.ts'
import type { AnswerTotals } from '../protocol.ts'

/** What stays the same in an answer, whoever writes it. */
export interface MessageHead {
  /** `msg_` and the id of the request. */
  readonly id: string
  readonly requestId: string
  readonly model: string
  /** The sequences that the request may be stopped by. */
  readonly stopSequences: readonly string[]
}

/** How a message ended, as its client is told. */
export interface Stop {
  readonly stop_reason: 'end_turn' | 'max_tokens' | 'stop_sequence' | 'tool_use' | 'refusal'
  readonly stop_sequence: string | null
}

const STOP_REASONS = {
  stop: 'end_turn',
  length: 'max_tokens',
  tool_calls: 'tool_use',
  content_filter: 'refusal',
} as const

/** The end of a message. A sequence that is not the client's own (an end mark of the model) is none of its business. */
export function stopOf(head: MessageHead, reason: FinishReason, sequence: string | undefined): Stop {
  if (reason === 'stop' && sequence !== undefined && head.stopSequences.includes(sequence))
    return { stop_reason: 'stop_sequence', stop_sequence: sequence }
  return { stop_reason: STOP_REASONS[reason], stop_sequence: null }
}

/** The id of an answer: the request's own under the prefix that clients know. */
export function messageId(requestId: string): string {
  return `msg_${requestId.startsWith('req_') ? requestId.slice(4) : requestId}`
}

/** Ids for tool calls whose upstream gives none; unique because the answer's id is. */
export function toolUseId(head: MessageHead, call: number): string {
  return `toolu_${head.id.slice(4)}_${call}`
}

/** Fields of version 2026-10-21 that have nothing to say here; older clients skip them. */
export const MESSAGE_NULLS = '"container":null,"diagnostics":null,"stop_details":null'

const OUR_FIELDS = new Set([
  ...['input_tokens', 'output_tokens', 'cache_read_input_tokens', 'cache_creation_input_tokens', 'cache_creation'],
  ...['output_tokens_details', 'server_tool_use', 'service_tier', 'estimated_cost', 'notice'],
])

/** Usage before anything is known: the counts follow in `message_delta`, whose values replace these. */
export const USAGE_AT_START =
  '{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0,"service_tier":null}'

/**
 * The `usage` object, as JSON text. Its three input counts are disjoint: `input_tokens` is what was neither read from nor written to a
 * cache. Counts that are absent are 0. `estimated_cost` (dollars, exact) and `notice` are ours, as on the other wires.
 */
export function messageUsageJson({ usage, usageExtra, chargeNanodollars, serviceTier, notice }: AnswerTotals): string {
  const { cachedInputTokens: read, cacheWriteTokens: written, inputTokens } = usage
  const split = isObject(usageExtra?.cache_creation)
    ? usageExtra.cache_creation
    : { ephemeral_5m_input_tokens: written, ephemeral_1h_input_tokens: 0 }
  const rest: JsonObject = {}
  for (const [key, value] of Object.entries(usageExtra ?? {})) if (!OUR_FIELDS.has(key)) rest[key] = value
  const fields = JSON.stringify({
    input_tokens: Math.max(0, inputTokens - read - written),
    cache_creation_input_tokens: written,
    cache_read_input_tokens: read,
    cache_creation: split,
    output_tokens: usage.outputTokens,
    output_tokens_details: { thinking_tokens: usage.reasoningTokens },
    server_tool_use: null,
    service_tier: serviceTier ?? null,
    ...(notice !== undefined && { notice }),
    ...rest,
  })
  // Written by hand: a number of JavaScript's may round it.
  return `${fields.slice(0, -1)},"estimated_cost":${nanodollarsToDecimal(chargeNanodollars)}}`
}
