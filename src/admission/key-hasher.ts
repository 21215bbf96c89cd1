import { hashSecret, isWellFormed } from '../inference/api-key-format.ts'
import { ScopedTokens } from './scoped-tokens.ts'

/** Most keys remembered; beyond it memory is forgotten whole, and the keys in use come back with their next request. */
const REMEMBERED_MAX = 10_000

/**
 * Keyed hashes of API keys, remembered for the keys in use: the hash takes as long as all the rest of admission. What is remembered is
 * no more secret than the requests that carry it, and it never leaves the process.
 */
export class KeyHasher {
  /** The tokens that were derived from keys, signed with a secret that the pepper gives. */
  readonly tokens: ScopedTokens
  readonly #pepper: Uint8Array
  readonly #hashes = new Map<string, string>()

  constructor(pepper: Uint8Array) {
    this.#pepper = pepper
    this.tokens = new ScopedTokens(pepper)
  }

  /** The hash that a key is stored under; undefined for what cannot be a key of ours: garbage and cut keys are refused without hashing. */
  hash(secret: string): string | undefined {
    let hash = this.#hashes.get(secret)
    if (hash !== undefined) return hash
    if (!isWellFormed(secret)) return undefined
    hash = hashSecret(this.#pepper, secret)
    if (this.#hashes.size >= REMEMBERED_MAX) this.#hashes.clear()
    this.#hashes.set(secret, hash)
    return hash
  }
}
