import type { Logger } from 'pino'
import type { ScopedTokens } from '../admission/scoped-tokens.ts'
import type { Config } from '../config/schema.ts'
import { expireGrants } from '../control/expire-grants.ts'
import type { Files } from '../files/files.ts'
import type { Books } from '../ledger/books.ts'
import { tokenBudget } from '../ledger/budget-id.ts'
import { formatDollars } from '../ledger/money.ts'
import { SYSTEM_CLOCK } from '../std/clock.ts'
import type { HeadraceStore } from './foundation.ts'

const HOUR_MS = 3_600_000
/** How often old months are looked for. */
const CLOSE_MONTHS_EVERY_MS = 6 * HOUR_MS

/** A token that is over is known for so long, so that who comes with it is told that it has expired. */
const TOKENS_KNOWN_MS = 24 * HOUR_MS
/** And on the books for so long. */
const TOKENS_KEPT_MS = 90 * 24 * HOUR_MS

/** How often grants are looked for that are over. */
const END_GRANTS_EVERY_MS = 30_000

/** Drops the usage rows of months that the operator no longer keeps, now and every some hours. Answers what ends it. */
export function closeOldMonths(config: Config, store: HeadraceStore, log: Logger): () => void {
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

/** Deletes stored answers, kept documents and files that are over, now and every hour. Answers what ends it. */
export function sweepKept(store: HeadraceStore, files: Files, log: Logger): () => void {
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
export function forgetTokens(store: HeadraceStore, tokens: ScopedTokens, books: Books, log: Logger): () => void {
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

/** Ends grants that are over, now and every half minute: those that ended while no server ran, before a request can hold them. */
export async function endGrants(store: HeadraceStore, books: Books, log: Logger): Promise<() => void> {
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
