import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { expireGrants } from '../../src/control/expire-grants.ts'
import { Idempotency, type IdempotencyOptions, type Once } from '../../src/gateway/idempotency.ts'
import type { Price } from '../../src/inference/snapshot.ts'
import { Books, type Hold, type HoldOutcome, type HoldRefusal, type HoldRequest } from '../../src/ledger/books.ts'
import type { Journal, Settlement } from '../../src/ledger/journal.ts'
import { picodollarsToNanodollars } from '../../src/ledger/money.ts'
import type { StoredAnswer } from '../../src/ledger/stored-answer.ts'
import type { EndGrants } from './credit-changes.ts'
import { runScenario, type Sabotage } from './scenario.ts'
import type { World } from './world.ts'

/** An auditor that never finds anything proves nothing. Each of these bugs has to be found within so many seeds. */
const SEEDS_MAX = 1000

async function check(t: TestContext, sabotage: Sabotage, finding: RegExp): Promise<void> {
  for (let seed = 1; seed <= SEEDS_MAX; seed++) {
    const { violations } = await runScenario(seed, sabotage)
    const found = violations.find(violation => finding.test(violation))
    if (found === undefined) continue
    t.diagnostic(`found by seed ${seed}: ${found}`)
    return
  }
  assert.fail(`no seed up to ${SEEDS_MAX} shows ${finding}`)
}

/** The journal, but with another `settle`. */
function settling(
  settle: (journal: Journal, settlement: Settlement, answer: StoredAnswer | undefined, world: World) => Promise<void>,
): Sabotage {
  return {
    journal: (journal, world) => ({
      admitted: admission => journal.admitted(admission),
      voided: requestId => journal.voided(requestId),
      settle: (settlement, answer) => settle(journal, settlement, answer, world),
    }),
  }
}

test('settled after told: an answer leaves before its charge is durable', t =>
  check(
    t,
    settling(async (journal, settlement, answer) => {
      journal.settle(settlement, answer).catch(() => undefined)
    }),
    /told to be complete before its charge was durable/,
  ))

test('a settlement that is submitted twice', t =>
  check(
    t,
    settling((journal, settlement, answer) => {
      journal.settle(settlement, answer).catch(() => undefined)
      return journal.settle(settlement, answer)
    }),
    /settled twice/,
  ))

test('a charge that is one nanodollar too high', t =>
  check(
    t,
    settling((journal, settlement, answer) =>
      journal.settle({ ...settlement, chargeNanodollars: settlement.chargeNanodollars + 1n }, answer),
    ),
    /is worth|owes nothing/,
  ))

test('rounding per class: each class of tokens is rounded by itself', t =>
  check(
    t,
    settling((journal, settlement, answer, world) => {
      const { usage, overrunNanodollars } = settlement
      const price = world.models.flatMap(({ prices }) => prices).find(({ id }) => id === settlement.priceId) as Price
      const uncached = usage.inputTokens - usage.cachedInputTokens
      const classes = [
        BigInt(uncached) * price.inputPicodollars,
        BigInt(usage.cachedInputTokens) * price.cachedInputPicodollars,
        BigInt(usage.outputTokens) * price.outputPicodollars,
        price.requestPicodollars,
      ]
      const rounded = classes.reduce((sum, picodollars) => sum + picodollarsToNanodollars(picodollars), 0n)
      // What is free, or went beyond its hold, is left as it is: this bug is about rounding alone.
      const priced = settlement.chargeNanodollars > 0n && overrunNanodollars === 0n
      return journal.settle(priced ? { ...settlement, chargeNanodollars: rounded } : settlement, answer)
    }),
    /(completed|cancelled|timed_out|aborted|failed|exhausted) charges \d+ and 0 overrun, is worth/,
  ))

test('cached input at full price', t =>
  check(
    t,
    settling((journal, settlement, answer) =>
      journal.settle({ ...settlement, usage: { ...settlement.usage, cachedInputTokens: 0 } }, answer),
    ),
    /told \{/,
  ))

test('hold not released', t => {
  class LeakingBooks extends Books {
    override void(): void {}
  }
  return check(t, { books: LeakingBooks }, /never ended|holds are open|open hold/)
})

test('a hold that ignores what others hold', t => {
  class GenerousBooks extends Books {
    override hold(request: HoldRequest): HoldOutcome {
      return super.hold({ ...request, budgets: request.budgets.map(({ id }) => ({ id, limitNanodollars: null })) })
    }
  }
  return check(t, { books: GenerousBooks }, /held of/)
})

test('a token whose spending limit nobody looks at', t => {
  class CarefreeBooks extends Books {
    override hold(request: HoldRequest): HoldOutcome {
      const budgets = request.budgets.map(({ id, limitNanodollars }) =>
        id.startsWith('token:') ? { id, limitNanodollars: null } : { id, limitNanodollars },
      )
      return super.hold({ ...request, budgets })
    }
  }
  return check(t, { books: CarefreeBooks }, /token:\w+: .* held of/)
})

test('a settlement that does not say with which token it was spent', t =>
  check(
    t,
    settling((journal, settlement, answer) => journal.settle({ ...settlement, tokenId: null }, answer)),
    /charged to somebody else/,
  ))

test('extension not checked: a hold that is not extended, though it says so', t => {
  class LazyBooks extends Books {
    override extend(_hold: Hold, _byNanodollars: bigint): HoldRefusal | null {
      return null
    }
  }
  return check(t, { books: LazyBooks }, /should have covered/)
})

test('a limit taken without its hold: the cap of a key counts what the credit refused', t => {
  class CountingBooks extends Books {
    override hold(request: HoldRequest): HoldOutcome {
      const outcome = super.hold(request)
      if (outcome.refusal?.reason !== 'credit' && outcome.refusal?.reason !== 'credit_held') return outcome
      const { hold } = super.hold({ ...request, amountNanodollars: 0n })
      for (const budget of hold?.budgets ?? []) budget.held += request.amountNanodollars
      if (hold !== null) hold.state = 'voided'
      return outcome
    }
  }
  return check(t, { books: CountingBooks }, /key\d: \d+ held for nobody|key\d: .* held of/)
})

test('a limit taken without its hold: the key’s cap is, the org’s credit is not', t => {
  class CreditlessBooks extends Books {
    override hold(request: HoldRequest): HoldOutcome {
      const outcome = super.hold(request)
      if (outcome.hold !== null) outcome.hold.org.held -= outcome.hold.amountNanodollars
      return outcome
    }

    override settle(hold: Hold, settlement: Settlement, answer?: StoredAnswer): Promise<void> {
      hold.org.held += hold.amountNanodollars
      return super.settle(hold, settlement, answer)
    }

    override void(hold: Hold): void {
      if (hold.state === 'held') hold.org.held += hold.amountNanodollars
      super.void(hold)
    }
  }
  return check(t, { books: CreditlessBooks }, /org\d: \d+ charged and -?\d+ held of/)
})

test('an answer that is not stored with its charge', t =>
  check(
    t,
    settling((journal, settlement) => journal.settle(settlement)),
    /told to be stored, which is not so/,
  ))

test('an answer that is stored, although it is not the one of its request', t => {
  let last: StoredAnswer | undefined
  return check(
    t,
    settling((journal, settlement, answer) => {
      const other = answer !== undefined && last !== undefined ? { ...last, keyHash: answer.keyHash } : answer
      last = answer ?? last
      return journal.settle(settlement, other)
    }),
    /stores the answer of/,
  )
})

test('a stored answer that is not looked up', t => {
  class ForgetfulIdempotency extends Idempotency {
    constructor(options: IdempotencyOptions) {
      super({ ...options, find: async () => null })
    }
  }
  return check(t, { idempotency: ForgetfulIdempotency }, /runs, although the answer of \w+ is stored/)
})

test('a key that two requests can have at once', t => {
  class SharedIdempotency extends Idempotency {
    override async begin(...args: Parameters<Idempotency['begin']>): Promise<Once> {
      const once = await super.begin(...args)
      once.end()
      return once
    }
  }
  return check(t, { idempotency: SharedIdempotency }, /runs beside/)
})

test('an answer that is sent again for another body', t => {
  class CarelessIdempotency extends Idempotency {
    override begin(...[key, apiKeyId, protocol, , nowMs]: Parameters<Idempotency['begin']>): Promise<Once> {
      return super.begin(key, apiKeyId, protocol, new Uint8Array(), nowMs)
    }
  }
  return check(t, { idempotency: CarelessIdempotency }, /got the answer to another body/)
})

test('a grant that goes back although requests hold it', t => {
  const endGrants: EndGrants = ({ store, books, clock }, orgId) => {
    const blind = { orgFunds: () => ALL_AVAILABLE, credit: (id: string, amount: bigint) => books?.credit(id, amount) }
    return expireGrants({ store, books: blind, clock }, orgId)
  }
  return check(t, { endGrants }, /held of/)
})
const ALL_AVAILABLE = { balanceNanodollars: 2n ** 63n, heldNanodollars: 0n, availableNanodollars: 2n ** 63n }

test('a grant that is written off before it is taken from the books', t => {
  const endGrants: EndGrants = ({ store, books, clock }, orgId) => {
    const late = { orgFunds: (id: string) => (books as Books).orgFunds(id), credit: () => undefined }
    return expireGrants({ store, books: late, clock }, orgId)
  }
  return check(t, { endGrants }, /should have/)
})

test('an org in debt that is let in', t => {
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
  return check(t, { books: TrustingBooks }, /let in while/)
})

test('a limit taken without its hold: it stays taken when the credit is refused', t => {
  class LeakyBooks extends Books {
    override hold(request: HoldRequest): HoldOutcome {
      const outcome = super.hold(request)
      if (outcome.refusal?.reason.startsWith('credit') !== true || request.limited === undefined) return outcome
      super.hold({ ...request, budgets: [], amountNanodollars: 0n })
      return outcome
    }
  }
  return check(t, { books: LeakyBooks }, /held for nobody under a limit|holds are open/)
})

test('limits that nobody looks at', t => {
  class ForgetfulBooks extends Books {
    override hold(request: HoldRequest): HoldOutcome {
      return super.hold({ ...request, limited: undefined })
    }
  }
  return check(t, { books: ForgetfulBooks }, /charged in one (minute|hour)|may run at a time/)
})

test('limits of a model that did not serve count what another was charged', t =>
  check(
    t,
    {
      books: class extends Books {
        override release(): void {}
      },
    },
    /counts \d+, should count \d+|held for nobody under a limit/,
  ))

test('a hold for the model that is asked first, and not for the dearest', t =>
  check(
    t,
    {
      books: class extends Books {
        readonly #first = new Map<string, bigint>()
        override hold(request: HoldRequest): HoldOutcome {
          const first = this.#first.get(request.requestId) ?? request.amountNanodollars
          this.#first.set(request.requestId, first)
          return super.hold({ ...request, amountNanodollars: first })
        }
      },
    },
    /overrun, but the hold should have covered/,
  ))
