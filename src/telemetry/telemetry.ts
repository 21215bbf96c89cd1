import type { Logger } from 'pino'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Settlement } from '../ledger/journal.ts'

/** What the data plane says about itself. Every metric's name is in this file. */
export interface Telemetry {
  /** A request was let in. */
  admitted(modelId: string): void
  /** A request was refused or failed with an error of the table; `from` tells the client's address. */
  refused(code: string, requestId: string, cause: unknown, from?: () => string): void
  settled(settlement: Settlement): void
  /** A stored answer was sent again. */
  replayed(): void
}

/** Seconds from request to first token: OpenTelemetry's advice for `gen_ai.server.time_to_first_token`. */
const TTFT_BUCKETS_S = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
/** Seconds of a whole request: likewise, for `gen_ai.server.request.duration`. */
const DURATION_BUCKETS_S = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]

const NANODOLLARS_PER_DOLLAR = 1e9

/** What is read when somebody scrapes, instead of being counted along the way. */
export interface Gauges {
  running(): number
  openHolds(): number
  overrunDollars(): number
}

/**
 * Metrics in Prometheus' form and a log of what went wrong. Prompts and answers never reach either. What is counted for each
 * request is tallied per model and handed on when somebody scrapes.
 */
export class PrometheusTelemetry implements Telemetry {
  readonly #registry = new Registry()
  readonly #tallies: Tally[] = []
  readonly #log: Logger
  readonly #admitted = new Counter({
    name: 'headrace_requests_admitted_total',
    help: 'Requests let in, by model',
    labelNames: ['model'],
    registers: [this.#registry],
  })
  readonly #refused = new Counter({
    name: 'headrace_requests_refused_total',
    help: 'Requests answered with an error, by code',
    labelNames: ['code'],
    registers: [this.#registry],
  })
  readonly #replayed = new Counter({
    name: 'headrace_answers_replayed_total',
    help: 'Stored answers sent again for an Idempotency-Key, without a charge',
    registers: [this.#registry],
  })
  readonly #settled = new Counter({
    name: 'headrace_requests_settled_total',
    help: 'Requests that ended, by model and ending',
    labelNames: ['model', 'ending'],
    registers: [this.#registry],
  })
  readonly #tokens = new Counter({
    name: 'gen_ai_client_token_usage_total',
    help: 'Tokens, by model and class; input contains cached, output contains reasoning',
    labelNames: ['model', 'class'],
    registers: [this.#registry],
  })
  readonly #charged = new Counter({
    name: 'headrace_charged_dollars_total',
    help: 'Charged to customers, by model; the ledger is exact, this is for graphs',
    labelNames: ['model'],
    registers: [this.#registry],
  })
  readonly #ttft = new Histogram({
    name: 'gen_ai_server_time_to_first_token_seconds',
    help: 'Request received to first output token',
    labelNames: ['model'],
    buckets: TTFT_BUCKETS_S,
    registers: [this.#registry],
  })
  readonly #duration = new Histogram({
    name: 'gen_ai_server_request_duration_seconds',
    help: 'Request received to settlement',
    labelNames: ['model'],
    buckets: DURATION_BUCKETS_S,
    registers: [this.#registry],
  })
  readonly #webhooks = new Counter({
    name: 'headrace_webhook_deliveries_total',
    help: 'Tries to deliver events to endpoints, by outcome; dropped are events that never reached the outbox',
    labelNames: ['outcome'],
    registers: [this.#registry],
  })
  readonly #perModel = new Map<string, ModelMetrics>()

  constructor(log: Logger, gauges: Gauges) {
    this.#log = log
    collectDefaultMetrics({ register: this.#registry })
    this.#gauge('headrace_requests_running', 'Requests admitted and not ended', gauges.running)
    this.#gauge('headrace_holds_open', 'Holds that are neither settled nor voided', gauges.openHolds)
    this.#gauge(
      'headrace_overrun_dollars',
      'Work of upstreams beyond holds since the start, which nobody pays; alarm above 0',
      gauges.overrunDollars,
    )
  }

  /** All metrics in the text form that Prometheus reads. */
  async exposition(): Promise<{ contentType: string; body: string }> {
    for (const tally of this.#tallies) tally.handOn()
    return { contentType: this.#registry.contentType, body: await this.#registry.metrics() }
  }

  admitted(modelId: string): void {
    this.#of(modelId).admitted.add(1)
  }

  refused(code: string, requestId: string, cause: unknown, from?: () => string): void {
    this.#refused.inc({ code })
    if (code === 'server_error') this.#log.error({ err: cause, requestId }, 'a mistake of the server')
    else if (this.#log.isLevelEnabled('info')) {
      const reason = cause instanceof Error ? cause.message : undefined
      this.#log.info({ code, requestId, client: from?.(), reason }, 'refused')
    }
  }

  replayed(): void {
    this.#replayed.inc()
  }

  settled(settlement: Settlement): void {
    const metrics = this.#of(settlement.modelId)
    const { usage, ttftMs } = settlement
    this.#countEnding(metrics, settlement)
    metrics.input.add(usage.inputTokens)
    metrics.cached.add(usage.cachedInputTokens)
    metrics.output.add(usage.outputTokens)
    metrics.charged.add(Number(settlement.chargeNanodollars) / NANODOLLARS_PER_DOLLAR)
    metrics.duration.observe(settlement.durationMs / 1000)
    if (ttftMs !== null) metrics.ttft.observe(ttftMs / 1000)
    if (settlement.overrunNanodollars > 0n) {
      this.#log.warn(
        {
          requestId: settlement.requestId,
          upstream: settlement.upstreamId,
          overrunNanodollars: String(settlement.overrunNanodollars),
        },
        'an upstream did more than was held',
      )
    }
    if (!this.#log.isLevelEnabled('debug')) return
    this.#log.debug(
      {
        requestId: settlement.requestId,
        model: settlement.modelId,
        ending: settlement.ending,
        charge: String(settlement.chargeNanodollars),
      },
      'settled',
    )
  }

  /** A try to deliver an event ended, or an event was dropped; `detail` says which, for the log. */
  webhook(outcome: 'delivered' | 'retried' | 'failed' | 'dropped', detail: object): void {
    this.#webhooks.inc({ outcome })
    if (outcome === 'delivered') this.#log.debug(detail, 'an event was delivered')
    else if (outcome === 'retried') this.#log.info(detail, 'an event could not be delivered yet')
    else this.#log.error(detail, `an event was ${outcome === 'failed' ? 'given up' : 'dropped'}`)
  }

  #countEnding(metrics: ModelMetrics, { modelId, ending }: Settlement): void {
    let tally = metrics.endings.get(ending)
    if (tally === undefined) {
      tally = this.#tally(this.#settled.labels({ model: modelId, ending }))
      metrics.endings.set(ending, tally)
    }
    tally.add(1)
  }

  #gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(read())
      },
    })
  }

  #tally(counter: Counter.Internal): Tally {
    const tally = new Tally(counter)
    this.#tallies.push(tally)
    return tally
  }

  #of(model: string): ModelMetrics {
    let metrics = this.#perModel.get(model)
    if (metrics === undefined) {
      metrics = {
        admitted: this.#tally(this.#admitted.labels({ model })),
        endings: new Map(),
        input: this.#tally(this.#tokens.labels({ model, class: 'input' })),
        cached: this.#tally(this.#tokens.labels({ model, class: 'cached_input' })),
        output: this.#tally(this.#tokens.labels({ model, class: 'output' })),
        charged: this.#tally(this.#charged.labels({ model })),
        ttft: this.#ttft.labels({ model }),
        duration: this.#duration.labels({ model }),
      }
      this.#perModel.set(model, metrics)
    }
    return metrics
  }
}

interface ModelMetrics {
  readonly admitted: Tally
  readonly endings: Map<string, Tally>
  readonly input: Tally
  readonly cached: Tally
  readonly output: Tally
  readonly charged: Tally
  readonly ttft: Histogram.Internal<string>
  readonly duration: Histogram.Internal<string>
}

/**
 * A counter that is told of the sum when it is read, not of every step: prom-client looks a counter up by its labels at each step, also
 * one that was bound to them, and the six steps of a request took as long as its admission.
 */
class Tally {
  readonly #counter: Counter.Internal
  #sum = 0

  constructor(counter: Counter.Internal) {
    this.#counter = counter
  }

  add(count: number): void {
    this.#sum += count
  }

  handOn(): void {
    if (this.#sum === 0) return
    this.#counter.inc(this.#sum)
    this.#sum = 0
  }
}

/** Says nothing: for the simulation and tests. */
export const SILENT: Telemetry = {
  admitted: () => undefined,
  refused: () => undefined,
  settled: () => undefined,
  replayed: () => undefined,
}
