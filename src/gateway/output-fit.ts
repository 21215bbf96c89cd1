import type { Quote } from '../admission/quote.ts'
import type { InferenceRequest } from '../inference/request.ts'
import { inputTokensLower } from '../settlement/final-usage.ts'

/** Less output than this is not worth being sure of: then the upstream's own limit is better. */
const OUTPUT_TOKENS_WORTH = 1024

/**
 * What to ask a remote upstream for when the output the client wants cannot fit beside its chat, as with the agents that
 * always send `max_tokens: 32000` and that vLLM would refuse: the output that surely fits, or null to name no limit, so that
 * the upstream's own, the context left, applies. Undefined when the wish may fit, and has to be passed on as it is.
 */
export function outputTokensFit(request: InferenceRequest, quote: Quote): number | null | undefined {
  if (request.input.kind !== 'chat' || request.outputTokensMax === undefined) return undefined
  if (inputTokensLower(request) + quote.outputTokensMax <= quote.model.contextTokens) return undefined
  const surelyFits = quote.model.contextTokens - quote.inputTokensBound
  return surelyFits >= OUTPUT_TOKENS_WORTH ? surelyFits : null
}
