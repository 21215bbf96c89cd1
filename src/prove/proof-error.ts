/** The proof could not be made: nothing is known about the money then, and the message says what was in the way. */
export class ProofError extends Error {
  override name = 'ProofError'
  /** One sentence on what to do. */
  readonly cure: string

  constructor(message: string, cure: string, options: { cause?: unknown } = {}) {
    super(message, options)
    this.cure = cure
  }
}
