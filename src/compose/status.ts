import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { RunningServer } from '../cli/serve-types.ts'
import type { RuntimeStatus } from '../control/ports.ts'
import type { Publisher } from '../control/publisher.ts'
import { modelsOf } from '../control/snapshot-builder.ts'
import type { EngineUpstream } from '../engine/engine-upstream.ts'
import type { Pipeline } from '../gateway/pipeline.ts'
import type { Catalogue } from '../models/catalogue.ts'
import { modelsFolder } from '../models/model-files.ts'
import { priceAt } from '../pricing/calendar.ts'
import type { UpstreamSet } from '../upstreams/upstream-set.ts'
import { ENGINE_ID } from './engine.ts'
import { VERSION } from './version.ts'

/** What runs, and how it is. */
export function runtimeStatus(
  startedMs: number,
  urls: readonly string[],
  upstreams: UpstreamSet,
  engine: EngineUpstream,
  pipeline: Pipeline,
): RuntimeStatus {
  const states = engine.status().models.map(model => `${model.name}: ${model.state}`)
  return {
    version: VERSION,
    startedMs,
    listening: urls,
    upstreams: upstreams.list().map(upstream => {
      const { running, queued } = upstream.load()
      const { state, downModels } = upstreams.health(upstream.id)
      const details = upstream.id === ENGINE_ID ? [...states] : []
      if (downModels.length > 0) details.push(`left alone after failures: ${downModels.join(', ')}`)
      return {
        id: upstream.id,
        kind: upstream.kind,
        state,
        downModels,
        detail: details.join('; '),
        running,
        queued,
      }
    }),
    journal: {
      healthy: pipeline.journalHealthy,
      detail: pipeline.journalHealthy ? '' : 'the last settlement could not be written',
    },
  }
}

/** The models on offer, and whether they can be used. */
export function describeModels(publisher: Publisher, catalogue: Catalogue, home: string): RunningServer['models'] {
  return modelsOf(publisher.current()).map(model => {
    const entry = model.targets.some(target => target.upstreamId === ENGINE_ID) ? catalogue.find(model.id) : undefined
    const file = entry === undefined ? null : join(modelsFolder(home), entry.file.name)
    const priced = priceAt(model.prices, Date.now()) !== undefined
    const state = file !== null && !existsSync(file) ? 'file missing' : priced ? 'ready' : 'no price'
    return { id: model.id, state, file }
  })
}
