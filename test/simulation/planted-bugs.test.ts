import assert from 'node:assert/strict'
import { test } from 'node:test'
import { expireGrants } from '../../src/control/expire-grants.ts'
import { Books, type Hold, type HoldOutcome, type HoldRefusal, type HoldRequest } from '../../src/ledger/books.ts'
import type { Journal, Settlement } from '../../src/ledger/journal.ts'
import type { EndGrants } from './credit-changes.ts'
import { runScenario, type Sabotage } from './scenario.ts'

/** An auditor that never finds anything proves nothing. Each of these bugs has to be found within so many seeds. */
const SEEDS_MAX = 40

async function check(sabotage: Sabotage, finding: RegExp): Promise<void> {
  for (let seed = 1; seed <= SEEDS_MAX; seed++) {
    const { violations } = await runScenario(seed, sabotage)
    if (violations.some(violation => finding.test(violation))) return
  }
  assert.fail(`no seed up to ${SEEDS_MAX} shows ${finding}`)
}

/** The journal, but with another `settle`. */
function settling(settle: (journal: Journal, settlement: Settlement) => Promise<void>): Sabotage {
  return {
    journal: journal => ({
      admitted: admission => journal.admitted(admission),
      voided: requestId => journal.voided(requestId),
      settle: settlement => settle(journal, settlement),
    }),
  }
}

test('a settlement that is acknowledged before it is durable', () =>
  check(
    settling(async (journal, settlement) => {
      journal.settle(settlement).catch(() => undefined)
    }),
    /told to be complete before its charge was durable/,
  ))

test('a settlement that is submitted twice', () =>
  check(
    settling((journal, settlement) => {
      journal.settle(settlement).catch(() => undefined)
      return journal.settle(settlement)
    }),
    /settled twice/,
  ))

test('a charge that is one nanodollar too high', () =>
  check(
    settling((journal, settlement) =>
      journal.settle({ ...settlement, chargeNanodollars: settlement.chargeNanodollars + 1n }),
    ),
    /is worth|owes nothing/,
  ))

test('cached input at full price', () =>
  check(
    settling((journal, settlement) =>
      journal.settle({ ...settlement, usage: { ...settlement.usage, cachedInputTokens: 0 } }),
    ),
    /told \{/,
  ))

test('a hold that is not given back', () => {
  class LeakingBooks extends Books {
    override void(): void {}
  }
  return check({ books: LeakingBooks }, /never ended|holds are open|open hold/)
})

test('a hold that ignores what others hold', () => {
  class GenerousBooks extends Books {
    override hold(request: HoldRequest): HoldOutcome {
      return super.hold({ ...request, budgets: request.budgets.map(({ id }) => ({ id, limitNanodollars: null })) })
    }
  }
  return check({ books: GenerousBooks }, /held of/)
})

test('a hold that is not extended, though it says so', () => {
  class LazyBooks extends Books {
    override extend(_hold: Hold, _byNanodollars: bigint): HoldRefusal | null {
      return null
    }
  }
  return check({ books: LazyBooks }, /should have covered/)
})

test('a grant that goes back although requests hold it', () => {
  const endGrants: EndGrants = ({ store, books, clock }, orgId) => {
    const blind = { orgFunds: () => ALL_AVAILABLE, credit: (id: string, amount: bigint) => books?.credit(id, amount) }
    return expireGrants({ store, books: blind, clock }, orgId)
  }
  return check({ endGrants }, /held of/)
})
const ALL_AVAILABLE = { balanceNanodollars: 2n ** 63n, heldNanodollars: 0n, availableNanodollars: 2n ** 63n }

test('a grant that is written off before it is taken from the books', () => {
  const endGrants: EndGrants = ({ store, books, clock }, orgId) => {
    const late = { orgFunds: (id: string) => (books as Books).orgFunds(id), credit: () => undefined }
    return expireGrants({ store, books: late, clock }, orgId)
  }
  return check({ endGrants }, /should have/)
})

test('an org in debt that is let in', () => {
  class TrustingBooks extends Books {
    override hold(request: HoldRequest): HoldOutcome {
      const debt = -this.orgFunds(request.orgId).availableNanodollars
      if (debt <= 0n) return super.hold(request)
      this.credit(request.orgId, debt + request.amountNanodollars)
      const outcome = super.hold(request)
      this.credit(request.orgId, -debt - request.amountNanodollars)
      return outcome
    }
  }
  return check({ books: TrustingBooks }, /let in while/)
})
