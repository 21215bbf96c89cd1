import { assert } from '../std/assert.ts'
import type { Journal, Settlement } from './journal.ts'

/** One limit on spending that a hold must fit under, beside the org's credit. */
export interface Budget {
  /** Stable name of what is limited, such as `key:<id>`. */
  readonly id: string
  /** Most that may be settled and held under it, nanodollars; null counts without limiting. */
  readonly limitNanodollars: bigint | null
}

/** What a hold is taken for. */
export interface HoldRequest {
  readonly requestId: string
  readonly orgId: string
  readonly budgets: readonly Budget[]
  readonly amountNanodollars: bigint
}

/**
 * Why money could not be held.
 * - `credit`: the org's balance is too small, whatever else runs;
 * - `credit_held`: it would do, but running requests hold it, so a later try may succeed;
 * - `budget` / `budget_held`: likewise for the budget named.
 */
export interface HoldRefusal {
  readonly reason: 'credit' | 'credit_held' | 'budget' | 'budget_held'
  readonly budgetId: string | null
  /** What could be held at most, nanodollars, 0 or more. */
  readonly availableNanodollars: bigint
}

/** The world's answer to a wish for money: a hold, or why not. */
export type HoldOutcome =
  | { readonly hold: Hold; readonly refusal: null }
  | { readonly hold: null; readonly refusal: HoldRefusal }

/** Money of one account or budget. `available` is balance − held; below zero after more was taken back than was left. */
export interface Funds {
  readonly balanceNanodollars: bigint
  readonly heldNanodollars: bigint
  readonly availableNanodollars: bigint
}

/** What the store knew at start. */
export interface BooksState {
  readonly balances: ReadonlyMap<string, bigint>
  /** Settled so far per budget id. */
  readonly spent: ReadonlyMap<string, bigint>
}

interface Counter {
  /** Credit for an org; settled charges for a budget. */
  settled: bigint
  held: bigint
}

/**
 * The operator's books in memory: synchronous, without I/O and without a clock, so that no await stands inside a decision
 * about money. Invariant, at every instant: for each org, held ≤ balance at the moment money is held or a hold grows; for
 * each budget, settled + held ≤ limit. Credit that is taken back may leave held > balance until holds end. A hold is born in `hold` and dies once, in `settle` or `void`.
 *
 * Durability is the journal's: balances change only once it has answered, until then the whole hold stays held.
 */
export class Books {
  readonly #journal: Journal
  readonly #orgs = new Map<string, Counter>()
  readonly #budgets = new Map<string, Counter>()
  #openHolds = 0
  #overrunNanodollars = 0n

  constructor(journal: Journal, state: BooksState) {
    this.#journal = journal
    for (const [orgId, balance] of state.balances) this.#orgs.set(orgId, { settled: balance, held: 0n })
    for (const [budgetId, spent] of state.spent) this.#budgets.set(budgetId, { settled: spent, held: 0n })
  }

  /** Holds not yet settled or voided. */
  get openHolds(): number {
    return this.#openHolds
  }

  /** Work beyond holds since the start, nanodollars: what the operator lost. */
  get overrunNanodollars(): bigint {
    return this.#overrunNanodollars
  }

  /** Takes the amount from the org's credit and from every budget, together or not at all. */
  hold(request: HoldRequest): HoldOutcome {
    assert(request.amountNanodollars >= 0n, 'a hold cannot be negative')
    const org = this.#org(request.orgId)
    const budgets: Counter[] = []
    for (const budget of request.budgets) budgets.push(this.#budget(budget.id))
    const refusal = check(org, request.budgets, budgets, request.amountNanodollars)
    if (refusal !== null) return { hold: null, refusal }
    const hold = new Hold(request.requestId, org, request.budgets, budgets)
    take(hold, request.amountNanodollars)
    this.#openHolds++
    return { hold, refusal: null }
  }

  /** Grows a hold, in credit and all budgets, or leaves it as it was and says why. */
  extend(hold: Hold, byNanodollars: bigint): HoldRefusal | null {
    assert(hold.state === 'held', 'only an open hold can grow')
    assert(byNanodollars >= 0n, 'a hold grows by something')
    const refusal = check(hold.org, hold.limits, hold.budgets, byNanodollars)
    if (refusal !== null) return refusal
    take(hold, byNanodollars)
    return null
  }

  /** Gives back what a hold has above the amount: the worst case turned out smaller. */
  trim(hold: Hold, toNanodollars: bigint): void {
    assert(hold.state === 'held', 'only an open hold can shrink')
    if (toNanodollars < hold.amountNanodollars) take(hold, toNanodollars - hold.amountNanodollars)
  }

  /**
   * Ends a hold with a charge of at most its amount. Resolves once the settlement is durable; until then all of the hold
   * stays held. Rejects with the journal's failure, and then nothing was charged and nothing stays held.
   */
  settle(hold: Hold, settlement: Settlement): Promise<void> {
    assert(hold.state === 'held', `a hold dies once, this one is ${hold.state}`)
    assert(settlement.chargeNanodollars >= 0n, 'a charge cannot be negative')
    assert(settlement.chargeNanodollars <= hold.amountNanodollars, 'a charge never exceeds its hold')
    hold.state = 'settling'
    return this.#journal.settle(settlement).then(
      () => {
        this.#close(hold, 'settled')
        hold.org.settled -= settlement.chargeNanodollars
        for (const budget of hold.budgets) budget.settled += settlement.chargeNanodollars
        this.#overrunNanodollars += settlement.overrunNanodollars
      },
      failure => {
        this.#close(hold, 'voided')
        throw failure
      },
    )
  }

  /** Ends a hold without a charge. Does nothing to a hold that ended or is being settled. */
  void(hold: Hold): void {
    if (hold.state !== 'held') return
    this.#close(hold, 'voided')
    this.#journal.voided(hold.requestId)
  }

  /**
   * Changes an org's credit by an amount of either sign, nanodollars. What is added has to be durable before. What is taken may leave
   * less than nothing available: then nothing new is held and no hold grows, while running holds settle as they would have.
   */
  credit(orgId: string, nanodollars: bigint): void {
    this.#org(orgId).settled += nanodollars
  }

  /** An org's credit. */
  orgFunds(orgId: string): Funds {
    const { settled, held } = this.#org(orgId)
    return { balanceNanodollars: settled, heldNanodollars: held, availableNanodollars: settled - held }
  }

  /** What was settled and is held under a budget. */
  budgetSpent(budgetId: string): { readonly settledNanodollars: bigint; readonly heldNanodollars: bigint } {
    const { settled, held } = this.#budget(budgetId)
    return { settledNanodollars: settled, heldNanodollars: held }
  }

  #org(orgId: string): Counter {
    return counterOf(this.#orgs, orgId)
  }

  #budget(budgetId: string): Counter {
    return counterOf(this.#budgets, budgetId)
  }

  #close(hold: Hold, state: 'settled' | 'voided'): void {
    take(hold, -hold.amountNanodollars)
    hold.state = state
    this.#openHolds--
    assert(this.#openHolds >= 0 && hold.org.held >= 0n, 'more was given back than held')
  }
}

/** Money set aside for a request. Only `Books` changes it. */
export class Hold {
  readonly requestId: string
  readonly org: Counter
  readonly limits: readonly Budget[]
  readonly budgets: readonly Counter[]
  amountNanodollars = 0n
  /** The largest it ever was. */
  peakNanodollars = 0n
  state: 'held' | 'settling' | 'settled' | 'voided' = 'held'

  constructor(requestId: string, org: Counter, limits: readonly Budget[], budgets: readonly Counter[]) {
    this.requestId = requestId
    this.org = org
    this.limits = limits
    this.budgets = budgets
  }
}

function counterOf(counters: Map<string, Counter>, id: string): Counter {
  let counter = counters.get(id)
  if (counter === undefined) {
    counter = { settled: 0n, held: 0n }
    counters.set(id, counter)
  }
  return counter
}

function check(
  org: Counter,
  limits: readonly Budget[],
  budgets: readonly Counter[],
  amount: bigint,
): HoldRefusal | null {
  if (amount > org.settled - org.held) {
    return refuse(amount > org.settled ? 'credit' : 'credit_held', null, org.settled - org.held)
  }
  for (const [i, budget] of limits.entries()) {
    const counter = budgets[i] as Counter
    const limit = budget.limitNanodollars
    if (limit === null || amount <= limit - counter.settled - counter.held) continue
    const reason = amount > limit - counter.settled ? 'budget' : 'budget_held'
    return refuse(reason, budget.id, limit - counter.settled - counter.held)
  }
  return null
}

function refuse(reason: HoldRefusal['reason'], budgetId: string | null, available: bigint): HoldRefusal {
  return { reason, budgetId, availableNanodollars: available > 0n ? available : 0n }
}

function take(hold: Hold, amount: bigint): void {
  hold.amountNanodollars += amount
  if (hold.amountNanodollars > hold.peakNanodollars) hold.peakNanodollars = hold.amountNanodollars
  hold.org.held += amount
  for (const budget of hold.budgets) budget.held += amount
}
