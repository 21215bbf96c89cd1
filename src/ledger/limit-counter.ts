import type { LimitRule } from '../inference/limit-rule.ts'
import { forgottenAtMs, pieceAt } from './window.ts'

/** A rule, or a rule for one end user: what a counter counts for. */
export type Limit = Pick<LimitRule, 'id' | 'measure' | 'amount' | 'window' | 'hard' | 'notifyPercents'>

/** The id of the counter that an end user has under a rule that each has for itself. */
export function counterOf(ruleId: string, endUserId: string): string {
  return `${ruleId}:${endUserId}`
}

/** What was used and is held in one piece of a window. A request counts where it was admitted, however long it runs. */
export interface Piece {
  readonly fromMs: number
  readonly toMs: number
  settled: bigint
  held: bigint
  /** False once it counts no more; its holds may still end in it. */
  counts: boolean
}

/** Counts for one limit: the pieces of its window that count at the moment, oldest first, and their sums. */
export class LimitCounter {
  readonly #pieces: Piece[] = []
  #settled = 0n
  #held = 0n
  /** How many of the limit's percents were told of, for the pieces that count. */
  #told = 0

  /** Settled in the pieces that count. */
  get settled(): bigint {
    return this.#settled
  }

  /** Held in the pieces that count. */
  get held(): bigint {
    return this.#held
  }

  /** Whether nothing counts and nothing is held, so that the counter may be forgotten. */
  get idle(): boolean {
    return this.#settled === 0n && this.#held === 0n && this.#pieces.every(piece => piece.held === 0n)
  }

  /** The piece in which something admitted now counts. A clock that goes back counts into the newest piece. */
  at(limit: Limit, nowMs: number): Piece {
    let last = this.#pieces.at(-1)
    if (last === undefined || nowMs >= last.toMs) {
      last = { ...pieceAt(limit.window, nowMs), settled: 0n, held: 0n, counts: true }
      this.#pieces.push(last)
      this.#forget(limit, nowMs)
    }
    return last
  }

  /** Changes what a piece holds and has settled. */
  add(piece: Piece, settled: bigint, held: bigint): void {
    piece.settled += settled
    piece.held += held
    if (!piece.counts) return
    this.#settled += settled
    this.#held += held
  }

  /** When `amount` more will fit if all that is held now is settled in full; null when that is never, or not known. */
  fitsAtMs(limit: Limit, amount: bigint, nowMs: number): number | null {
    if (limit.measure === 'concurrency' || amount > limit.amount) return null
    let used = this.#settled + this.#held
    for (const piece of this.#pieces) {
      used -= piece.settled + piece.held
      if (used + amount > limit.amount) continue
      const atMs = forgottenAtMs(limit.window, piece.fromMs)
      return Number.isFinite(atMs) ? Math.max(atMs, nowMs) : null
    }
    return null
  }

  /** The highest percent of the limit that settled usage has reached since this was last asked; null when none is new. */
  crossed(limit: Limit): number | null {
    const percents = limit.notifyPercents
    const reached = (percent: number | undefined) =>
      percent !== undefined && this.#settled * 100n >= limit.amount * BigInt(percent)
    while (this.#told > 0 && !reached(percents[this.#told - 1])) this.#told--
    const before = this.#told
    while (reached(percents[this.#told])) this.#told++
    return this.#told > before ? (percents[this.#told - 1] as number) : null
  }

  #forget(limit: Limit, nowMs: number): void {
    let gone = 0
    for (const piece of this.#pieces) {
      if (nowMs < forgottenAtMs(limit.window, piece.fromMs)) break
      piece.counts = false
      this.#settled -= piece.settled
      this.#held -= piece.held
      gone++
    }
    if (gone > 0) this.#pieces.splice(0, gone)
  }
}
