import { join } from 'node:path'
import type { Logger } from 'pino'
import { callerOf } from '../admission/authenticate.ts'
import { Batches, unfinishedBatches } from '../batches/batches.ts'
import { BATCH_PATHS } from '../batches/endpoints.ts'
import type { Config } from '../config/schema.ts'
import type { Publisher } from '../control/publisher.ts'
import { ApiError } from '../errors.ts'
import { FileFolder } from '../files/file-folder.ts'
import { Files } from '../files/files.ts'
import { serveInner } from '../gateway/inner-request.ts'
import type { Pipeline } from '../gateway/pipeline.ts'
import type { Protocol } from '../inference/request.ts'
import type { ProtocolCodec } from '../protocols/protocol.ts'
import { generateRouteOf } from '../protocols/surface.ts'
import { SYSTEM_CLOCK } from '../std/clock.ts'
import type { UpstreamSet } from '../upstreams/upstream-set.ts'
import type { HeadraceStore } from './foundation.ts'

const DAY_MS = 24 * 3_600_000

/** Files, and the batches that read and write them; `goOn` takes up what a process before left unfinished. */
export async function openBatches(
  { home, files: fileSettings, batches: batchSettings, server }: Config,
  parts: {
    readonly store: HeadraceStore
    readonly pipeline: Pipeline
    readonly codecs: ReadonlyMap<Protocol, ProtocolCodec>
    readonly publisher: Publisher
    readonly upstreams: UpstreamSet
    readonly newId: (prefix: string) => string
    readonly log: Logger
  },
): Promise<{ files: Files; batches: Batches; goOn: () => void }> {
  const { store, pipeline, codecs, publisher, upstreams, newId, log } = parts
  const { kept } = store
  const unfinished = await unfinishedBatches(kept, Date.now())
  const { bytesMax, totalBytesMaxPerOrg, keepDays } = fileSettings
  const folder = await FileFolder.open(join(home, 'files'))
  const settings = { bytesMax, totalBytesMaxPerOrg, keepMs: keepDays === null ? null : keepDays * DAY_MS }
  const files = await Files.open({ folder, kept, nowMs: () => Date.now(), newId, settings }, unfinished)
  const caller = (keyId: string) => callerOf(publisher.current().keys.get(keyId), publisher.current(), Date.now())
  const batches = new Batches({
    ...{ kept, files, clock: SYSTEM_CLOCK, newId },
    async run({ keyId, ...line }) {
      const { status, headers, body } = await serveInner(pipeline, codecs, { ...line, caller: () => caller(keyId) })
      const retryAfterMs = Number(headers['retry-after-ms'])
      return { status, body: body.toString(), retryAfterMs: Number.isFinite(retryAfterMs) ? retryAfterMs : null }
    },
    refusalOf(_, keyId) {
      try {
        caller(keyId)
        return null
      } catch (error) {
        if (error instanceof ApiError) return error
        throw error
      }
    },
    crowded(modelId) {
      const targets = publisher.current().models.get(modelId)?.targets ?? []
      return targets.length > 0 && targets.every(each => (upstreams.view(each)?.load.queued ?? 0) > 0)
    },
    settings: {
      ...{ ...batchSettings, lineBytesMax: server.bodyBytesMax },
      paths: BATCH_PATHS.filter(path => codecs.has(generateRouteOf(path)?.protocol as never)),
    },
    onError: (error, batch) => log.error({ err: error, batch }, 'a batch could not go on; it is tried again'),
  })
  return { files, batches, goOn: () => batches.start(unfinished) }
}
