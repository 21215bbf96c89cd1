import type { Funds } from '../ledger/books.ts'
import type { Settlement } from '../ledger/journal.ts'
import { formatDollars } from '../ledger/money.ts'
import type { BudgetCrossing, Notifier, PaymentReceived } from '../ledger/notifier.ts'

/** Events of one kind about one org are at least so far apart. */
const EXHAUSTED_EVERY_MS = 3_600_000
/** What was told lately, so that it is not told again; beyond it all of it is forgotten. */
const EXHAUSTED_REMEMBERED_MAX = 10_000
/** What upstreams do beyond holds is summed up for so long. */
const OVERRUN_EVERY_MS = 60_000

/** What the notifier needs of the rest. */
export interface WebhookNotifierParts {
  /** Puts an event on its way to every endpoint that wants it. Returns at once and never throws. */
  emit(type: string, data: Readonly<Record<string, unknown>>): void
  fundsOf(orgId: string): Funds
  readonly nowMs: () => number
}

/** Turns what happens to money into events, whose form docs/guides/webhooks.md describes. Money is decimal strings in dollars. */
export class WebhookNotifier implements Notifier {
  readonly #parts: WebhookNotifierParts
  readonly #exhaustedMs = new Map<string, number>()
  readonly #overruns = new Map<string, { toldMs: number; requests: number; nanodollars: bigint }>()

  constructor(parts: WebhookNotifierParts) {
    this.#parts = parts
  }

  creditLow(orgId: string, balanceNanodollars: bigint, thresholdNanodollars: bigint): void {
    this.#parts.emit('credit.low', {
      org: orgId,
      balance: formatDollars(balanceNanodollars),
      threshold: formatDollars(thresholdNanodollars),
    })
  }

  creditExhausted(orgId: string): void {
    if (!this.#isDue(`credit ${orgId}`)) return
    const { balanceNanodollars, heldNanodollars, availableNanodollars } = this.#parts.fundsOf(orgId)
    this.#parts.emit('credit.exhausted', {
      org: orgId,
      balance: formatDollars(balanceNanodollars),
      held: formatDollars(heldNanodollars),
      available: formatDollars(availableNanodollars),
    })
  }

  budgetCrossed(crossing: BudgetCrossing): void {
    const { orgId, budgetId, measure, percent, refused, amount, settled, held, fromMs, toMs } = crossing
    if (refused && !this.#isDue(`budget ${budgetId}`)) return
    const text = (value: bigint) => (measure === 'nanodollars' ? formatDollars(value) : String(value))
    this.#parts.emit(refused ? 'budget.exhausted' : 'budget.threshold', {
      org: orgId,
      limit: budgetId,
      measure: measure === 'nanodollars' ? 'dollars' : measure,
      ...(!refused && { percent }),
      amount: text(amount),
      used: text(settled),
      held: text(held),
      from: fromMs === null ? null : new Date(fromMs).toISOString(),
      to: toMs === null ? null : new Date(toMs).toISOString(),
    })
  }

  // Refusals come in crowds; each kind is told once an hour.
  #isDue(what: string): boolean {
    const nowMs = this.#parts.nowMs()
    const toldMs = this.#exhaustedMs.get(what)
    if (toldMs !== undefined && nowMs - toldMs < EXHAUSTED_EVERY_MS) return false
    if (this.#exhaustedMs.size >= EXHAUSTED_REMEMBERED_MAX) this.#exhaustedMs.clear()
    this.#exhaustedMs.set(what, nowMs)
    return true
  }

  overrun({ upstreamId, modelId, orgId, requestId, overrunNanodollars }: Settlement): void {
    const nowMs = this.#parts.nowMs()
    const sum = this.#overruns.get(upstreamId) ?? { toldMs: Number.NEGATIVE_INFINITY, requests: 0, nanodollars: 0n }
    this.#overruns.set(upstreamId, sum)
    sum.requests++
    sum.nanodollars += overrunNanodollars
    if (nowMs - sum.toldMs < OVERRUN_EVERY_MS) return
    this.#parts.emit('overrun', {
      upstream: upstreamId,
      requests: sum.requests,
      overrun: formatDollars(sum.nanodollars),
      last: { request: requestId, org: orgId, model: modelId, overrun: formatDollars(overrunNanodollars) },
    })
    sum.toldMs = nowMs
    sum.requests = 0
    sum.nanodollars = 0n
  }

  paymentReceived({ orgId, transferId, amountNanodollars, bonusNanodollars }: PaymentReceived): void {
    this.#parts.emit('payment.received', {
      org: orgId,
      transfer: transferId,
      amount: formatDollars(amountNanodollars),
      bonus: formatDollars(bonusNanodollars),
      balance: formatDollars(this.#parts.fundsOf(orgId).balanceNanodollars),
    })
  }
}
