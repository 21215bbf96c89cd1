import type { LimitRule } from '../inference/limit-rule.ts'
import type { Books } from '../ledger/books.ts'
import type { Admission } from '../ledger/journal.ts'
import { pieceAt } from '../ledger/window.ts'

interface Running {
  readonly keyId: string
  /** Who works on it; null while nobody does. */
  modelId: string | null
  /** Where it counts, by rule: the beginning of the window's piece. */
  readonly pieces: ReadonlyMap<LimitRule, number>
}

/**
 * An opinion of its own on limits, for one process at a time: how many requests of a key run at a time, and what the requests that were
 * let in in one calendar window were charged. Of a rolling window it only says that nothing stays held.
 */
export class LimitAuditor {
  readonly #rulesByKey: ReadonlyMap<string, readonly LimitRule[]>
  readonly #wrong: (subject: string, what: string) => void
  #running = new Map<string, Running>()
  /** Charged by rule and piece. */
  #charged = new Map<LimitRule, Map<number, bigint>>()
  /** The newest piece that something counted in: a clock that goes back does not open an old one again. */
  #newest = new Map<LimitRule, number>()

  constructor(rulesByKey: ReadonlyMap<string, readonly LimitRule[]>, wrong: (subject: string, what: string) => void) {
    this.#rulesByKey = rulesByKey
    this.#wrong = wrong
  }

  admitted({ requestId, keyId, admittedMs }: Admission): void {
    const pieces = new Map<LimitRule, number>()
    this.#running.set(requestId, { keyId, pieces, modelId: null })
    for (const rule of this.#rulesByKey.get(keyId) ?? []) {
      if (rule.measure === 'concurrency') {
        if (rule.modelId === null) this.#checkCrowd(requestId, rule, each => each.keyId === keyId)
        continue
      }
      const piece = Math.max(
        pieceAt(rule.window, admittedMs).fromMs,
        this.#newest.get(rule) ?? Number.NEGATIVE_INFINITY,
      )
      this.#newest.set(rule, piece)
      pieces.set(rule, piece)
    }
  }

  /** A model goes to work on it. */
  attempted(requestId: string, modelId: string): void {
    const running = this.#running.get(requestId)
    if (running === undefined) return
    running.modelId = modelId
    for (const rule of this.#rulesByKey.get(running.keyId) ?? []) {
      if (rule.measure === 'concurrency' && rule.modelId === modelId)
        this.#checkCrowd(requestId, rule, each => each.keyId === running.keyId && each.modelId === modelId)
    }
  }

  #checkCrowd(requestId: string, rule: LimitRule, counts: (running: Running) => boolean): void {
    const running = [...this.#running.values()].filter(counts).length
    if (BigInt(running) > rule.amount)
      this.#wrong(requestId, `runs beside ${running - 1} under ${rule.id}, which lets ${rule.amount} run at a time`)
  }

  /** Its hold is over; `chargeNanodollars` is durable, 0 for none, and so is what model it is for. */
  closed(requestId: string, chargeNanodollars: bigint, modelId: string | null): void {
    const running = this.#running.get(requestId)
    this.#running.delete(requestId)
    for (const [rule, piece] of running?.pieces ?? []) {
      if (rule.modelId !== null && rule.modelId !== modelId) continue
      if (rule.measure !== 'nanodollars' || rule.window.startsWith('rolling_')) continue
      const sums = this.#charged.get(rule) ?? new Map<number, bigint>()
      this.#charged.set(rule, sums)
      const sum = (sums.get(piece) ?? 0n) + chargeNanodollars
      sums.set(piece, sum)
      if (sum > rule.amount)
        this.#wrong(requestId, `${sum} charged in one ${rule.window} of ${rule.id}, which is ${rule.amount}`)
    }
  }

  /** The process died, and with it what it had counted. */
  crashed(): void {
    this.#running = new Map()
    this.#charged = new Map()
    this.#newest = new Map()
  }

  /** When nothing runs, nothing is held, and counted is what was charged. */
  quiet(books: Pick<Books, 'limitUsed'>, nowMs: number): void {
    for (const rule of new Set([...this.#rulesByKey.values()].flat())) {
      const { held, settled } = books.limitUsed(rule, nowMs)
      if (held !== 0n) this.#wrong(rule.id, `${held} held for nobody under a limit`)
      if (rule.measure !== 'nanodollars' || rule.window.startsWith('rolling_')) continue
      const piece = Math.max(pieceAt(rule.window, nowMs).fromMs, this.#newest.get(rule) ?? Number.NEGATIVE_INFINITY)
      const charged = this.#charged.get(rule)?.get(piece) ?? 0n
      if (settled !== charged) this.#wrong(rule.id, `counts ${settled}, should count ${charged}`)
    }
  }
}
