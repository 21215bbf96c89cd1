import { randomBytes } from 'node:crypto'
import { setFlagsFromString } from 'node:v8'
import { KeyHasher } from '../admission/key-hasher.ts'
import type { RunningServer, ServeHooks } from '../cli/serve-types.ts'
import type { Config } from '../config/schema.ts'
import { createControlApp } from '../control/app.ts'
import { firstRun } from '../control/first-run.ts'
import { LimitSeeder } from '../control/limit-seeder.ts'
import { createPublisher } from '../control/publisher.ts'
import { OutsideClient } from '../egress/outside-client.ts'
import { BackgroundResponses } from '../gateway/background-responses.ts'
import { DetachedRuns } from '../gateway/detached-runs.ts'
import { fetchListener } from '../gateway/fetch-listener.ts'
import { listen } from '../gateway/listener.ts'
import type { Pipeline } from '../gateway/pipeline.ts'
import { formatDollars, parseDollars } from '../ledger/money.ts'
import { SYSTEM_CLOCK } from '../std/clock.ts'
import { createIdMaker } from '../std/request-id.ts'
import { LiveRates } from '../telemetry/live-rates.ts'
import { PrometheusTelemetry } from '../telemetry/telemetry.ts'
import { TokenCounter } from '../upstreams/tokenizer/token-counter.ts'
import { UpstreamSet } from '../upstreams/upstream-set.ts'
import { ResultWebhooks } from '../webhooks/result-webhooks.ts'
import { Webhooks } from '../webhooks/webhooks.ts'
import { openBatches } from './batches.ts'
import { openClientApi } from './client-api.ts'
import { createCodecs, createPipeline } from './data-plane.ts'
import { createEngine, offerFiles, warmDefault } from './engine.ts'
import { openFoundation } from './foundation.ts'
import { createHttpUpstream } from './http-upstream.ts'
import { closeSocket, listenerSettings, listenPrivately, urlOf } from './listening.ts'
import { createLog, observed } from './logging.ts'
import { openBooks } from './money.ts'
import { offerDefaultModel, offerUpstreamModels } from './offer-models.ts'
import { createPayments } from './payments.ts'
import { describeModels, runtimeStatus } from './status.ts'
import { runBackwards, stoppable, type Undo } from './stopping.ts'
import { closeOldMonths, endGrants, forgetTokens, sweepKept } from './upkeep.ts'
import { VERSION } from './version.ts'

/** How often deadlines and keep-alives are looked at. */
const TICK_MS = 250
/** Connections that are still open after draining are cut after so long. */
const LISTENER_GRACE_MS = 500
const ENGINE_GRACE_MS = 1000
const NANODOLLARS_PER_DOLLAR = 1e9
const DAY_MS = 24 * 3_600_000

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
  const undo: Undo = [foundation.release]
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
      snapshot => offerFiles(engine, config, snapshot),
    )

    const newId = createIdMaker(() => Date.now())
    const webhooks = new Webhooks({ settings: config.webhooks, outbox: store.outbox, clock: SYSTEM_CLOCK, newId })
    const { books, notifier, limits, tokens } = await openBooks(config, {
      ...{ store, publisher, webhooks, nowMs: startedMs },
    })
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
    // One each, so that slow webhooks do not take the turns of images.
    const [outside, webhooksOutside] = [new OutsideClient(config.egress), new OutsideClient(config.egress)]
    undo.push(async () => void (await Promise.all([outside.close(), webhooksOutside.close()])))
    const pipeline: Pipeline = createPipeline(config, {
      ...{ store, publisher, books, notifier, upstreams, keyHasher, outside, newId },
      telemetry: observed(telemetry, live),
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
    const clientApi = openClientApi(config, {
      ...{ store, publisher, books, upstreams, pipeline, background, codecs, files, batches },
      ...{ live, keyHasher, pepper, newId, log, checkout: payments?.checkout },
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
