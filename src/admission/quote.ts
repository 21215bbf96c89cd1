import type { GenerationInput, InferenceRequest } from '../inference/request.ts'
import { searchUnitsOf } from '../inference/search-units.ts'
import { type Ceiling, ceilingOf } from '../pricing/ceiling.ts'
import type { Offer } from './offers.ts'

/** Output is never bounded below this many tokens per choice, or what was asked if less: rather refuse with 402. */
const OUTPUT_TOKENS_FLOOR = 1024

/** The most a request can cost, computed before it runs. */
export interface Quote extends Offer {
  /** The dearest that the sale can turn out to be, for inputs up to the bound. */
  readonly ceiling: Ceiling
  /** Choices in all: `n` times the prompts. */
  readonly choices: number
  /** Upper bound of the input tokens over all prompts. */
  readonly inputTokensBound: number
  /** Exact: they are counted from the request. */
  readonly searchUnits: number
  /** Most output tokens per choice: the client's wish within the model's bound. */
  readonly outputTokensMax: number
  /** Output tokens per choice covered by the first hold. */
  readonly firstTrancheTokens: number
  /** The least first tranche worth starting with. */
  readonly floorTrancheTokens: number
}

/**
 * Bounds a request. `n` multiplies output only. Input is bounded from the bytes, or exactly by `inputTokens` when the
 * engine counted it, and by the model's context, which no prompt can exceed. An upstream that cannot be stopped needs
 * its whole output covered from the start.
 */
export function quote(request: InferenceRequest, offer: Offer, stoppable: boolean, inputTokens?: number): Quote {
  const { model, price, tier, admittedMs } = offer
  const { input } = request
  const prompts = input.kind === 'text' ? input.prompts.length : 1
  const outputTokensMax = Math.min(request.outputTokensMax ?? model.outputTokensMax, model.outputTokensMax)
  const inputTokensBound = inputTokens ?? Math.min(request.inputTokensBound, model.contextTokens * sequencesOf(input))
  const firstTrancheTokens = stoppable ? Math.min(outputTokensMax, model.trancheTokens) : outputTokensMax
  return {
    ...offer,
    ceiling: ceilingOf(price, admittedMs, inputTokensBound, tier),
    choices: request.n * prompts,
    inputTokensBound,
    searchUnits: searchUnitsOf(input),
    outputTokensMax,
    firstTrancheTokens,
    floorTrancheTokens: Math.min(firstTrancheTokens, stoppable ? OUTPUT_TOKENS_FLOOR : outputTokensMax),
  }
}

/** How often the model reads: each prompt, input or document fills a context of its own. */
function sequencesOf(input: GenerationInput): number {
  switch (input.kind) {
    case 'chat':
      return 1
    case 'text':
      return input.prompts.length
    case 'embed':
      return input.inputs.length
    case 'rerank':
      return input.documents.length
  }
}
