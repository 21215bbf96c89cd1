import { isObject } from '../wire/json-object.ts'
import type { BatchUsage } from './batch.ts'

/** Adds up the usage that answers tell of, of whichever protocol. What an answer does not tell counts as none. */
export class UsageSum {
  #input = 0
  #cached = 0
  #output = 0
  #reasoning = 0

  /** Adds the usage of the answer in a result. */
  add(resultText: string): void {
    const usage = (JSON.parse(resultText) as { response?: { body?: { usage?: unknown } } }).response?.body?.usage
    if (!isObject(usage)) return
    const inputDetails = objectOf(usage.prompt_tokens_details ?? usage.input_tokens_details)
    const outputDetails = objectOf(usage.completion_tokens_details ?? usage.output_tokens_details)
    // Anthropic's wire counts input that came from the cache, and that went there, beside the rest; the others within it.
    const read = count(usage.cache_read_input_tokens)
    this.#input += count(usage.prompt_tokens ?? usage.input_tokens) + read + count(usage.cache_creation_input_tokens)
    this.#cached += count(inputDetails.cached_tokens) + read
    this.#output += count(usage.completion_tokens ?? usage.output_tokens)
    this.#reasoning += count(outputDetails.reasoning_tokens ?? outputDetails.thinking_tokens)
  }

  get total(): BatchUsage {
    return {
      inputTokens: this.#input,
      cachedInputTokens: this.#cached,
      outputTokens: this.#output,
      reasoningTokens: this.#reasoning,
    }
  }
}

function objectOf(value: unknown): { readonly [key: string]: unknown } {
  return isObject(value) ? value : {}
}

function count(value: unknown): number {
  return typeof value === 'number' ? value : 0
}
