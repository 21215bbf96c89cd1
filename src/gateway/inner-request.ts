import type { Caller } from '../admission/authenticate.ts'
import type { Protocol } from '../inference/request.ts'
import type { KeptDocument } from '../ledger/kept-document.ts'
import type { ProtocolCodec } from '../protocols/protocol.ts'
import { generateRouteOf } from '../protocols/surface.ts'
import { assert } from '../std/assert.ts'
import { type InnerAnswer, InnerClientPort } from './inner-client-port.ts'
import type { Pipeline } from './pipeline.ts'

/** A request of work that was handed in before. */
export interface InnerRequest {
  /** Of an inference route. */
  readonly path: string
  readonly requestId: string
  /** JSON; not of a streamed answer. */
  readonly body: Uint8Array
  /** Who pays. Throws `ApiError` when it no longer may. */
  readonly caller: () => Caller
  readonly keep: (answer: Uint8Array, nowMs: number) => readonly KeptDocument[]
}

/** Runs a line of a batch through the pipeline, to its end. Never rejects for what the world does. */
export async function serveInner(
  pipeline: Pick<Pipeline, 'serve'>,
  codecs: ReadonlyMap<Protocol, ProtocolCodec>,
  { path, requestId, body, caller, keep }: InnerRequest,
): Promise<InnerAnswer> {
  const route = generateRouteOf(path)
  const codec = route === undefined ? undefined : codecs.get(route.protocol)
  assert(route !== undefined && codec !== undefined, `nothing answers ${path}`)
  const client = new InnerClientPort()
  await pipeline.serve(codec, {
    ...{ headers: {}, body: async () => body, client, requestId, surface: route.surface, work: 'batch', caller },
    keep: (answer, owner) => keep(answer, owner.nowMs),
  })
  return client.answer
}
