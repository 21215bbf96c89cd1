import { nanodollarsToDecimal } from '../../wire/decimal.ts'
import type { AnswerTotals } from '../protocol.ts'

/** `"request_id":...,"inference_status":{...}` of an answer that succeeded; `cost` in dollars, exact. */
export function statusJson(requestId: string, totals: AnswerTotals): string {
  const { usage, chargeNanodollars, durationMs = 0 } = totals
  return (
    `"request_id":${JSON.stringify(requestId)},"inference_status":{"status":"succeeded","runtime_ms":${Math.round(durationMs)}` +
    `,"cost":${nanodollarsToDecimal(chargeNanodollars)},"tokens_generated":${usage.outputTokens},"tokens_input":${usage.inputTokens}}`
  )
}

/** The answer to a request whose result is sent later. */
export function queuedBody(requestId: string): object {
  return {
    request_id: requestId,
    inference_status: { status: 'queued', runtime_ms: 0, cost: 0, tokens_generated: 0, tokens_input: 0 },
  }
}

/** The result of a request that failed, for a webhook; what was charged, if anything, is in the usage of the request. */
export function failedBody(requestId: string, error: { readonly code: string; readonly message: string }): object {
  return {
    request_id: requestId,
    inference_status: { status: 'failed', runtime_ms: 0, cost: 0, tokens_generated: 0, tokens_input: 0 },
    error: error.message,
    code: error.code,
  }
}
