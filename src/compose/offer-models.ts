import type { ServeHooks } from '../cli/serve-types.ts'
import { tariffOfSetting } from '../config/price-setting.ts'
import type { Config } from '../config/schema.ts'
import type { StoredModel, StoredTarget } from '../control/snapshot-builder.ts'
import { type CatalogueEntry, licenseText } from '../models/catalogue.ts'
import { ModelError } from '../models/model-error.ts'
import { modelFile } from '../models/model-files.ts'
import { pullModel } from '../models/pull.ts'
import { documentOfTariff } from '../pricing/document.ts'
import { ENGINE_ID } from './engine.ts'
import type { Foundation, HeadraceStore } from './foundation.ts'
import { followCost, offerPrice } from './offer-prices.ts'

/** Output covered by the first hold, and by each extension. */
const TRANCHE_TOKENS = 8192

/**
 * Carries what the configuration says of upstreams into the store, so that one snapshot has all models: a target is added to its model,
 * and a price that differs from the one it had there before begins now.
 */
export async function offerUpstreamModels(config: Config, store: HeadraceStore, nowMs: number): Promise<void> {
  const state = await store.loadState()
  const known = new Map(state.models.map(model => [model.id, model]))
  const offered = new Set<string>()
  for (const { id: upstreamId, models } of config.upstreams) {
    for (const model of models) {
      const stored = known.get(model.model)
      const cost = model.cost === null ? undefined : tariffOfSetting(model.cost)
      const target: StoredTarget = {
        upstreamId,
        upstreamModel: model.name,
        ...(cost !== undefined && { cost: documentOfTariff(cost) }),
        ...(model.quantization !== null && { quantization: model.quantization }),
      }
      const others = stored?.targets.filter(each => each.upstreamId !== upstreamId) ?? []
      const outputTokensMax = Math.min(model.outputTokensMax ?? model.contextTokens, model.contextTokens)
      // Of a model at several upstreams each entry may name aliases.
      const aliases = offered.has(model.model)
        ? [...new Set([...(stored?.aliases ?? []), ...model.aliases])]
        : model.aliases
      offered.add(model.model)
      const offer: StoredModel = {
        id: model.model,
        aliases,
        name: stored?.name ?? model.model,
        ownedBy: model.ownedBy,
        createdS: stored?.createdS ?? Math.floor(nowMs / 1000),
        license: model.license,
        contextTokens: model.contextTokens,
        outputTokensMax,
        trancheTokens: Math.min(model.trancheTokens, outputTokensMax),
        capabilities: model.capabilities,
        targets: [...others, target],
      }
      await store.putModel(offer)
      known.set(offer.id, offer)
      if (model.price !== null) await offerPrice(store, state.prices, model.model, model.price, nowMs)
      // Read anew: a price that was just offered ends the one before, which then follows nothing.
      if (cost !== undefined)
        await followCost(store, (await store.loadState()).prices, model.model, upstreamId, cost, nowMs)
    }
  }
}

/** Fetches the default model where it is missing. Without it the server still starts, and says how to bring a file. */
export async function offerDefaultModel(
  config: Config,
  foundation: Foundation,
  hooks: ServeHooks,
  nowMs: number,
): Promise<void> {
  const { store, catalogue } = foundation
  const wanted = config.models.default
  if (wanted === null) return
  const entry = catalogue.find(wanted)
  if (entry === undefined) {
    hooks.onProgress({
      type: 'note',
      message: `models.default is ${JSON.stringify(wanted)}, which the catalogue does not have; "headrace models" lists what it has.`,
    })
    return
  }
  hooks.onProgress({ type: 'phase', name: 'model', detail: entry.name })
  const present = await modelFile(config.home, entry.file.name)
  if (present === null && !config.models.autoPull) {
    hooks.onProgress({
      type: 'note',
      message: `${entry.id} is not here and models.autoPull is off. Fetch it: headrace pull ${entry.id}`,
    })
    return
  }
  if (present === null) hooks.onProgress({ type: 'phase', name: 'download', detail: entry.name })
  try {
    await pullModel(entry.id, {
      home: config.home,
      catalogue,
      signal: hooks.signal,
      onProgress: ({ phase, bytesDone, bytesTotal, source }) => {
        if (phase === 'downloading')
          hooks.onProgress({ type: 'download', model: entry.id, bytesDone, bytesTotal, source })
      },
    })
  } catch (error) {
    if (!(error instanceof ModelError)) throw error
    hooks.onProgress({ type: 'note', message: error.message })
    return
  }
  const state = await store.loadState()
  if (!state.models.some(model => model.id === entry.id)) {
    await store.putModel(modelOfEntry(entry, nowMs))
    if (entry.price !== null) await offerPrice(store, state.prices, entry.id, entry.price, nowMs)
  }
}

function modelOfEntry(entry: CatalogueEntry, nowMs: number): StoredModel {
  return {
    id: entry.id,
    aliases: entry.aliases,
    name: entry.name,
    ownedBy: entry.ownedBy,
    createdS: entry.released === null ? Math.floor(nowMs / 1000) : Date.parse(entry.released) / 1000,
    license: licenseText(entry.license),
    contextTokens: entry.contextTokens,
    outputTokensMax: entry.outputTokensMax,
    trancheTokens: Math.min(TRANCHE_TOKENS, entry.outputTokensMax),
    capabilities: entry.capabilities,
    targets: [{ upstreamId: ENGINE_ID, upstreamModel: entry.id }],
  }
}
