/** Why something outside could not be had. */
export type OutsideReason = 'refused' | 'unreachable' | 'timeout' | 'status' | 'type' | 'too_large'

/**
 * A request to a URL of a client's that did not succeed. The message is for the client: it names the host as the client wrote it and no
 * address, so that nobody learns from it what a name resolves to here or what is inside.
 */
export class OutsideFailure extends Error {
  override name = 'OutsideFailure'
  readonly reason: OutsideReason

  constructor(reason: OutsideReason, message: string, cause?: unknown) {
    super(message, { cause })
    this.reason = reason
  }
}
