import type { LimitRule } from '../inference/limit-rule.ts'
import { EACH_END_USER } from '../inference/limit-rule.ts'
import type { Books } from '../ledger/books.ts'
import { counterOf } from '../ledger/limit-counter.ts'
import { countedFromMs, sliceMs } from '../ledger/window.ts'
import type { ControlStore } from './ports.ts'

/**
 * Lets the books begin with what was used before: at a start, and when a limit is set in the middle of its window. Requests that run
 * while a limit is set are the only ones that never come under it.
 */
export class LimitSeeder {
  readonly #books: Pick<Books, 'seedLimit' | 'forgetLimits'>
  readonly #store: Pick<ControlStore, 'limitUsage'>
  readonly #nowMs: () => number
  readonly #seeded = new Set<string>()

  constructor(
    books: Pick<Books, 'seedLimit' | 'forgetLimits'>,
    store: Pick<ControlStore, 'limitUsage'>,
    nowMs: () => number,
  ) {
    this.#books = books
    this.#store = store
    this.#nowMs = nowMs
  }

  /** Seeds the limits that are new, and forgets those that are gone. To be called before a snapshot with them is in force. */
  async follow(limits: readonly LimitRule[]): Promise<void> {
    for (const rule of limits) {
      if (this.#seeded.has(rule.id)) continue
      this.#seeded.add(rule.id)
      const nowMs = this.#nowMs()
      const uses = await this.#store.limitUsage(rule, countedFromMs(rule.window, nowMs), sliceMs(rule.window))
      for (const { atMs, endUserId, used } of uses) {
        const id = rule.endUserId === EACH_END_USER && endUserId !== null ? counterOf(rule.id, endUserId) : rule.id
        this.#books.seedLimit({ ...rule, id }, Number.isFinite(atMs) ? atMs : nowMs, used)
      }
    }
    const ids = new Set(limits.map(({ id }) => id))
    for (const id of this.#seeded) if (!ids.has(id)) this.#seeded.delete(id)
    this.#books.forgetLimits(counterId => !ids.has(counterId.split(':', 1)[0] as string))
  }
}
