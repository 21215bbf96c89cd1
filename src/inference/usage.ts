/**
 * Where a token count came from. `absent` is never the same as zero: an absent count is priced
 * as the dearer class (an absent cached count means that all input is charged uncached).
 */
export type CountSource = 'reported' | 'counted' | 'absent'

/**
 * Token counts of one request, summed over its choices. `inputTokens` contains `cachedInputTokens`
 * and `cacheWriteTokens`; `outputTokens` contains `reasoningTokens` (codecs of protocols whose counts
 * are disjoint convert at the edge). All counts are non-negative integers; where the source is
 * `absent` the count is 0.
 */
export interface Usage {
  readonly inputTokens: number
  readonly inputSource: CountSource
  readonly cachedInputTokens: number
  readonly cachedInputSource: CountSource
  readonly cacheWriteTokens: number
  readonly cacheWriteSource: CountSource
  readonly outputTokens: number
  readonly outputSource: CountSource
  readonly reasoningTokens: number
  readonly reasoningSource: CountSource
  /** Search units of a rerank, counted by us from the request (`searchUnitsOf`); absent: none. */
  readonly searchUnits?: number
}

/** Nothing known yet: every count absent. */
export const USAGE_ABSENT: Usage = Object.freeze({
  inputTokens: 0,
  inputSource: 'absent',
  cachedInputTokens: 0,
  cachedInputSource: 'absent',
  cacheWriteTokens: 0,
  cacheWriteSource: 'absent',
  outputTokens: 0,
  outputSource: 'absent',
  reasoningTokens: 0,
  reasoningSource: 'absent',
})
