import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { destination, type Logger, pino, stdTimeFunctions } from 'pino'
import { callerOf } from './admission/authenticate.ts'
import { KeyHasher } from './admission/key-hasher.ts'
import type { ScopedTokens } from './admission/scoped-tokens.ts'
import { type AccountPorts, ownLimitId } from './api/account.ts'
import { createClientApi } from './api/app.ts'
import { UPLOAD_PATHS } from './api/files.ts'
import { keptReader } from './api/kept-reader.ts'
import { FORM_BYTES_MAX } from './api/read-upload.ts'
import { Batches, unfinishedBatches } from './batches/batches.ts'
import { BATCH_PATHS } from './batches/endpoints.ts'
import type { OfflineControl, RunningServer, ServeHooks } from './cli/serve-types.ts'
import { versionText } from './cli/version-text.ts'
import { controlSocketPath } from './config/home-paths.ts'
import { type PriceSetting, tariffOfSetting } from './config/price-setting.ts'
import type { Config } from './config/schema.ts'
import { createControlApp } from './control/app.ts'
import { CustomerAccount } from './control/customer-account.ts'
import { expireGrants } from './control/expire-grants.ts'
import { firstRun } from './control/first-run.ts'
import { LimitSeeder } from './control/limit-seeder.ts'
import { keyPepper, operatorToken } from './control/operator-token.ts'
import type { RuntimeStatus } from './control/ports.ts'
import { createPublisher, type Publisher } from './control/publisher.ts'
import { requestCharge } from './control/request-charge.ts'
import { modelsOf, priceHistory, type StoredModel, type StoredTarget } from './control/snapshot-builder.ts'
import { OutsideClient } from './egress/outside-client.ts'
import { createEngineUpstream, type EngineUpstream } from './engine/engine-upstream.ts'
import { ApiError } from './errors.ts'
import { FileFolder } from './files/file-folder.ts'
import { Files } from './files/files.ts'
import { BackgroundResponses } from './gateway/background-responses.ts'
import { clientAddressReader } from './gateway/client-address.ts'
import { DetachedRuns } from './gateway/detached-runs.ts'
import { withImages } from './gateway/fetch-images.ts'
import { fetchListener } from './gateway/fetch-listener.ts'
import { Idempotency } from './gateway/idempotency.ts'
import { serveInner } from './gateway/inner-request.ts'
import { type ListenerSettings, listen } from './gateway/listener.ts'
import { Pipeline } from './gateway/pipeline.ts'
import type { Tariff } from './inference/price.ts'
import type { InferenceRequest, Protocol } from './inference/request.ts'
import type { Model, Price, Snapshot, Target } from './inference/snapshot.ts'
import { type BalanceWatch, Books, type LimitCrossing } from './ledger/books.ts'
import { keyBudget, tokenBudget } from './ledger/budget-id.ts'
import { LowBalance } from './ledger/low-balance.ts'
import { formatDollars, parseDollars } from './ledger/money.ts'
import type { BudgetCrossing, Notifier } from './ledger/notifier.ts'
import { pieceAt, sliceMs } from './ledger/window.ts'
import { type Catalogue, type CatalogueEntry, licenseText, loadCatalogue } from './models/catalogue.ts'
import { ModelError } from './models/model-error.ts'
import { modelFile, modelsFolder } from './models/model-files.ts'
import { pullModel } from './models/pull.ts'
import { PaymentRecorder } from './payments/payment-recorder.ts'
import { PROVIDER } from './payments/stripe/read-event.ts'
import { createStripePayments, type StripePayments } from './payments/stripe/stripe-payments.ts'
import { priceAt } from './pricing/calendar.ts'
import { documentOfTariff, sameTariff } from './pricing/document.ts'
import { overCost } from './pricing/margin.ts'
import { createOpenAiChat } from './protocols/openai-chat/codec.ts'
import { createOpenAiResponses } from './protocols/openai-responses/codec.ts'
import { createReasoningSeal } from './protocols/openai-responses/reasoning-seal.ts'
import type { ProtocolCodec } from './protocols/protocol.ts'
import { PROTOCOLS } from './protocols/protocols.ts'
import { generateRouteOf } from './protocols/surface.ts'
import { ByteRoom } from './std/byte-room.ts'
import { SYSTEM_CLOCK } from './std/clock.ts'
import { createIdMaker } from './std/request-id.ts'
import { type Backup, backUp as makeBackup } from './store/backup.ts'
import { acquireHomeLock } from './store/home-lock.ts'
import { restore as putBack, type Restored } from './store/restore.ts'
import { openStore, type Store } from './store/store.ts'
import { LiveRates } from './telemetry/live-rates.ts'
import { createPrettyLog } from './telemetry/pretty-log.ts'
import { PrometheusTelemetry, type Telemetry } from './telemetry/telemetry.ts'
import { HttpUpstream } from './upstreams/http-upstream.ts'
import { TokenCounter } from './upstreams/tokenizer/token-counter.ts'
import { UpstreamSet } from './upstreams/upstream-set.ts'
import { ResultWebhooks } from './webhooks/result-webhooks.ts'
import { WebhookNotifier } from './webhooks/webhook-notifier.ts'
import { Webhooks } from './webhooks/webhooks.ts'

/** Id of the embedded engine among the upstreams. */
const ENGINE_ID = 'engine'
/** How often deadlines and keep-alives are looked at. */
const TICK_MS = 250
const VERSION = versionText()
const TRANCHE_TOKENS = 8192
/** Context of a slot when the operator says nothing: long enough for agents, and four of them still fit a laptop. */
const SLOT_TOKENS_AUTO = 8192
/** Connections that are still open after draining are cut after so long. */
const LISTENER_GRACE_MS = 500
const ENGINE_GRACE_MS = 1000
/** How the ids of prices begin that came from a file and not from the operator's hand. */
const OFFERED_PRICE = 'price_file_'
const NANODOLLARS_PER_DOLLAR = 1e9

/** How often old months are looked for. */
const CLOSE_MONTHS_EVERY_MS = 6 * 3_600_000
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** What the images that were fetched for running requests take together. */
const IMAGE_BYTES_MAX = 512 * 1024 * 1024

/** A token that is over is known for so long, so that who comes with it is told that it has expired. */
const TOKENS_KNOWN_MS = 24 * HOUR_MS
/** And on the books for so long. */
const TOKENS_KEPT_MS = 90 * 24 * HOUR_MS

/** How often grants are looked for that are over. */
const END_GRANTS_EVERY_MS = 30_000

/** The store with the control plane's models in it. */
type HeadraceStore = Store<StoredModel>

/** What both a server and an offline command stand on: the home, its lock, its secrets, its store. */
interface Foundation {
  readonly store: HeadraceStore
  readonly pepper: Buffer
  readonly token: string
  readonly catalogue: Catalogue
  release(): Promise<void>
}

function databasePath(home: string): string {
  return join(home, 'headrace.db')
}

async function openFoundation(config: Config, onFatal?: (error: Error) => void): Promise<Foundation> {
  const { home } = config
  mkdirSync(home, { recursive: true, mode: 0o700 })
  const lock = acquireHomeLock(home)
  try {
    const store = await openStore<StoredModel>({
      path: databasePath(home),
      onFatal,
      answersBytesMax: config.money.idempotency.totalBytesMax,
    })
    return {
      store,
      pepper: keyPepper(home, randomBytes),
      token: operatorToken(home, randomBytes),
      catalogue: loadCatalogue(home, config.models.catalogueFile),
      async release() {
        await store.close()
        lock.release()
      },
    }
  } catch (error) {
    lock.release()
    throw error
  }
}

/**
 * The control plane over a home that no server runs on, in this process, under the home's lock.
 *
 * @throws HomeLockedError when another process has the home.
 */
export async function openOffline(config: Config): Promise<OfflineControl> {
  const foundation = await openFoundation(config)
  try {
    const { store, token, pepper } = foundation
    const publisher = await createPublisher(() => store.loadState())
    const startedMs = Date.now()
    const control = createControlApp({
      store,
      snapshot: publisher.current,
      publish: publisher.publish,
      status: () => ({
        version: VERSION,
        startedMs,
        listening: [],
        upstreams: [],
        journal: { healthy: true, detail: '' },
      }),
      clock: SYSTEM_CLOCK,
      randomBytes,
      pepper,
      operatorToken: token,
      billing: config.billing,
      payments: { list: page => store.payments.list(page) },
      webhooks: new Webhooks({
        settings: config.webhooks,
        outbox: store.outbox,
        clock: SYSTEM_CLOCK,
        newId: createIdMaker(() => Date.now()),
      }),
    })
    return {
      async send(request) {
        const authorised = new Request(request)
        authorised.headers.set('authorization', `Bearer ${token}`)
        return control.fetch(authorised)
      },
      close: foundation.release,
    }
  } catch (error) {
    await foundation.release()
    throw error
  }
}

/** Copies the database of a home to a file, or with the pepper to a folder, beside a server that may run. */
export function backUp(config: Config, target: string, { whole }: { whole: boolean }): Backup {
  return makeBackup({
    databasePath: databasePath(config.home),
    target,
    pepperPath: whole ? join(config.home, 'pepper') : null,
  })
}

/**
 * Puts a backup in place of the database of a home; what was there stays beside it.
 *
 * @throws HomeLockedError when another process has the home.
 */
export function restore(config: Config, source: string): Restored {
  return putBack(source, config.home, Date.now())
}

/**
 * Builds every part and hands it to the next, then listens. Rejects with an error that says what was wrong: the home in use
 * (`HomeLockedError`), the address taken (the system's error), a file that cannot be read.
 */
export async function serve(config: Config, hooks: ServeHooks): Promise<RunningServer> {
  // V8 puts what outlived the first collections straight into the old generation from then on. With many clients at a start all that
  // they ask outlives them, the young generation being small yet, and requests would be collected with the old one for good.
  // Measured at 64 clients: 5 ms for a young collection of 500 requests, and 1.5 ms without this habit.
  setFlagsFromString('--no-allocation-site-pretenuring')
  const log = createLog(config)
  const startedMs = Date.now()
  hooks.onProgress({ type: 'phase', name: 'store' })
  // After a failed fsync nobody knows what is on the disk: the server must not go on as if it knew.
  let stopOnFatal: (error: Error) => void = () => undefined
  const foundation = await openFoundation(config, error => {
    log.fatal({ err: error }, 'the disk failed; the server stops')
    stopOnFatal(error)
  })
  const { store, pepper, token } = foundation
  // Whatever was started is stopped again, last first, when a later step fails, and when the server stops.
  const undo: (() => Promise<void> | void)[] = [foundation.release]
  try {
    const first = await firstRun(
      { store, randomBytes, pepper, nowMs: startedMs },
      parseDollars(config.money.startingCredit),
    )

    const engine = createEngine(config)
    const upstreams = new UpstreamSet(SYSTEM_CLOCK)
    upstreams.add(engine)
    const counter = new TokenCounter(SYSTEM_CLOCK.after, message => log.warn({ message }, 'a tokenizer cannot be used'))
    undo.push(() => counter.close())
    for (const options of config.upstreams) upstreams.add(createHttpUpstream(options, counter))
    undo.push(() => upstreams.close(ENGINE_GRACE_MS))
    await offerUpstreamModels(config, store, startedMs)
    await offerDefaultModel(config, foundation, hooks, startedMs)
    let seeder: LimitSeeder | null = null
    const publisher = await createPublisher(
      async () => {
        const state = await store.loadState()
        await seeder?.follow(state.limits)
        return state
      },
      snapshot => offerFiles(engine, config, targetsOf(snapshot)),
    )

    const { balances, spent, limits } = await store.loadState()
    const tokens = await store.tokens.live(startedMs)
    const newId = createIdMaker(() => Date.now())
    const webhooks = new Webhooks({ settings: config.webhooks, outbox: store.outbox, clock: SYSTEM_CLOCK, newId })
    const notifier = new WebhookNotifier({
      emit: (type, data) => webhooks.emit(type, data),
      fundsOf: orgId => books.orgFunds(orgId),
      nowMs: () => Date.now(),
    })
    const books: Books = new Books(
      store,
      {
        balances,
        spent: new Map([
          ...[...spent].map(([keyId, amount]) => [keyBudget(keyId), amount] as const),
          ...tokens.map(({ token, spentNanodollars }) => [tokenBudget(token.id), spentNanodollars] as const),
        ]),
      },
      {
        onBalance: watchBalances(config, balances, notifier),
        onCrossing: crossing => notifier.budgetCrossed(budgetCrossing(publisher.current(), crossing, Date.now())),
      },
    )
    seeder = new LimitSeeder(books, store, Date.now)
    await seeder.follow(limits)
    const telemetry: PrometheusTelemetry = new PrometheusTelemetry(log, {
      running: () => pipeline.running,
      openHolds: () => books.openHolds,
      overrunDollars: () => Number(books.overrunNanodollars) / NANODOLLARS_PER_DOLLAR,
    })
    const live = new LiveRates()
    const keyHasher = new KeyHasher(pepper)
    for (const { token } of tokens) keyHasher.tokens.put(token)
    const salt = randomBytes(16).toString('hex')
    // One each, so that slow webhooks do not take the turns of images.
    const [outside, webhooksOutside] = [new OutsideClient(config.egress), new OutsideClient(config.egress)]
    undo.push(async () => void (await Promise.all([outside.close(), webhooksOutside.close()])))
    const imageRoom = new ByteRoom(IMAGE_BYTES_MAX)
    const pipeline = new Pipeline({
      snapshot: publisher.current,
      books,
      journal: store,
      upstreams,
      clock: SYSTEM_CLOCK,
      telemetry: observed(telemetry, live),
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
    const ticking = setInterval(() => pipeline.tick(), TICK_MS)
    undo.push(() => clearInterval(ticking))

    undo.push(closeOldMonths(config, store, log))
    undo.push(await endGrants(store, books, log))
    const codecs = createCodecs(config, pepper)
    const { files, batches, goOn } = await openBatches(config, {
      ...{ store, pipeline, codecs, publisher, upstreams, newId, log },
    })
    undo.push(() => batches.close())
    undo.push(sweepKept(store, files, log))
    undo.push(forgetTokens(store, keyHasher.tokens, books, log))

    webhooks.start({
      env: process.env,
      chance: Math.random,
      onOutcome: (outcome, detail) => telemetry.webhook(outcome, detail),
      onError: error => log.error({ err: error }, 'the outbox of webhooks failed'),
    })
    undo.push(() => webhooks.close())
    const results = new ResultWebhooks({
      kept: store.kept,
      outside: webhooksOutside,
      clock: SYSTEM_CLOCK,
      chance: Math.random,
      onOutcome: (outcome, detail) => log.debug({ outcome, detail }, 'a result was sent to its webhook'),
      onError: error => log.error({ err: error }, 'a result could not be sent to its webhook'),
    })
    undo.push(() => results.close())
    await results.resume()
    const payments = await createPayments(config, { store, books, publisher, notifier, newId, log })

    const urls: string[] = []
    const control = createControlApp({
      store,
      books,
      snapshot: publisher.current,
      publish: publisher.publish,
      status: () => runtimeStatus(startedMs, urls, upstreams, engine, pipeline),
      clock: SYSTEM_CLOCK,
      randomBytes,
      pepper,
      operatorToken: token,
      billing: config.billing,
      payments: { checkout: payments?.checkout, list: page => store.payments.list(page) },
      webhooks,
      onError: error => log.error({ err: error }, 'a mistake of the control plane'),
    })
    const background = new BackgroundResponses({
      ...{ pipeline, kept: store.kept, keepMs: config.responses.keepDays * DAY_MS, nowMs: () => Date.now() },
      onError: error => log.error({ err: error }, 'how a background response ended could not be written'),
    })
    undo.push(() => background.idle())
    const interrupted = await background.recover()
    if (interrupted > 0) log.warn({ interrupted }, 'background responses were cut off by the end of the last server')
    const account = new CustomerAccount({ store, publish: publisher.publish, randomBytes, pepper, nowMs: Date.now })
    const clientApi = createClientApi({
      codecs: [...codecs.values()],
      account: accountPorts({ account, store, books, live, checkout: payments?.checkout }),
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
    const controlListener = fetchListener(request => control.fetch(request))
    hooks.onProgress({ type: 'phase', name: 'listen' })
    const listener = await listen({
      pipeline: new DetachedRuns({ pipeline: background, sender: results }),
      codecs,
      newId,
      nowMs: () => Date.now(),
      api: clientApi.fetch,
      control: controlListener,
      paymentReceivers: new Map(payments === null ? [] : [[payments.provider, payments.receive]]),
      metrics: config.telemetry.metrics ? () => telemetry.exposition() : null,
      health: () => ({
        ok: pipeline.journalHealthy,
        body: { status: pipeline.journalHealthy ? 'ok' : 'settlements cannot be written', version: VERSION },
      }),
      settings: listenerSettings(config),
    })
    undo.push(() => listener.close(LISTENER_GRACE_MS))
    const socket = await listenPrivately(config.home, controlListener)
    undo.push(() => closeSocket(socket, config.home))
    urls.push(urlOf(config, listener.address.port))

    hooks.onProgress({ type: 'phase', name: 'engine' })
    await warmDefault(config, engine, publisher, hooks)
    goOn()
    const running = stoppable(pipeline, undo, config.server.drainTimeoutMs)
    stopOnFatal = running.fail
    return {
      urls,
      firstRun:
        first === null
          ? null
          : { secret: first.secret, orgId: first.orgId, credit: formatDollars(first.creditNanodollars) },
      models: describeModels(publisher, foundation.catalogue, config.home),
      stop: running.stop,
      closed: running.closed,
    }
  } catch (error) {
    await runBackwards(undo)
    throw error
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

// The first call drains and closes everything; a second is an operator who has waited long enough.
function stoppable(
  pipeline: Pipeline,
  undo: (() => Promise<void> | void)[],
  drainTimeoutMs: number,
): Pick<RunningServer, 'stop' | 'closed'> & { fail(error: Error): void } {
  const closed = Promise.withResolvers<void>()
  closed.promise.catch(() => undefined)
  let stopping = false
  return {
    closed: closed.promise,
    fail(error) {
      stopping = true
      // Nothing that runs can be charged any more; `closed` tells the command line, whose exit code tells the supervisor.
      const ended = pipeline.drain(0).then(() => runBackwards(undo))
      ended.catch(() => undefined).then(() => closed.reject(error))
    },
    stop() {
      if (stopping) void pipeline.drain(0)
      else {
        stopping = true
        pipeline
          .drain(drainTimeoutMs)
          .then(() => runBackwards(undo))
          .then(closed.resolve, closed.reject)
      }
      return closed.promise
    },
  }
}

/** What clients can speak, by its name. */
function createCodecs(config: Config, pepper: Buffer): ReadonlyMap<Protocol, ProtocolCodec> {
  const keepMs = config.responses.keepDays * DAY_MS
  const keeping = [createOpenAiChat({ keepMs }), createOpenAiResponses({ keepMs, seal: createReasoningSeal(pepper) })]
  return new Map([...PROTOCOLS, ...keeping].map(codec => [codec.protocol, codec]))
}

async function runBackwards(steps: (() => Promise<void> | void)[]): Promise<void> {
  for (const step of steps.reverse()) await step()
}

function createLog(config: Config): Logger {
  const { level, format } = config.log
  const pretty = format === 'pretty' || (format === 'auto' && process.stderr.isTTY)
  const options = { level, base: undefined, timestamp: stdTimeFunctions.isoTime }
  return pino(options, pretty ? createPrettyLog(process.stderr) : destination(2))
}

function createEngine(config: Config): EngineUpstream {
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

function createHttpUpstream(options: Config['upstreams'][number], counter: TokenCounter): HttpUpstream {
  const {
    id,
    api,
    baseUrl,
    apiKeyEnv,
    connectionsMax,
    queueDepthMax,
    allowPrivate,
    stoppable: canStop,
    keepsNoPrompts,
    continuation,
    headersTimeoutMs,
    models,
  } = options
  const dimensions = new Map(models.flatMap(each => (each.dimensions === null ? [] : [[each.name, each.dimensions]])))
  const files = new Map<string, string>()
  for (const { name, tokenizer } of models) {
    if (tokenizer === null) continue
    if (!existsSync(tokenizer))
      throw new Error(
        `upstreams: the tokenizer of ${name} at ${id}, ${tokenizer}, is not there. Correct the path, or remove it.`,
      )
    files.set(name, tokenizer)
  }
  const apiKey = apiKeyEnv === null ? null : process.env[apiKeyEnv]
  if (apiKey === undefined)
    throw new Error(
      `upstreams: ${id} takes its key from the environment variable ${apiKeyEnv}, which is not set. Set it, or apiKeyEnv: null.`,
    )
  return new HttpUpstream({
    id,
    api,
    baseUrl,
    apiKey,
    connectionsMax,
    queueDepthMax,
    allowPrivate,
    stoppable: canStop,
    keepsNoPrompts,
    continuation,
    efforts: new Map(models.flatMap(({ name, efforts }) => (Object.keys(efforts).length > 0 ? [[name, efforts]] : []))),
    headersTimeoutMs,
    bodyTimeoutMs: headersTimeoutMs,
    tokenizers: { counter, files },
    dimensions,
  })
}

// What the configuration says of upstreams is carried into the store, so that one snapshot has all models: a target is added to
// its model, and a price that differs from the one it had there before begins now.
async function offerUpstreamModels(config: Config, store: HeadraceStore, nowMs: number): Promise<void> {
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

async function offerPrice(
  store: HeadraceStore,
  prices: readonly Price[],
  modelId: string,
  offered: PriceSetting,
  nowMs: number,
): Promise<void> {
  const tariff = tariffOfSetting(offered)
  // Compared with what was offered before, and not with the price in force: an operator who has set another since keeps it.
  const before = prices.filter(each => each.modelId === modelId && each.id.startsWith(OFFERED_PRICE)).at(-1)
  if (before !== undefined && sameTariff(before, tariff)) return
  const id = createIdMaker(() => nowMs)(OFFERED_PRICE)
  await store.setPrice({ id, modelId, fromMs: nowMs, toMs: null, ...tariff })
}

// Prices that were made of what an upstream takes are made again when it takes something else, each for the rest of its time. What
// was charged by those before stays explicable, since every row is whole in itself.
async function followCost(
  store: HeadraceStore,
  prices: readonly Price[],
  modelId: string,
  upstreamId: string,
  cost: Tariff,
  nowMs: number,
): Promise<void> {
  const newId = createIdMaker(() => nowMs)
  const groups = Map.groupBy(
    prices.filter(price => price.modelId === modelId),
    price => price.group ?? null,
  )
  const renewed = [...groups.values()].flatMap(priceHistory).flatMap(price => {
    const margin = price.terms?.margin
    if (margin?.upstreamId !== upstreamId || (price.toMs !== null && price.toMs <= nowMs)) return []
    const tariff = overCost(cost, upstreamId, margin.multiplier)
    if (sameTariff(price, tariff)) return []
    const { group, fromMs, toMs } = price
    return [
      {
        id: newId('price_cost_'),
        modelId,
        ...(group != null && { group }),
        fromMs: Math.max(fromMs, nowMs),
        toMs,
        ...tariff,
      },
    ]
  })
  if (renewed.length > 0) await store.setPrices(renewed)
}

// Fetches the default model where it is missing. Without it the server still starts, and says how to bring a file.
async function offerDefaultModel(
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

function targetsOf(snapshot: Snapshot): Target[] {
  return modelsOf(snapshot).flatMap(model => model.targets)
}

// Tells the engine where the files of the models are that it is to run. A model that was pulled while the server runs is found
// here when it is published.
function offerFiles(engine: EngineUpstream, config: Config, targets: readonly Target[]): void {
  const catalogue = loadCatalogue(config.home, config.models.catalogueFile)
  for (const { upstreamId, upstreamModel } of targets) {
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

/** Tells of balances that fall below what the operator wants to know of. */
function watchBalances(
  config: Config,
  balances: ReadonlyMap<string, bigint>,
  notifier: Notifier,
): BalanceWatch | undefined {
  if (config.money.lowBalance === null) return undefined
  const threshold = parseDollars(config.money.lowBalance)
  const low = new LowBalance(threshold, balances, (orgId, balance) => notifier.creditLow(orgId, balance, threshold))
  return (orgId, balance) => low.balanceIs(orgId, balance)
}

/** What sells credit; null when nothing is configured. */
async function createPayments(
  config: Config,
  parts: {
    readonly store: HeadraceStore
    readonly books: Books
    readonly publisher: Publisher
    readonly notifier: Notifier
    readonly newId: (prefix: string) => string
    readonly log: Logger
  },
): Promise<(StripePayments & { readonly provider: string }) | null> {
  const { stripe: settings } = config.payments
  if (settings === null) return null
  const { store, books, publisher, notifier, newId, log } = parts
  const nowMs = () => Date.now()
  const events = new PaymentRecorder({
    addCredit: transfer => store.addCredit(transfer),
    post: transfer => store.post(transfer, { force: true }),
    bookedTotal: idPrefix => store.payments.bookedTotal(idPrefix),
    credit: (orgId, amount) => books.credit(orgId, amount),
    isOrg: orgId => publisher.current().orgs.has(orgId),
    record: event => store.payments.record(event),
    orgOf: paymentId => store.payments.orgOf(paymentId),
    notifier,
    nowMs,
    onOutcome({ id, type, kind, reason, orgId }) {
      if (kind === 'credited') log.info({ id, type, org: orgId }, 'a payment was credited')
      else if (kind !== 'ignored')
        log.warn({ id, type, org: orgId, kind }, 'what went back of a payment was taken back')
      else log.warn({ id, type, org: orgId, reason }, 'an event of a payment was not booked')
    },
  })
  const payments = await createStripePayments({ settings, env: process.env, events, newId, nowMs })
  return {
    provider: PROVIDER,
    checkout: payments.checkout,
    async receive(headers, body) {
      try {
        await payments.receive(headers, body)
      } catch (error) {
        if (error instanceof ApiError) throw error
        log.error({ err: error }, 'an event of a payment could not be written down; it will be sent again')
        throw new ApiError('settlement_unavailable', 'The event could not be written down. Send it again.', {
          cause: error,
        })
      }
    },
  }
}

/** What is told of a limit: the books know its rule by the counter alone. */
function budgetCrossing(snapshot: Snapshot, crossing: LimitCrossing, nowMs: number): BudgetCrossing {
  const { limit, percent, refused, settled, held } = crossing
  const { fromMs, toMs } = pieceAt(limit.window, nowMs)
  const bounded = (atMs: number) => (Number.isFinite(atMs) && sliceMs(limit.window) === null ? atMs : null)
  return {
    orgId: snapshot.limits.get(limit.id.split(':', 1)[0] as string)?.orgId ?? null,
    ...{ budgetId: limit.id, measure: limit.measure, percent, refused, amount: limit.amount, settled, held },
    ...{ fromMs: bounded(fromMs), toMs: bounded(toMs) },
  }
}

/** The telemetry of the data plane, which tells the live rates of settlements as well. */
function observed(telemetry: Telemetry, live: LiveRates): Telemetry {
  return {
    admitted: modelId => telemetry.admitted(modelId),
    refused: (code, requestId, cause, from) => telemetry.refused(code, requestId, cause, from),
    replayed: () => telemetry.replayed(),
    settled(settlement) {
      telemetry.settled(settlement)
      live.settled(settlement)
    },
  }
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
  readonly checkout: StripePayments['checkout'] | undefined
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

/** Drops the usage rows of months that the operator no longer keeps, now and every some hours. Answers what ends it. */
function closeOldMonths(config: Config, store: HeadraceStore, log: Logger): () => void {
  const kept = config.money.usageMonthsKept
  if (kept === 'all') return () => undefined
  const close = async () => {
    const now = new Date()
    const beforeMs = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - kept)
    try {
      const months = await store.closeMonths(beforeMs, now.getTime())
      if (months.length > 0) log.info({ months }, 'the usage rows of old months were dropped, their sums stay')
    } catch (error) {
      log.error({ err: error }, 'old months could not be closed')
    }
  }
  void close()
  const timer = setInterval(close, CLOSE_MONTHS_EVERY_MS)
  return () => clearInterval(timer)
}

/** Files, and the batches that read and write them; `goOn` takes up what a process before left unfinished. */
async function openBatches(
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

/** Deletes stored answers, kept documents and files that are over, now and every hour. Answers what ends it. */
function sweepKept(store: HeadraceStore, files: Files, log: Logger): () => void {
  const sweepDocuments = async () => {
    const swept = await store.kept.sweep(Date.now())
    for (const { kind, orgId, id } of swept) if (kind === 'file') await files.removeBytes(orgId, id)
    return swept.length
  }
  const sweep = async () => {
    try {
      while ((await store.sweepAnswers(Date.now())) > 0);
      while ((await sweepDocuments()) > 0);
    } catch (error) {
      log.error({ err: error }, 'what was kept and is over could not be deleted')
    }
  }
  void sweep()
  const timer = setInterval(sweep, HOUR_MS)
  return () => clearInterval(timer)
}

/** Forgets tokens that are over, and deletes those that were for long, now and every hour. Answers what ends it. */
function forgetTokens(store: HeadraceStore, tokens: ScopedTokens, books: Books, log: Logger): () => void {
  const forget = async () => {
    try {
      books.forgetBudgets(tokens.forget(Date.now() - TOKENS_KNOWN_MS).map(tokenBudget))
      while ((await store.tokens.sweep(Date.now() - TOKENS_KEPT_MS)) > 0);
    } catch (error) {
      log.error({ err: error }, 'tokens that are over could not be deleted')
    }
  }
  void forget()
  const timer = setInterval(forget, HOUR_MS)
  return () => clearInterval(timer)
}

// Those that ended while no server ran go back before a request can hold them.
async function endGrants(store: HeadraceStore, books: Books, log: Logger): Promise<() => void> {
  const end = async () => {
    try {
      const ended = await expireGrants({ store, books, clock: SYSTEM_CLOCK }, null)
      if (ended > 0n) log.info({ dollars: formatDollars(ended) }, 'what was left of grants that are over went back')
    } catch (error) {
      log.error({ err: error }, 'grants that are over could not be ended')
    }
  }
  await end()
  const timer = setInterval(end, END_GRANTS_EVERY_MS)
  return () => clearInterval(timer)
}

async function warmDefault(
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

function describeModels(publisher: Publisher, catalogue: Catalogue, home: string): RunningServer['models'] {
  return modelsOf(publisher.current()).map(model => {
    const entry = model.targets.some(target => target.upstreamId === ENGINE_ID) ? catalogue.find(model.id) : undefined
    const file = entry === undefined ? null : join(modelsFolder(home), entry.file.name)
    const priced = priceAt(model.prices, Date.now()) !== undefined
    const state = file !== null && !existsSync(file) ? 'file missing' : priced ? 'ready' : 'no price'
    return { id: model.id, state, file }
  })
}

function runtimeStatus(
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

function listenerSettings(config: Config): ListenerSettings {
  const { server } = config
  const uploads = {
    paths: UPLOAD_PATHS,
    fileBytesMax: config.files.bytesMax,
    formBytesMax: FORM_BYTES_MAX,
    timeoutMs: server.requestDeadlineMs,
  }
  const tls =
    server.tls === null ? null : { cert: readFileSync(server.tls.certFile), key: readFileSync(server.tls.keyFile) }
  const clientAddress = clientAddressReader(server.trustedProxies)
  return { ...server, tls, uploads, corsOrigins: server.cors.origins, clientAddress }
}

// The command line's door: a socket that only the operator's user can open.
async function listenPrivately(home: string, listener: RequestListener): Promise<Server> {
  const path = controlSocketPath(home)
  // We hold the home's lock, so a socket that is there was left behind by a server that was killed.
  if (process.platform !== 'win32') rmSync(path, { force: true })
  const server = createServer(listener)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
  if (process.platform !== 'win32') chmodSync(path, 0o600)
  return server
}

async function closeSocket(server: Server, home: string): Promise<void> {
  server.closeAllConnections()
  await new Promise<void>(resolve => server.close(() => resolve()))
  if (process.platform !== 'win32') rmSync(controlSocketPath(home), { force: true })
}

function urlOf(config: Config, port: number): string {
  const { host, tls } = config.server
  const shown = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
  return `${tls === null ? 'http' : 'https'}://${shown.includes(':') ? `[${shown}]` : shown}:${port}`
}
