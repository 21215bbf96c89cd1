/**
 * An answer that is kept so that a repetition of its request gets it again without a second charge. It becomes durable together with
 * its settlement, or not at all.
 */
export interface StoredAnswer {
  /** SHA-256 in hex of the API key's id and its `Idempotency-Key`; what the client sent is not kept. */
  readonly keyHash: string
  /** SHA-256 in hex of the key's hash, the route and the body: tells a repetition from another request under the same key. */
  readonly fingerprint: string
  readonly requestId: string
  readonly status: number
  /** As they were sent, without those of the connection. */
  readonly headers: Readonly<Record<string, string>>
  /** Byte for byte as it was sent: a JSON body, or all frames of a stream. */
  readonly body: Uint8Array
  /** From this wall-clock time on the answer is as if it had never been. */
  readonly expiresMs: number
}
