import type { CountSource, Usage } from '../../inference/usage.ts'

/**
 * What an upstream said about tokens, each number checked by `readCount`, none of it reconciled yet. A missing field was
 * not said. Wires differ in names and in what contains what; this is what all of them are read into.
 */
export interface UsageClaims {
  /** All input, cached and written tokens included. */
  readonly input?: number | undefined
  /** Input beside the cached and written tokens, from wires that count the three apart; stands instead of `input`. */
  readonly uncached?: number | undefined
  readonly cached?: number | undefined
  readonly written?: number | undefined
  /** All output, reasoning included. */
  readonly output?: number | undefined
  readonly reasoning?: number | undefined
  /** Input and output together: shows whether a part was left out of its whole. */
  readonly total?: number | undefined
}

/**
 * Takes a later report of the same request over an earlier one. Counts are running totals, so the later one stands, field by
 * field; what it does not say does not take back what was said.
 *
 * A wire that counts cached input apart may leave the cached counts out of a later frame; its input is then still what was
 * not cached. An input that came before anything was said of a cache, though, may contain it, and stays the whole.
 */
export function mergeClaims(earlier: UsageClaims, later: UsageClaims): UsageClaims {
  const apart = earlier.uncached !== undefined && later.input !== undefined ? later.input : later.uncached
  const uncached = apart ?? earlier.uncached
  return {
    input: uncached !== undefined ? undefined : (later.input ?? earlier.input),
    uncached,
    cached: later.cached ?? earlier.cached,
    written: later.written ?? earlier.written,
    output: later.output ?? earlier.output,
    reasoning: later.reasoning ?? earlier.reasoning,
    // It says something about the numbers beside it, and about no others.
    total: later.total,
  }
}

/** Whether these claims name no token at all: what a server writes that has not counted yet, or a count of nothing. */
export function claimNothing(claims: UsageClaims): boolean {
  return !(claims.input || claims.uncached || claims.cached || claims.written || claims.output || claims.reasoning)
}

/**
 * Claims → usage that holds its invariants: whole, non-negative counts; cached and written within input; reasoning within
 * output; 0 where a count is absent. What contradicts itself is settled by arithmetic where that is possible, else in the
 * customer's favour:
 *
 * - where `total` is more than input and output by exactly what was reported as reasoning, or as cached and written, that part
 *   was left out of its whole, and is added (xAI and Gemini leave reasoning out; proxies of wires that count apart, the cache);
 * - cached tokens above the input are clamped to it, written ones to what is left, reasoning to the output;
 * - parts of an input or output that is itself unknown are *absent* too, since they have nothing to be a part of.
 */
export function usageOfClaims(claims: UsageClaims): Usage {
  const { cached, written, reasoning } = claims
  const cache = (cached ?? 0) + (written ?? 0)
  let input = claims.uncached === undefined ? claims.input : claims.uncached + cache
  let output = claims.output
  if (input !== undefined && output !== undefined && claims.total !== undefined) {
    const missing = claims.total - input - output
    const cacheMissing = missing === cache && (cache > input || missing !== reasoning)
    if (missing > 0 && cacheMissing) input += cache
    else if (missing > 0 && missing === reasoning) output += reasoning
    else if (missing > 0 && reasoning !== undefined && missing === cache + reasoning) {
      input += cache
      output += reasoning
    }
  }
  const cachedWithin = within(cached, input)
  const writtenWithin = within(written, input === undefined ? undefined : input - (cachedWithin ?? 0))
  const reasoningWithin = within(reasoning, output)
  return {
    inputTokens: input ?? 0,
    inputSource: source(input),
    cachedInputTokens: cachedWithin ?? 0,
    cachedInputSource: source(cachedWithin),
    cacheWriteTokens: writtenWithin ?? 0,
    cacheWriteSource: source(writtenWithin),
    outputTokens: output ?? 0,
    outputSource: source(output),
    reasoningTokens: reasoningWithin ?? 0,
    reasoningSource: source(reasoningWithin),
  }
}

function within(part: number | undefined, whole: number | undefined): number | undefined {
  return part === undefined || whole === undefined ? undefined : Math.min(part, whole)
}

function source(count: number | undefined): CountSource {
  return count === undefined ? 'absent' : 'reported'
}
