import { KeyHasher } from '../../src/admission/key-hasher.ts'
import { API_KEY_BODY_LENGTH, API_KEY_PREFIX, apiKeyChecksum } from '../../src/inference/api-key-format.ts'
import type { LimitRule } from '../../src/inference/limit-rule.ts'
import type { ScopedToken } from '../../src/inference/scoped-token.ts'
import type { ApiKey, Model, Org, Price, Snapshot } from '../../src/inference/snapshot.ts'
import type { Rng } from '../../src/simulation/rng.ts'

/** Longest answer of a choice in the simulation: long enough for many tranches, short enough for many seeds. */
export const ANSWER_TOKENS_MAX = 96

/** Whom the simulated service has, and what it sells. */
export interface World {
  readonly snapshot: Snapshot
  readonly keyHasher: KeyHasher
  /** API keys in clear. */
  readonly secrets: readonly { readonly secret: string; readonly key: ApiKey }[]
  /** Tokens that were derived from some of the keys, in clear. */
  readonly tokens: readonly { readonly secret: string; readonly token: ScopedToken }[]
  readonly models: readonly Model[]
  readonly upstreamIds: readonly string[]
  /** Nanodollars by org. */
  readonly credits: ReadonlyMap<string, bigint>
  /** By budget, those of keys and of tokens. */
  readonly caps: ReadonlyMap<string, bigint | null>
}

/** Picodollars per token: free, the finest there is, ordinary ones that leave halves to round, absurd. */
const RATES = [0n, 1n, 500n, 1500n, 100_000n, 1_300_000n, 2_600_000n, 10n ** 12n]
const FAR_MS = 10 ** 15

/** A world out of a seed, with prices and credit so that some of it is always scarce. */
export function makeWorld(rng: Rng): World {
  const upstreamIds = Array.from({ length: rng.int(1, 3) }, (_, i) => `up${i}`)
  const models = Array.from({ length: rng.int(1, 3) }, (_, i) => makeModel(`model-${i}`, upstreamIds, rng))
  const keyHasher = new KeyHasher(Buffer.from('simulated pepper'))
  const orgs: Org[] = []
  const credits = new Map<string, bigint>()
  const secrets: { secret: string; key: ApiKey }[] = []
  for (let i = 0; i < rng.int(1, 3); i++) {
    const org = { id: `org${i}`, name: `Org ${i}`, disabled: false }
    orgs.push(org)
    credits.set(org.id, amountFor(models, rng))
    for (let k = 0; k < rng.int(1, 3); k++) secrets.push(makeKey(`${org.id}key${k}`, org.id, models, keyHasher, rng))
  }
  const limitsByKey = makeLimits(secrets, models, rng)
  const snapshot: Snapshot = {
    version: 1,
    orgs: new Map(orgs.map(org => [org.id, org])),
    keys: new Map(secrets.map(({ key }) => [key.id, key])),
    keysByHash: new Map(secrets.map(({ key }) => [key.hash, key])),
    projects: new Map(),
    limits: new Map([...limitsByKey.values()].flat().map(limit => [limit.id, limit])),
    limitsByKey,
    models: new Map(models.map(model => [model.id, model])),
  }
  const tokens = makeTokens(secrets, models, keyHasher, rng)
  const caps = new Map([
    ...secrets.map(({ key }) => [`key:${key.id}`, key.capNanodollars] as const),
    ...tokens.map(({ token }) => [`token:${token.id}`, token.limitNanodollars] as const),
  ])
  return { snapshot, keyHasher, secrets, tokens, models, upstreamIds, credits, caps }
}

function makeModel(id: string, upstreamIds: readonly string[], rng: Rng): Model {
  const first = rng.int(0, upstreamIds.length - 1)
  const targets = Array.from({ length: rng.int(1, upstreamIds.length) }, (_, i) => ({
    upstreamId: upstreamIds[(first + i) % upstreamIds.length] as string,
    upstreamModel: `inner-${id}`,
  }))
  return {
    id,
    aliases: [],
    name: id,
    ownedBy: 'simulation',
    createdS: 0,
    license: 'none',
    contextTokens: rng.pick([512, 512, 4096, 1_000_000]),
    outputTokensMax: rng.pick([16, 96, 512]),
    trancheTokens: rng.pick([1, 8, 8, 8192]),
    capabilities: { chat: true, completion: true, tools: true, reasoning: false, jsonSchema: true, logprobs: false },
    prices: makePrices(id, rng),
    targets,
  }
}

// Some prices change on the hour, and the wall clock is set across it now and then.
function makePrices(modelId: string, rng: Rng): Price[] {
  const changeMs = Date.UTC(2026, 5, 15, 13)
  const price = (name: string, fromMs: number, toMs: number | null): Price => {
    const inputPicodollars = rng.pick(RATES)
    return {
      id: `${modelId}-${name}`,
      modelId,
      fromMs,
      toMs,
      inputPicodollars,
      cachedInputPicodollars: rng.chance(0.1) ? rng.pick(RATES) : inputPicodollars / 10n,
      outputPicodollars: rng.pick(RATES),
      requestPicodollars: rng.chance(0.2) ? rng.pick(RATES) : 0n,
    }
  }
  if (rng.chance(0.6)) return [price('always', 0, null)]
  return [price('early', 0, changeMs), price('late', changeMs, FAR_MS)]
}

function makeKey(id: string, orgId: string, models: readonly Model[], keyHasher: KeyHasher, rng: Rng) {
  const body = id.replace(/[^0-9A-Za-z]/g, '').padEnd(API_KEY_BODY_LENGTH, '0')
  const secret = API_KEY_PREFIX + body + apiKeyChecksum(body)
  const key: ApiKey = {
    id,
    orgId,
    name: id,
    hash: keyHasher.hash(secret) as string,
    hint: secret.slice(-4),
    capNanodollars: rng.chance(0.3) ? null : amountFor(models, rng),
    createdMs: 0,
    expiresMs: null,
    revokedMs: rng.chance(0.05) ? 1 : null,
    projectId: null,
  }
  return { secret, key }
}

/** Up to two tokens of a key, with spending limits of the same scarce sums; some were revoked, or are for a single model. */
function makeTokens(secrets: World['secrets'], models: readonly Model[], keyHasher: KeyHasher, rng: Rng) {
  const made: { secret: string; token: ScopedToken }[] = []
  for (const { key } of secrets) {
    for (let i = 0; i < rng.int(0, 2); i++) {
      const limit = amountFor(models, rng)
      const token: ScopedToken = {
        ...{ id: `${key.id}token${i}`, orgId: key.orgId, keyId: key.id, createdMs: 0, expiresMs: FAR_MS },
        models: rng.chance(0.2) ? [rng.pick(models).id] : null,
        limitNanodollars: limit === 0n ? null : limit,
        revokedMs: rng.chance(0.05) ? 1 : null,
      }
      keyHasher.tokens.put(token)
      made.push({ secret: keyHasher.tokens.sign(token, key.name), token })
    }
  }
  return made
}

/** Budgets in windows, of the same scarce sums, and few requests at a time, for some of the keys. */
function makeLimits(secrets: World['secrets'], models: readonly Model[], rng: Rng): Map<string, LimitRule[]> {
  const limitsByKey = new Map<string, LimitRule[]>()
  for (const { key } of secrets) {
    const scope = { orgId: key.orgId, projectId: null, keyId: key.id, endUserId: null, modelId: null }
    const common = { ...scope, hard: true, notifyPercents: [80] }
    const limits: LimitRule[] = []
    if (rng.chance(0.25)) {
      const window = rng.pick(['minute', 'hour', 'rolling_minute'] as const)
      const amount = amountFor(models, rng)
      limits.push({
        ...common,
        id: `${key.id}budget`,
        measure: 'nanodollars',
        amount: amount === 0n ? 1n : amount,
        window,
      })
    }
    if (rng.chance(0.25)) {
      limits.push({
        ...common,
        id: `${key.id}crowd`,
        measure: 'concurrency',
        amount: BigInt(rng.int(1, 4)),
        window: 'ever',
      })
    }
    if (rng.chance(0.25)) {
      const of = { ...common, modelId: rng.pick(models).id }
      const amount = amountFor(models, rng)
      limits.push({
        ...of,
        ...{ id: `${key.id}modelbudget`, measure: 'nanodollars', amount: amount === 0n ? 1n : amount, window: 'hour' },
      })
      limits.push({ ...of, id: `${key.id}modelcrowd`, measure: 'concurrency', amount: 2n, window: 'ever' })
    }
    if (limits.length > 0) limitsByKey.set(key.id, limits)
  }
  return limitsByKey
}

/** Nothing, next to nothing, the price of a few answers of some model, or all the ledger can hold. */
function amountFor(models: readonly Model[], rng: Rng): bigint {
  const model = rng.pick(models)
  const price = rng.pick(model.prices)
  const tokenPicodollars = price.inputPicodollars + price.outputPicodollars + price.requestPicodollars
  const answerNanodollars = (tokenPicodollars * BigInt(ANSWER_TOKENS_MAX) * 4n) / 1000n
  const kind = rng.int(0, 19)
  if (kind === 0) return 0n
  if (kind === 1) return BigInt(rng.int(1, 1000))
  // No holds could ever fill it, nor overflow it when all are added up.
  if (kind < 8) return 2n ** 62n
  // Small sums run out in the middle of answers, larger ones between them.
  return answerNanodollars * BigInt(rng.chance(0.5) ? rng.int(1, 10) : rng.int(1, 200)) + BigInt(rng.int(0, 999))
}
