import type { LimitRule } from '../inference/limit-rule.ts'
import type { Books } from '../ledger/books.ts'
import type { Admission } from '../ledger/journal.ts'
import { pieceAt } from '../ledger/window.ts'

interface Running {
  readonly keyId: string
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
    this.#running.set(requestId, { keyId, pieces })
    for (const rule of this.#rulesByKey.get(keyId) ?? []) {
      if (rule.measure === 'concurrency') {
        const running = [...this.#running.values()].filter(each => each.keyId === keyId).length
        if (BigInt(running) > rule.amount)
          this.#wrong(requestId, `let in beside ${running - 1} of ${keyId}, of which ${rule.amount} may run at a time`)
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

  /** Its hold is over; `chargeNanodollars` is durable, 0 for none. */
  closed(requestId: string, chargeNanodollars: bigint): void {
    const running = this.#running.get(requestId)
    this.#running.delete(requestId)
    for (const [rule, piece] of running?.pieces ?? []) {
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

  /** When nothing runs, nothing is held. */
  quiet(books: Pick<Books, 'limitUsed'>, nowMs: number): void {
    for (const rule of new Set([...this.#rulesByKey.values()].flat())) {
      const { held } = books.limitUsed(rule, nowMs)
      if (held !== 0n) this.#wrong(rule.id, `${held} held for nobody under a limit`)
    }
  }
}
