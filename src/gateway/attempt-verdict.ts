import type { UpstreamFailure } from '../inference/event.ts'
import type { Upstream } from '../inference/upstream.ts'
import type { RelayEnd } from './relay.ts'

/**
 * What an attempt says of its target's health: the failure that is the target's, null when it worked, undefined when
 * nothing can be told. An attempt that the client or our drain ended before its first token says nothing; one whose time ran
 * out there failed, unless the time may have gone by in a queue of the upstream's own.
 */
export function attemptVerdict(
  upstream: Pick<Upstream, 'queuesOwnWork'>,
  { ending, failure }: RelayEnd,
  outputBegan: boolean,
): UpstreamFailure | null | undefined {
  if (failure !== null) return failure
  if (ending === 'completed' || outputBegan) return null
  if (ending !== 'timed_out' || upstream.queuesOwnWork === true) return undefined
  return { reason: 'timeout', message: 'No output token came in time.', retryable: true }
}
