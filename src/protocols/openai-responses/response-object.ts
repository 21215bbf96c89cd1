import type { ApiError } from '../../errors.ts'
import type { JsonObject } from '../../inference/request.ts'
import type { AnswerTotals } from '../protocol.ts'
import type { ResponsesRequest } from './decode.ts'
import { responsesUsage } from './usage.ts'

/** How far a response is. */
export type ResponseStatus = 'queued' | 'in_progress' | 'completed' | 'incomplete' | 'failed' | 'cancelled'

/** What a response says beside what was asked. */
export interface ResponseState {
  readonly status: ResponseStatus
  readonly output: readonly JsonObject[]
  readonly incompleteReason?: 'max_output_tokens' | 'content_filter'
  readonly totals?: AnswerTotals
}

/** The response object of a request; every field is there, as OpenAI's is. */
export function responseObject(
  { id: requestId, responses, serviceTier }: ResponsesRequest,
  model: string,
  createdS: number,
  { status, output, incompleteReason, totals }: ResponseState,
): JsonObject {
  const { body, store } = responses
  const text = (body.text ?? {}) as JsonObject
  const reasoning = (body.reasoning ?? {}) as JsonObject
  const tier = totals?.serviceTier
  return {
    id: responseId(requestId),
    object: 'response',
    created_at: createdS,
    status,
    background: body.background === true,
    completed_at: totals?.completedMs === undefined ? null : Math.floor(totals.completedMs / 1000),
    error: null,
    incomplete_details: incompleteReason === undefined ? null : { reason: incompleteReason },
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    max_tool_calls: body.max_tool_calls ?? null,
    model,
    output,
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: body.previous_response_id ?? null,
    prompt_cache_key: body.prompt_cache_key ?? null,
    reasoning: { effort: reasoning.effort ?? null, summary: reasoning.summary ?? null },
    safety_identifier: body.safety_identifier ?? null,
    service_tier: tier === undefined ? (serviceTier ?? 'default') : tier === 'standard' ? 'default' : tier,
    store,
    temperature: body.temperature ?? null,
    text: { format: text.format ?? { type: 'text' }, verbosity: text.verbosity ?? 'medium' },
    tool_choice: body.tool_choice ?? 'auto',
    tools: body.tools ?? [],
    top_logprobs: body.top_logprobs ?? 0,
    top_p: body.top_p ?? null,
    truncation: body.truncation ?? 'disabled',
    usage: totals === undefined ? null : responsesUsage(totals),
    user: body.user ?? null,
    metadata: body.metadata ?? {},
  }
}

/** The id of the response to a request. */
export function responseId(requestId: string): string {
  return `resp_${requestId.replace(/^[a-z]+_/, '')}`
}

/** The response once it has failed. */
export function failedResponse(response: JsonObject, error: ApiError): JsonObject {
  return { ...response, status: 'failed', error: { code: failureCode(error), message: error.message } }
}

// Codes that clients know here: they tell whether to try again, wait, shorten or pay. Ours are in the frame before.
function failureCode({ code, status }: ApiError): string {
  if (status === 402) return 'insufficient_quota'
  if (status === 429) return 'rate_limit_exceeded'
  return status >= 500 ? 'server_error' : code
}
