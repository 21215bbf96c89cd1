import type { Config } from '../config/schema.ts'
import type { Publisher } from '../control/publisher.ts'
import type { LimitRule } from '../inference/limit-rule.ts'
import type { Snapshot } from '../inference/snapshot.ts'
import { type BalanceWatch, Books, type LimitCrossing } from '../ledger/books.ts'
import { keyBudget, tokenBudget } from '../ledger/budget-id.ts'
import { LowBalance } from '../ledger/low-balance.ts'
import { parseDollars } from '../ledger/money.ts'
import type { BudgetCrossing, Notifier } from '../ledger/notifier.ts'
import { pieceAt, sliceMs } from '../ledger/window.ts'
import type { SpentToken } from '../store/scoped-tokens.ts'
import { WebhookNotifier } from '../webhooks/webhook-notifier.ts'
import type { Webhooks } from '../webhooks/webhooks.ts'
import type { HeadraceStore } from './foundation.ts'

/** The books as the store has them, and the notifier that they tell of what customers run out of. */
export async function openBooks(
  config: Config,
  parts: {
    readonly store: HeadraceStore
    readonly publisher: Publisher
    readonly webhooks: Webhooks
    readonly nowMs: number
  },
): Promise<{
  readonly books: Books
  readonly notifier: Notifier
  /** Limits that were in force when the books were opened. */
  readonly limits: readonly LimitRule[]
  /** Scoped tokens that are in force. */
  readonly tokens: readonly SpentToken[]
}> {
  const { store, publisher, webhooks, nowMs } = parts
  const { balances, spent, limits } = await store.loadState()
  const tokens = await store.tokens.live(nowMs)
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
  return { books, notifier, limits, tokens }
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
