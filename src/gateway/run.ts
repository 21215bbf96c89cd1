import type { Ticket } from '../admission/admit.ts'
import type { Caller } from '../admission/authenticate.ts'
import type { InferenceRequest, Surface } from '../inference/request.ts'
import type { Target } from '../inference/snapshot.ts'
import type { LiveMember } from '../std/live-set.ts'
import type { Once } from './idempotency.ts'
import type { Incoming } from './incoming.ts'
import type { Relay } from './relay.ts'

/** A request that runs, for time-outs, draining, and people who ask what is going on. */
export interface Run extends LiveMember {
  readonly request: InferenceRequest
  readonly surface: Surface
  readonly keep: Incoming['keep']
  readonly work: Incoming['work']
  readonly caller: Caller
  /** Its quote is that of the model that serves, or that was tried last. */
  readonly ticket: Ticket
  readonly relay: Relay
  /** Where the last attempt went; null before the first. */
  target: Target | null
  attempts: number
  /** Where the client sent an `Idempotency-Key`. */
  readonly once: Once | null
  /** Monotonic. */
  readonly receivedMs: number
}
