import type { LimitRule, Project } from './limit-rule.ts'
import type { Price, Tariff } from './price.ts'

export type { Price } from './price.ts'

/** A customer: owns keys, limits and money. */
export interface Org {
  readonly id: string
  readonly name: string
  readonly disabled: boolean
  /** Pays the prices of this group where a model has such; absent or null: those for everybody. */
  readonly priceGroup?: string | null
}

/** A secret that acts for an org; only its keyed hash is known here. */
export interface ApiKey {
  readonly id: string
  readonly orgId: string
  readonly name: string
  /** Hex of HMAC-SHA-256(pepper, key). */
  readonly hash: string
  /** The project of the org that it belongs to. */
  readonly projectId: string | null
  /** Last four characters, to recognise it in lists. */
  readonly hint: string
  /** Most that may ever be spent through this key, nanodollars; null when unbounded. */
  readonly capNanodollars: bigint | null
  /** Ids of the only models that it may use; absent or null: all. */
  readonly models?: readonly string[] | null
  readonly createdMs: number
  readonly expiresMs: number | null
  readonly revokedMs: number | null
}

/** What may be changed of an API key; what is left out stays. */
export interface KeyUpdate {
  readonly name?: string | undefined
  readonly capNanodollars?: bigint | null | undefined
  readonly models?: readonly string[] | null | undefined
}

/** An upstream plus the model's name there. */
export interface Target {
  readonly upstreamId: string
  readonly upstreamModel: string
  /** What the upstream takes for the model; absent: not known. */
  readonly cost?: Tariff
  /** Format of the weights there, as `fp8` or `int4`; absent: not known. */
  readonly quantization?: string
}

/** What a model can do; what is false is refused with a clear error. */
export interface ModelCapabilities {
  readonly chat: boolean
  readonly completion: boolean
  readonly tools: boolean
  readonly reasoning: boolean
  readonly jsonSchema: boolean
  readonly logprobs: boolean
  /** Reads images. Absent, as with all below: no. */
  readonly vision?: boolean
  readonly embeddings?: boolean
  readonly rerank?: boolean
  /** Fills in the middle: a completion between a prompt and a `suffix`. */
  readonly suffix?: boolean
}

/** The public id a client asks for. */
export interface Model {
  readonly id: string
  readonly aliases: readonly string[]
  readonly name: string
  readonly ownedBy: string
  readonly createdS: number
  readonly license: string
  readonly contextTokens: number
  /** Most output tokens of one choice; at most `contextTokens`. */
  readonly outputTokensMax: number
  /** Output tokens covered by the first hold; as output is relayed the hold is extended by as much again. */
  readonly trancheTokens: number
  readonly capabilities: ModelCapabilities
  /** Past, current and coming; none in force means that the model is not for sale. */
  readonly prices: readonly Price[]
  readonly targets: readonly Target[]
}

/** The immutable view of orgs, keys, models and prices that the data plane answers from. */
export interface Snapshot {
  readonly version: number
  readonly orgs: ReadonlyMap<string, Org>
  readonly keysByHash: ReadonlyMap<string, ApiKey>
  readonly keys: ReadonlyMap<string, ApiKey>
  /** By id and by every alias. */
  readonly models: ReadonlyMap<string, Model>
  /** Aliases that end in `*`, without it, longest first: any name that begins so. Absent: there are none. */
  readonly modelPrefixes?: readonly { readonly prefix: string; readonly model: Model }[]
  readonly projects: ReadonlyMap<string, Project>
  /** All limits, by id. */
  readonly limits: ReadonlyMap<string, LimitRule>
  /** The limits whose scope the requests of a key can be in, by key id; a key without any is not there. */
  readonly limitsByKey: ReadonlyMap<string, readonly LimitRule[]>
}
