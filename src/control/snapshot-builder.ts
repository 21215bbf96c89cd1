import type { LimitRule, Project } from '../inference/limit-rule.ts'
import type { ApiKey, Model, Org, Price, Snapshot, Target } from '../inference/snapshot.ts'
import { type TariffDocument, tariffOfDocument } from '../pricing/document.ts'

/** A target as stored: what the upstream takes is written as a document. */
export type StoredTarget = Omit<Target, 'cost'> & { readonly cost?: TariffDocument }

/** A model as stored: its prices are rows of their own. */
export type StoredModel = Omit<Model, 'prices' | 'targets'> & { readonly targets: readonly StoredTarget[] }

/** What a snapshot is built from. */
export interface SnapshotState {
  readonly orgs: readonly Org[]
  /** Revoked ones too, so that a request with one can be told so. */
  readonly keys: readonly ApiKey[]
  readonly models: readonly StoredModel[]
  readonly prices: readonly Price[]
  readonly projects: readonly Project[]
  readonly limits: readonly LimitRule[]
}

/** Two things of the stored state cannot both be. The message names both and what to change. */
export class SnapshotConflict extends Error {
  override name = 'SnapshotConflict'
}

/**
 * Builds the data plane's view of the stored state. Throws `SnapshotConflict` when two models claim one name, an id or a
 * key's hash occurs twice, or a key or price belongs to nothing.
 */
export function buildSnapshot(state: SnapshotState, version: number): Snapshot {
  const orgs = new Map<string, Org>()
  for (const org of state.orgs) {
    if (orgs.has(org.id)) throw new SnapshotConflict(`two orgs have the id "${org.id}"`)
    orgs.set(org.id, org)
  }
  const keys = new Map<string, ApiKey>()
  const keysByHash = new Map<string, ApiKey>()
  for (const key of state.keys) {
    if (!orgs.has(key.orgId))
      throw new SnapshotConflict(`the key "${key.id}" belongs to the unknown org "${key.orgId}"`)
    if (keys.has(key.id) || keysByHash.has(key.hash)) throw new SnapshotConflict(`the key "${key.id}" occurs twice`)
    keys.set(key.id, key)
    keysByHash.set(key.hash, key)
  }
  const prices = Map.groupBy(state.prices, price => price.modelId)
  const models = new Map<string, Model>()
  for (const stored of state.models) {
    const groups = Map.groupBy(prices.get(stored.id) ?? [], price => price.group ?? null)
    const model: Model = {
      ...stored,
      targets: stored.targets.map(targetOf),
      prices: [...groups.values()].flatMap(priceHistory),
    }
    for (const name of [model.id, ...model.aliases]) {
      const owner = models.get(name)
      if (owner !== undefined) throw new SnapshotConflict(nameConflict(name, owner, model.id))
      models.set(name, model)
    }
  }
  const modelPrefixes = [...models]
    .flatMap(([name, model]) => (name.endsWith('*') ? [{ prefix: name.slice(0, -1), model }] : []))
    .sort((a, b) => b.prefix.length - a.prefix.length)
  const projects = new Map(state.projects.map(project => [project.id, project]))
  const limits = new Map(state.limits.map(limit => [limit.id, limit]))
  return {
    ...{ version, orgs, keysByHash, keys, models, projects, limits, limitsByKey: limitsByKey(state) },
    ...(modelPrefixes.length > 0 && { modelPrefixes }),
  }
}

/** Which limits the requests of each key can come under; models and end users are only known with the request. */
function limitsByKey({ keys, limits }: SnapshotState): Map<string, readonly LimitRule[]> {
  const byKey = new Map<string, readonly LimitRule[]>()
  if (limits.length === 0) return byKey
  for (const key of keys) {
    const own = limits.filter(
      limit =>
        (limit.orgId === null || limit.orgId === key.orgId) &&
        (limit.projectId === null || limit.projectId === key.projectId) &&
        (limit.keyId === null || limit.keyId === key.id),
    )
    if (own.length > 0) byKey.set(key.id, own)
  }
  return byKey
}

/** The models of a snapshot, each once: its map holds every alias too. */
export function modelsOf(snapshot: Snapshot): Model[] {
  return [...snapshot.models].filter(([name, model]) => name === model.id).map(([, model]) => model)
}

/** Why a model of this id and these aliases cannot stand beside the others of a snapshot; null when it can. */
export function modelConflict(snapshot: Snapshot, id: string, aliases: readonly string[]): string | null {
  const names = new Set<string>()
  for (const name of [id, ...aliases]) {
    if (names.has(name)) return `"${name}" is given twice`
    names.add(name)
    const owner = snapshot.models.get(name)
    if (owner !== undefined && owner.id !== id) return nameConflict(name, owner, id)
  }
  return null
}

/**
 * The prices of one model and group in the order of time, without overlap: each ends at the latest where the next begins, and of
 * two that begin together the one stored last counts, so that exactly one price or none is in force at any instant.
 */
export function priceHistory(prices: readonly Price[]): Price[] {
  const byStart = new Map<number, Price>()
  for (const price of prices) byStart.set(price.fromMs, price)
  const sorted = [...byStart.values()].sort((a, b) => a.fromMs - b.fromMs)
  return sorted.map((price, i) => {
    const nextFromMs = sorted[i + 1]?.fromMs ?? null
    if (nextFromMs === null || (price.toMs !== null && price.toMs <= nextFromMs)) return price
    return { ...price, toMs: nextFromMs }
  })
}

function targetOf({ cost, ...target }: StoredTarget): Target {
  return cost === undefined ? target : { ...target, cost: tariffOfDocument(cost) }
}

function nameConflict(name: string, owner: Model, id: string): string {
  if (owner.id === id) return `"${name}" names the model "${id}" twice`
  const claim = owner.id === name ? 'is the id of a model' : `is an alias of the model "${owner.id}"`
  return `"${name}" ${claim}, so "${id}" cannot have it; use another name`
}
