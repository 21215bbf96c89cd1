import { randomBytes } from 'node:crypto'
import type { KeyHasher } from '../admission/key-hasher.ts'
import { keptReader } from '../api/kept-reader.ts'
import type { Config } from '../config/schema.ts'
import type { Publisher } from '../control/publisher.ts'
import type { OutsideClient } from '../egress/outside-client.ts'
import { withImages } from '../gateway/fetch-images.ts'
import { Idempotency } from '../gateway/idempotency.ts'
import { Pipeline } from '../gateway/pipeline.ts'
import type { Protocol } from '../inference/request.ts'
import type { Books } from '../ledger/books.ts'
import type { Notifier } from '../ledger/notifier.ts'
import { createOpenAiChat } from '../protocols/openai-chat/codec.ts'
import { createOpenAiResponses } from '../protocols/openai-responses/codec.ts'
import { createReasoningSeal } from '../protocols/openai-responses/reasoning-seal.ts'
import type { ProtocolCodec } from '../protocols/protocol.ts'
import { PROTOCOLS } from '../protocols/protocols.ts'
import { ByteRoom } from '../std/byte-room.ts'
import { SYSTEM_CLOCK } from '../std/clock.ts'
import type { Telemetry } from '../telemetry/telemetry.ts'
import type { UpstreamSet } from '../upstreams/upstream-set.ts'
import type { HeadraceStore } from './foundation.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** What the images that were fetched for running requests take together. */
const IMAGE_BYTES_MAX = 512 * 1024 * 1024

/** The pipeline, with all that it is handed. */
export function createPipeline(
  config: Config,
  parts: {
    readonly store: HeadraceStore
    readonly publisher: Publisher
    readonly books: Books
    readonly notifier: Notifier
    readonly upstreams: UpstreamSet
    readonly telemetry: Telemetry
    readonly keyHasher: KeyHasher
    readonly outside: OutsideClient
    readonly newId: (prefix: string) => string
  },
): Pipeline {
  const { store, publisher, books, notifier, upstreams, telemetry, keyHasher, outside, newId } = parts
  const salt = randomBytes(16).toString('hex')
  const imageRoom = new ByteRoom(IMAGE_BYTES_MAX)
  return new Pipeline({
    snapshot: publisher.current,
    books,
    journal: store,
    upstreams,
    clock: SYSTEM_CLOCK,
    telemetry,
    notifier,
    keyHasher,
    idempotency: new Idempotency({
      find: keyHash => store.storedAnswer(keyHash),
      keepMs: config.money.idempotency.keepHours * HOUR_MS,
      answerBytesMax: config.money.idempotency.answerBytesMax,
    }),
    newId,
    keptOf: caller => keptReader(store.kept, caller, () => Date.now()),
    fetchImages: (request, orgId, signal) => withImages(request, { outside, room: imageRoom }, orgId, signal),
    cacheSaltOf: (orgId, scope) => (scope === undefined ? `${salt}:${orgId}` : `${salt}:${orgId}:${scope}`),
    limits: {
      firstByteTimeoutMs: config.server.firstByteTimeoutMs,
      requestDeadlineMs: config.server.requestDeadlineMs,
      keepAliveMs: config.server.keepAliveCommentMs,
    },
  })
}

/** What clients can speak, by its name. */
export function createCodecs(config: Config, pepper: Buffer): ReadonlyMap<Protocol, ProtocolCodec> {
  const keepMs = config.responses.keepDays * DAY_MS
  const keeping = [createOpenAiChat({ keepMs }), createOpenAiResponses({ keepMs, seal: createReasoningSeal(pepper) })]
  return new Map([...PROTOCOLS, ...keeping].map(codec => [codec.protocol, codec]))
}
