import { EACH_END_USER, type LimitRule } from '../inference/limit-rule.ts'
import type { InferenceRequest } from '../inference/request.ts'
import type { LimitedRequest } from '../ledger/books.ts'
import { counterOf, type Limit } from '../ledger/limit-counter.ts'
import type { Quote } from './quote.ts'

/** Bytes of text that make a token, about: limits on tokens go by this guess until the exact numbers are settled. */
const BYTES_PER_TOKEN = 4
/** Output of a request that does not say how much it wants, about. */
const OUTPUT_TOKENS_GUESS = 256

/**
 * The limits that a request comes under, of the rules of its key, with a guess at its tokens; undefined when there are none. A rule that
 * each end user has for itself applies to requests that name one.
 */
export function limitsOf(
  rules: readonly LimitRule[],
  request: InferenceRequest,
  modelId: string,
  quote: Quote,
): LimitedRequest | undefined {
  const limits: Limit[] = []
  for (const rule of rules) {
    if (rule.modelId !== null && rule.modelId !== modelId) continue
    if (rule.endUserId === null) limits.push(rule)
    else if (request.endUserId === undefined) continue
    else if (rule.endUserId === EACH_END_USER) limits.push({ ...rule, id: counterOf(rule.id, request.endUserId) })
    else if (rule.endUserId === request.endUserId) limits.push(rule)
  }
  if (limits.length === 0) return undefined
  const wanted = request.outputTokensMax === undefined ? OUTPUT_TOKENS_GUESS : quote.outputTokensMax
  return {
    limits,
    atMs: quote.admittedMs,
    inputTokens: Math.ceil(quote.inputTokensBound / BYTES_PER_TOKEN),
    outputTokens: Math.min(wanted, quote.firstTrancheTokens) * quote.choices,
  }
}
