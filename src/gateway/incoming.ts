import type { IncomingHttpHeaders } from 'node:http'
import type { Caller } from '../admission/authenticate.ts'
import type { InferenceRequest, Surface } from '../inference/request.ts'
import type { Model } from '../inference/snapshot.ts'
import type { KeptDocument } from '../ledger/kept-document.ts'
import type { KeptOwner } from '../protocols/protocol.ts'
import type { ClientPort } from './client-port.ts'

/** One HTTP exchange as it comes in. */
export interface Incoming {
  readonly headers: IncomingHttpHeaders
  readonly body: () => Promise<Uint8Array>
  readonly client: ClientPort
  /** Also sent as `x-request-id`. */
  readonly requestId: string
  readonly surface: Surface
  /** Without its query; absent where the request did not come over HTTP. */
  readonly path?: string
  /** The model's id, where the path names it. */
  readonly pathModel?: string
  /** `batch`: no client waits, and the price is that of batches. */
  readonly work?: 'interactive' | 'batch'
  /** Who asks, where that is known without headers: work that was handed in before. Throws `ApiError` when it no longer may. */
  readonly caller?: () => Caller
  /** What of a whole answer is to be kept beside it, durable together with its settlement. */
  readonly keep?: (answer: Uint8Array, owner: KeptOwner) => readonly KeptDocument[]
  /**
   * Called once the request is let in, before it runs. Answers where the answer is to go instead of the client, who is not waited for;
   * null: to the client. What it rejects with refuses the request.
   */
  readonly detach?: (admitted: Admitted) => Promise<ClientPort | null>
  /** The client's address, for the log of refusals. */
  readonly from?: () => string
}

/** A request that was let in. */
export interface Admitted {
  readonly request: InferenceRequest
  readonly caller: Caller
  readonly model: Model
  /** Wall clock. */
  readonly admittedMs: number
}
