import type { InferenceRequest } from '../inference/request.ts'
import type { Model, Price } from '../inference/snapshot.ts'
import { picodollarsToNanodollarsUp } from '../ledger/money.ts'

/** Output is never bounded below this many tokens per choice, or what was asked if less: rather refuse with 402. */
const OUTPUT_TOKENS_FLOOR = 1024

/** The most a request can cost, computed before it runs. */
export interface Quote {
  readonly price: Price
  /** Choices in all: `n` times the prompts. */
  readonly choices: number
  /** Upper bound of the input tokens over all prompts. */
  readonly inputTokensBound: number
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
export function quote(
  request: InferenceRequest,
  model: Model,
  price: Price,
  stoppable: boolean,
  inputTokens?: number,
): Quote {
  const prompts = request.input.kind === 'text' ? request.input.prompts.length : 1
  const outputTokensMax = Math.min(request.outputTokensMax ?? model.outputTokensMax, model.outputTokensMax)
  const firstTrancheTokens = stoppable ? Math.min(outputTokensMax, model.trancheTokens) : outputTokensMax
  return {
    price,
    choices: request.n * prompts,
    inputTokensBound: inputTokens ?? Math.min(request.inputTokensBound, model.contextTokens * prompts),
    outputTokensMax,
    firstTrancheTokens,
    floorTrancheTokens: Math.min(firstTrancheTokens, stoppable ? OUTPUT_TOKENS_FLOOR : outputTokensMax),
  }
}

/** What must be held so that the input and `outputTokens` over all choices are covered, nanodollars, rounded up. */
export function holdFor(price: Price, inputTokens: number, outputTokens: number): bigint {
  // Nothing forbids a cached price above the input price; the hold covers the dearer.
  const input =
    price.cachedInputPicodollars > price.inputPicodollars ? price.cachedInputPicodollars : price.inputPicodollars
  return picodollarsToNanodollarsUp(
    BigInt(inputTokens) * input + BigInt(outputTokens) * price.outputPicodollars + price.requestPicodollars,
  )
}
