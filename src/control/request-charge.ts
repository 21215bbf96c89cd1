import type { Settlement } from '../ledger/journal.ts'
import { nanodollarsToDecimal } from '../wire/decimal.ts'

/** Finds the settlement of a request. */
export interface SettlementReader {
  usageByRequest(requestId: string): Promise<Settlement | null>
}

/** A request that has not ended. */
export interface RunningCharge {
  readonly heldNanodollars: bigint
  readonly outputTokens: number
}

/**
 * What a client is told of a request of its own (`GET /v1/usage/{request}`), whichever way it ended; undefined when the org made
 * no such request, so that nobody learns of another's. Dollars are decimal strings, exact to the nanodollar.
 */
export async function requestCharge(
  store: SettlementReader,
  orgId: string,
  requestId: string,
  running: RunningCharge | undefined,
): Promise<object | undefined> {
  if (running !== undefined) {
    return {
      object: 'request_usage',
      id: requestId,
      status: 'running',
      held: nanodollarsToDecimal(running.heldNanodollars),
      output_tokens_so_far: running.outputTokens,
    }
  }
  const settlement = await store.usageByRequest(requestId)
  if (settlement === null || settlement.orgId !== orgId) return undefined
  const { usage } = settlement
  return {
    object: 'request_usage',
    id: requestId,
    status: 'settled',
    ending: settlement.ending,
    model: settlement.modelId,
    stream: settlement.stream,
    upstream: settlement.upstreamId,
    attempts: settlement.attempts,
    created: Math.floor(settlement.admittedMs / 1000),
    usage: {
      prompt_tokens: usage.inputTokens,
      completion_tokens: usage.outputTokens,
      total_tokens: usage.inputTokens + usage.outputTokens,
      prompt_tokens_details: { cached_tokens: usage.cachedInputTokens },
      completion_tokens_details: { reasoning_tokens: usage.reasoningTokens },
      ...(usage.searchUnits !== undefined && { search_units: usage.searchUnits }),
    },
    sources: {
      prompt_tokens: usage.inputSource,
      cached_tokens: usage.cachedInputSource,
      completion_tokens: usage.outputSource,
      reasoning_tokens: usage.reasoningSource,
    },
    charge: nanodollarsToDecimal(settlement.chargeNanodollars),
    currency: 'USD',
    price: settlement.priceId,
    time_to_first_token_ms: settlement.ttftMs,
    duration_ms: settlement.durationMs,
  }
}
