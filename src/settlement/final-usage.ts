import { inputTexts } from '../inference/input-texts.ts'
import type { InferenceRequest } from '../inference/request.ts'
import type { Usage } from '../inference/usage.ts'

/** What we saw pass while relaying. */
export interface Observed {
  /** Output tokens counted by us, over all choices. */
  readonly outputTokens: number
  /** Exact input tokens when the upstream told them at its start; else undefined. */
  readonly inputTokens?: number
  /** Lower bound of the input tokens, asked for only when the upstream says nothing at all. */
  readonly inputTokensLower: () => number
  /** Search units of the request. */
  readonly searchUnits?: number
}

/**
 * The usage that is settled: what the upstream reported, completed by our own counts, marked *counted*, where it was silent.
 * Cached input that was not reported stays absent, so all input is priced uncached.
 */
export function finalUsage(reported: Usage, observed: Observed): Usage {
  const input =
    reported.inputSource !== 'absent'
      ? { inputTokens: reported.inputTokens, inputSource: reported.inputSource }
      : observed.inputTokens !== undefined
        ? { inputTokens: observed.inputTokens, inputSource: 'reported' as const }
        : { inputTokens: observed.inputTokensLower(), inputSource: 'counted' as const }
  const output =
    reported.outputSource !== 'absent'
      ? { outputTokens: reported.outputTokens, outputSource: reported.outputSource }
      : { outputTokens: observed.outputTokens, outputSource: 'counted' as const }
  return {
    ...reported,
    ...input,
    cachedInputTokens: Math.min(reported.cachedInputTokens, input.inputTokens),
    cacheWriteTokens: Math.min(reported.cacheWriteTokens, input.inputTokens),
    ...output,
    reasoningTokens: Math.min(reported.reasoningTokens, output.outputTokens),
    ...(observed.searchUnits && { searchUnits: observed.searchUnits }),
  }
}

/** Bytes of text per token that no usual tokenizer exceeds on prose or code; fewer tokens than this the input cannot well be. */
const BYTES_PER_TOKEN_MOST = 8

/**
 * A lower bound of a request's input tokens from the bytes of its texts, for an upstream that reports nothing: an error in
 * it is the operator's loss, never the customer's.
 */
export function inputTokensLower(request: InferenceRequest): number {
  const { texts, tokenIds } = inputTexts(request.input)
  return texts.reduce((sum, text) => sum + tokensLower(text), tokenIds)
}

function tokensLower(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / BYTES_PER_TOKEN_MOST) + 1
}
