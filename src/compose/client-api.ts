import { randomBytes } from 'node:crypto'
import type { Logger } from 'pino'
import type { KeyHasher } from '../admission/key-hasher.ts'
import { type AccountPorts, ownLimitId } from '../api/account.ts'
import { type ClientApi, createClientApi } from '../api/app.ts'
import type { Batches } from '../batches/batches.ts'
import type { Config } from '../config/schema.ts'
import { CustomerAccount } from '../control/customer-account.ts'
import { expireGrants } from '../control/expire-grants.ts'
import type { Publisher } from '../control/publisher.ts'
import { requestCharge } from '../control/request-charge.ts'
import type { Files } from '../files/files.ts'
import type { BackgroundResponses } from '../gateway/background-responses.ts'
import type { Pipeline } from '../gateway/pipeline.ts'
import type { InferenceRequest, Protocol } from '../inference/request.ts'
import type { Model } from '../inference/snapshot.ts'
import type { Books } from '../ledger/books.ts'
import type { ProtocolCodec } from '../protocols/protocol.ts'
import { SYSTEM_CLOCK } from '../std/clock.ts'
import type { LiveRates } from '../telemetry/live-rates.ts'
import type { UpstreamSet } from '../upstreams/upstream-set.ts'
import type { HeadraceStore } from './foundation.ts'
import type { Payments } from './payments.ts'

/** What clients can ask beside inference, with all that it is handed. */
export function openClientApi(
  config: Config,
  parts: {
    readonly store: HeadraceStore
    readonly publisher: Publisher
    readonly books: Books
    readonly upstreams: UpstreamSet
    readonly pipeline: Pipeline
    readonly background: BackgroundResponses
    readonly codecs: ReadonlyMap<Protocol, ProtocolCodec>
    readonly files: Files
    readonly batches: Batches
    readonly live: LiveRates
    readonly checkout: Payments['checkout'] | undefined
    readonly keyHasher: KeyHasher
    readonly pepper: Buffer
    readonly newId: (prefix: string) => string
    readonly log: Logger
  },
): ClientApi {
  const { store, publisher, books, upstreams, pipeline, background, codecs, files, batches, live, checkout } = parts
  const { keyHasher, pepper, newId, log } = parts
  const account = new CustomerAccount({ store, publish: publisher.publish, randomBytes, pepper, nowMs: Date.now })
  return createClientApi({
    codecs: [...codecs.values()],
    account: accountPorts({ account, store, books, live, checkout }),
    snapshot: publisher.current,
    keyHasher,
    nowMs: () => Date.now(),
    publicModels: config.server.publicModels,
    newId,
    kept: store.kept,
    countInput: (request, model) => countInput(upstreams, request, model),
    files,
    batches,
    usageOf: (orgId, requestId) => requestCharge(store, orgId, requestId, pipeline.runningRequest(orgId, requestId)),
    settlementOf: requestId => store.usageByRequest(requestId),
    async creditOf(orgId) {
      await expireGrants({ store, books, clock: SYSTEM_CLOCK }, orgId)
      return { totals: await store.creditTotals(orgId), ...books.orgFunds(orgId) }
    },
    keySpent: keyId => books.budgetSpent(`key:${keyId}`),
    async keyChargedSince(keyId, fromMs) {
      const sums = await store.usageSummary({ keyId, fromMs }, 'key')
      return sums.reduce((sum, { chargeNanodollars }) => sum + chargeNanodollars, 0n)
    },
    targetState(target) {
      const view = upstreams.view(target)
      return view && { available: view.available, speed: upstreams.speed(target) }
    },
    background,
    onError: error => log.error({ err: error }, 'a mistake of the client API'),
  })
}

/** What customers do about their own account, as the client API asks for it. */
function accountPorts({
  account,
  store,
  books,
  live,
  checkout,
}: {
  readonly account: CustomerAccount
  readonly store: HeadraceStore
  readonly books: Books
  readonly live: LiveRates
  readonly checkout: Payments['checkout'] | undefined
}): AccountPorts {
  return {
    funds: orgId => books.orgFunds(orgId),
    spent: budgetId => books.budgetSpent(budgetId).settledNanodollars,
    createKey: (orgId, name) => account.createKey(orgId, name),
    revokeKey: keyId => account.revokeKey(keyId),
    addToken: token => store.tokens.add(token),
    revokeToken: (tokenId, revokedMs) => store.tokens.revoke(tokenId, revokedMs),
    usageHours: selection => account.usageHours(selection),
    firstHourMs: orgId => account.firstHourMs(orgId),
    price: priceId => store.priceById(priceId),
    chargesOf: (orgId, requestIds) => account.chargesOf(orgId, requestIds),
    setMonthlyLimit: (orgId, amount) => account.setMonthlyLimit(ownLimitId(orgId), orgId, amount),
    ...(checkout !== undefined && {
      checkout: (orgId, amountNanodollars) => checkout({ orgId, amountNanodollars, pack: null, id: null }),
    }),
    live: () => live.read(Date.now()),
  }
}

// Of the first place that can count: all places of a model have the same weights.
async function countInput(
  upstreams: UpstreamSet,
  request: InferenceRequest,
  model: Model,
): Promise<number | undefined> {
  for (const { upstreamId, upstreamModel } of model.targets) {
    const counted = await upstreams
      .get(upstreamId)
      ?.countInput?.(request, upstreamModel)
      .catch(() => undefined)
    if (counted !== undefined) return counted
  }
  return undefined
}
