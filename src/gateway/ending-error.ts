import type { OutgoingHttpHeaders } from 'node:http'
import { ApiError } from '../errors.ts'
import type { UpstreamFailure } from '../inference/event.ts'
import type { Model } from '../inference/snapshot.ts'
import type { Ending } from '../ledger/journal.ts'
import type { Placement } from '../router/place.ts'
import type { ClientPort } from './client-port.ts'
import type { RelayEnd } from './relay.ts'
import { failureError, sendError } from './respond.ts'
import type { Run } from './run.ts'

/** Reasons for which a place has no room now, and may have some soon. */
const FULL: ReadonlySet<string> = new Set(['busy', 'queue full'])

/** Tells the client of an error, in the way that is left. */
export function answerError(run: Run, error: ApiError, client: ClientPort, headers: OutgoingHttpHeaders): void {
  if (client.headSent) client.end(run.relay.encoder.error(error))
  else sendError(client, error, run.request.id, run.surface, headers)
}

/** The error that a request ends in that has no answer. */
export function endingError(ending: Ending, { failure }: RelayEnd, run: Run): ApiError {
  if (failure !== null) return failureError(failure)
  switch (ending) {
    case 'timed_out':
      return new ApiError('upstream_timeout', `${run.ticket.quote.model.id} did not answer in time.`)
    case 'aborted':
      return new ApiError('draining', 'The server is stopping and ended this answer.', { retryAfterMs: 5000 })
    default:
      return new ApiError('upstream_error', 'The request was stopped.')
  }
}

/** Why no place can serve a request. */
export function unavailable(model: Model, { filtered }: Placement): UpstreamFailure {
  const full = filtered.length > 0 && filtered.every(({ reason }) => FULL.has(reason))
  const unwanted = filtered.length > 0 && filtered.every(each => each.unwanted)
  const reasons = filtered.map(({ target, reason }) => `${target.upstreamId}: ${reason}`).join('; ')
  return {
    reason: unwanted ? 'unwanted' : full ? 'overloaded' : 'unavailable',
    message: unwanted
      ? `No place that runs ${model.id} meets the preferences in 'provider' (${reasons}).`
      : `No place can run ${model.id} now (${reasons || 'it has no target'}).`,
    retryable: false,
  }
}
