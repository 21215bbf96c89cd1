import type { InferenceRequest } from '../inference/request.ts'
import type { Usage } from '../inference/usage.ts'
import type { Ending } from '../ledger/journal.ts'
import { finalUsage, inputTokensLower } from '../settlement/final-usage.ts'
import type { Relay } from './relay.ts'
import type { Run } from './run.ts'

/** What the upstream did, as far as is known. */
export function usageOf({ request, relay, ticket }: Run, countedInput: number | undefined): Usage {
  const { searchUnits } = ticket.quote
  return finalUsage(relay.usage, {
    outputTokens: relay.outputTokens,
    inputTokens: relay.inputTokens,
    inputTokensLower: () => countedInput ?? (relay.prefillBegan ? inputTokensLower(request) : 0),
    searchUnits,
  })
}

/** The part of it that is the customer's. */
export function relayedUsage(usage: Usage, relay: Relay, ending: Ending): Usage {
  // Stopped for want of money, or broken off: the customer has what was relayed, and what the upstream did beyond is not theirs.
  if ((ending !== 'exhausted' && ending !== 'failed') || usage.outputTokens <= relay.outputTokens) return usage
  return {
    ...usage,
    outputTokens: relay.outputTokens,
    outputSource: 'counted',
    reasoningTokens: Math.min(usage.reasoningTokens, relay.outputTokens),
  }
}

/**
 * Whether a generation was empty, and is free: it was asked for at least one token, produced none, and was not ended by the client's own
 * stop, bias, grammar or limit.
 */
export function isEmpty(request: InferenceRequest, relay: Relay, ending: Ending): boolean {
  if (ending !== 'completed' || relay.outputBegan || request.outputTokensMax === 0) return false
  const { sampling, input } = request
  if (sampling.stop.length > 0 || sampling.logitBias !== undefined) return false
  if (input.kind === 'chat') return input.responseFormat.type === 'text' && input.tools.length === 0
  return input.kind === 'text' && !input.echo
}
