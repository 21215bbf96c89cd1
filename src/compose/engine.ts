import { join } from 'node:path'
import type { ServeHooks } from '../cli/serve-types.ts'
import type { Config } from '../config/schema.ts'
import type { Publisher } from '../control/publisher.ts'
import { modelsOf } from '../control/snapshot-builder.ts'
import { createEngineUpstream, type EngineUpstream } from '../engine/engine-upstream.ts'
import type { Snapshot } from '../inference/snapshot.ts'
import { loadCatalogue } from '../models/catalogue.ts'
import { modelsFolder } from '../models/model-files.ts'

/** Id of the embedded engine among the upstreams. */
export const ENGINE_ID = 'engine'
/** Context of a slot when the operator says nothing: long enough for agents, and four of them still fit a laptop. */
const SLOT_TOKENS_AUTO = 8192

/** The embedded engine; it has no models yet. */
export function createEngine(config: Config): EngineUpstream {
  const { engine, home } = config
  return createEngineUpstream({
    id: ENGINE_ID,
    models: [],
    stateDir: home,
    queueDepthMax: engine.queueDepthMax,
    threads: engine.threads === 'auto' ? undefined : engine.threads,
    memoryBytesMax: engine.memoryBytesMax === 'auto' ? undefined : engine.memoryBytesMax,
    cacheBytesMax: engine.promptCacheBytesMax,
    cacheDir: engine.promptCacheDir === 'auto' ? undefined : engine.promptCacheDir,
    idleUnloadMs: engine.idleUnloadMs,
    variant: engine.variant,
    libraryDir: engine.libraryDir ?? undefined,
  })
}

/**
 * Tells the engine where the files of the models are that it is to run. A model that was pulled while the server runs is found here
 * when it is published.
 */
export function offerFiles(engine: EngineUpstream, config: Config, snapshot: Snapshot): void {
  const catalogue = loadCatalogue(config.home, config.models.catalogueFile)
  for (const { upstreamId, upstreamModel } of modelsOf(snapshot).flatMap(model => model.targets)) {
    if (upstreamId !== ENGINE_ID) continue
    const entry = catalogue.find(upstreamModel)
    if (entry === undefined) continue
    engine.addModel({
      name: upstreamModel,
      path: join(modelsFolder(config.home), entry.file.name),
      slots: config.engine.parallel,
      sampling: entry.sampling,
      contextTokens:
        config.engine.contextTokens === 'auto'
          ? Math.min(entry.contextTokens, SLOT_TOKENS_AUTO)
          : config.engine.contextTokens,
    })
  }
}

/** Loads the default model before the first request; where it cannot be loaded the operator gets a note. */
export async function warmDefault(
  config: Config,
  engine: EngineUpstream,
  publisher: Publisher,
  hooks: ServeHooks,
): Promise<void> {
  const model = config.models.default === null ? undefined : publisher.current().models.get(config.models.default)
  const target = model?.targets.find(each => each.upstreamId === ENGINE_ID)
  if (target === undefined) return
  try {
    await engine.warm(target.upstreamModel)
  } catch (error) {
    hooks.onProgress({ type: 'note', message: (error as Error).message })
  }
}
