import type { Seen, Told } from './exchange.ts'
import type { RequestPlan } from './plan.ts'

/** An answer that its client saw whole, and what it has to agree with. */
export interface WholeAnswer {
  readonly requestId: string
  readonly stream: boolean
  /** Tokens that the upstream made if the answer is not cut short: choices times the tokens asked for. */
  readonly outputTokensMost: number
  /** Null where usage was not asked for, or did not come. */
  readonly told: Told | null
}

/** Numbers of what clients sent and saw. */
export interface Counts {
  /** Requests of the plan that have come to their end. */
  requests: number
  /** Requests on the wire, repeats included. */
  sent: number
  repeats: number
  streamed: number
  /** Clients that left before their answer was whole. */
  left: number
  /** Connections that broke, as they do when the server is killed. */
  broken: number
  /** Answers that ended with an error frame or an error of the upstream. */
  failed: number
  /** On the wire without a head of an answer, so that their request id is unknown. */
  nameless: number
  /** Refused for want of money, at the last try of the request. */
  refused: number
  /** Answers that came to their last byte, `[DONE]` of a stream included. */
  done: number
}

/** Codes that only tell of an upstream that broke off, or of its time to recover. */
const UPSTREAM_CODES = new Set(['upstream_error', 'model_unavailable', 'engine_overloaded', 'upstream_timeout'])
const UNEXPECTED_SHOWN_MAX = 10
const SHOWN_AS = {
  late: 'no byte for too long',
  broken: 'the connection broke while the server ran',
  left: 'its client left',
}

/** What all clients saw, in numbers, and one entry for each request that has a name. Grows with the number of requests, and with nothing else. */
export class Tally {
  readonly counts: Counts = {
    requests: 0,
    sent: 0,
    repeats: 0,
    streamed: 0,
    left: 0,
    broken: 0,
    failed: 0,
    nameless: 0,
    refused: 0,
    done: 0,
  }
  readonly whole = new Map<string, WholeAnswer>()
  /** All request ids that clients were told. */
  readonly named = new Set<string>()
  /** Refusals for want of money by their code, repeats included. */
  readonly refusals = new Map<string, number>()
  /** Two answers came with the same request id. */
  repeatedIds = 0
  /** Charges that clients were told of, nanodollars. */
  toldNanodollars = 0n
  /** While the server is killed and started again, connections may break. */
  isServerDown = false
  /** Answers that no part of the plan explains. */
  unexpected = 0
  readonly unexpectedShown: string[] = []
  /** Requests that were over when the first was refused for good; null: none was. */
  firstRefusedAfter: number | null = null

  /** One request was on the wire and came to its end there. */
  add(plan: RequestPlan, seen: Seen): void {
    const { counts } = this
    counts.sent++
    if (plan.stream) counts.streamed++
    if (seen.cut === 'left' && !seen.isWhole) counts.left++
    if (seen.cut === 'broken') {
      counts.broken++
      if (!this.isServerDown) this.#addUnexpected(seen)
    }
    if (seen.requestId === null) counts.nameless++
    else {
      if (this.named.has(seen.requestId)) this.repeatedIds++
      this.named.add(seen.requestId)
    }
    if (seen.isWhole && seen.requestId !== null) this.#addWhole(plan, seen, seen.requestId)
    else if (seen.status === 402) increase(this.refusals, seen.errorCode ?? 'unknown')
    else if (seen.errorCode !== null && UPSTREAM_CODES.has(seen.errorCode)) counts.failed++
    else if (seen.cut === null || seen.cut === 'late' || seen.errorCode !== null) this.#addUnexpected(seen)
  }

  /** A request of the plan is over, with what its last try saw. */
  close({ status }: Seen): void {
    this.counts.requests++
    if (status !== 402) return
    this.counts.refused++
    this.firstRefusedAfter ??= this.counts.requests
  }

  #addWhole({ stream, maxTokens, choices }: RequestPlan, { told, isDone }: Seen, requestId: string): void {
    if (isDone) this.counts.done++
    this.whole.set(requestId, { requestId, stream, outputTokensMost: maxTokens * choices, told })
    this.toldNanodollars += told?.costNanodollars ?? 0n
  }

  #addUnexpected({ status, errorCode, cut }: Seen): void {
    this.unexpected++
    if (this.unexpectedShown.length >= UNEXPECTED_SHOWN_MAX) return
    const what = cut === null ? 'an answer that ends before it is whole, without an error' : SHOWN_AS[cut]
    this.unexpectedShown.push(errorCode === null ? `status ${status}: ${what}` : `status ${status}: ${errorCode}`)
  }
}

function increase(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1)
}
