import { createHash } from 'node:crypto'

/** The log probability of one token of a prompt, and the likeliest at its place, by token id. */
export interface ScoredToken {
  readonly logprob: number
  /** Most likely first. */
  readonly top: readonly (readonly [id: number, logprob: number])[]
}

/** About 10 MB at 20 alternatives each. */
const ENTRIES_MAX = 16_384

/**
 * Remembers log probabilities of prompt tokens. Evaluations ask for the same beginning again and again: the examples before every
 * question, the question before every answer. Entries of different salts never meet, so that no org can probe another's prompts.
 */
export class LogprobMemo {
  readonly #entries = new Map<string, ScoredToken>()

  /** The key of each token of a prompt: a hash of the salt and of all tokens up to and with it. */
  keys(salt: string, tokens: Int32Array): string[] {
    let last = salt
    return Array.from(tokens, token => {
      last = createHash('sha256').update(`${last}/${token}`).digest('base64')
      return last
    })
  }

  get(key: string): ScoredToken | undefined {
    const found = this.#entries.get(key)
    if (found !== undefined) {
      // To the end: what was not asked for longest is at the front.
      this.#entries.delete(key)
      this.#entries.set(key, found)
    }
    return found
  }

  set(key: string, scored: ScoredToken): void {
    this.#entries.set(key, scored)
    if (this.#entries.size > ENTRIES_MAX) this.#entries.delete(this.#entries.keys().next().value as string)
  }
}
