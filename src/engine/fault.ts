import type { UpstreamFailure } from '../inference/event.ts'

/** A reason not to run a request, found before it took a slot. Becomes the attempt's failure. */
export class RequestFault extends Error {
  override name = 'RequestFault'
  readonly failure: UpstreamFailure

  constructor(reason: 'bad_request' | 'context_length' | 'internal', message: string) {
    super(message)
    this.failure = { reason, message, retryable: false }
  }
}
