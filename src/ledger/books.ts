import type { Measure } from '../inference/limit-rule.ts'
import { assert } from '../std/assert.ts'
import type { Journal, Settlement } from './journal.ts'
import type { KeptDocument } from './kept-document.ts'
import { type Limit, LimitCounter, type Piece } from './limit-counter.ts'
import type { StoredAnswer } from './stored-answer.ts'

/** How much a key, or a token derived from one, may ever spend, which a hold must fit under beside the org's credit. */
export interface Budget {
  /** Stable name of what is limited, `key:<id>` or `token:<id>`. */
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
  /** Limits in windows that it has to fit under as well; none when undefined. */
  readonly limited?: LimitedRequest
}

/** What limits need to know of a request when it is admitted. */
export interface LimitedRequest {
  readonly limits: readonly Limit[]
  /** Milliseconds since 1970; decides the windows in which it counts. */
  readonly atMs: number
  /** About how many tokens it will take, held until the exact numbers are settled. */
  readonly inputTokens: number
  readonly outputTokens: number
}

/**
 * Why money could not be held.
 * - `credit`: the org's balance is too small, whatever else runs;
 * - `credit_held`: it would do, but running requests hold it, so a later try may succeed;
 * - `budget` / `budget_held`: likewise for the budget named;
 * - `limit` / `limit_held`: likewise for the limit in `limited`.
 */
export interface HoldRefusal {
  readonly reason: 'credit' | 'credit_held' | 'budget' | 'budget_held' | 'limit' | 'limit_held'
  readonly budgetId: string | null
  /** What could be held at most, nanodollars, 0 or more; under a limit in its measure. */
  readonly available: bigint
  readonly limited?: {
    readonly limit: Limit
    /** When it will fit, milliseconds since 1970, if nothing else comes; null when never, or not known. */
    readonly fitsAtMs: number | null
  }
}

/** Usage has reached a part of a limit, or a request was refused under it. */
export interface LimitCrossing {
  readonly limit: Limit
  /** Percent of the limit's amount; 100 with `refused` when something did not fit. */
  readonly percent: number
  readonly refused: boolean
  readonly settled: bigint
  readonly held: bigint
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

/** Told of an org's balance after each change of it; returns at once and never throws. */
export type BalanceWatch = (orgId: string, balanceNanodollars: bigint) => void

/** Who is told of what happens in the books. Both are called in the middle of a request: they return at once and never throw. */
export interface BooksWatch {
  readonly onBalance?: BalanceWatch | undefined
  readonly onCrossing?: (crossing: LimitCrossing) => void
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
  readonly #counters = new Map<string, LimitCounter>()
  readonly #watch: BooksWatch
  #openHolds = 0
  #overrunNanodollars = 0n

  constructor(journal: Journal, state: BooksState, watch: BooksWatch = {}) {
    this.#journal = journal
    this.#watch = watch
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

  /** Takes the amount from the org's credit, from every budget and under every limit, together or not at all. */
  hold(request: HoldRequest): HoldOutcome {
    assert(request.amountNanodollars >= 0n, 'a hold cannot be negative')
    const org = this.#org(request.orgId)
    const budgets: Counter[] = []
    for (const budget of request.budgets) budgets.push(this.#budget(budget.id))
    const refusal = check(org, request.budgets, budgets, request.amountNanodollars)
    if (refusal !== null) return { hold: null, refusal }
    const lines = request.limited === undefined ? NO_LINES : this.#lines(request.limited, request.amountNanodollars)
    if (!Array.isArray(lines)) return { hold: null, refusal: lines as HoldRefusal }
    const hold = new Hold(request.requestId, org, request.budgets, budgets, lines)
    for (const line of lines) line.counter.add(line.piece, 0n, line.held)
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
    for (const line of hold.lines) {
      if (line.limit.measure !== 'nanodollars') continue
      const refused = refusedUnder(line.limit, line.counter, line.piece, byNanodollars, line.piece.fromMs)
      if (refused !== null) return refused
    }
    this.#grow(hold, byNanodollars)
    return null
  }

  /** Gives back what a hold has above the amount: the worst case turned out smaller. */
  trim(hold: Hold, toNanodollars: bigint): void {
    assert(hold.state === 'held', 'only an open hold can shrink')
    if (toNanodollars < hold.amountNanodollars) this.#grow(hold, toNanodollars - hold.amountNanodollars)
  }

  /**
   * Ends a hold with a charge of at most its amount. Resolves once the settlement is durable; until then all of the hold
   * stays held. Rejects with the journal's failure, and then nothing was charged and nothing stays held. An answer that is to be had
   * again becomes durable with it.
   */
  settle(
    hold: Hold,
    settlement: Settlement,
    answer?: StoredAnswer,
    documents?: readonly KeptDocument[],
  ): Promise<void> {
    assert(hold.state === 'held', `a hold dies once, this one is ${hold.state}`)
    assert(settlement.chargeNanodollars >= 0n, 'a charge cannot be negative')
    assert(settlement.chargeNanodollars <= hold.amountNanodollars, 'a charge never exceeds its hold')
    hold.state = 'settling'
    return this.#journal.settle(settlement, answer, documents).then(
      () => {
        this.#close(hold, 'settled', settlement)
        hold.org.settled -= settlement.chargeNanodollars
        for (const budget of hold.budgets) budget.settled += settlement.chargeNanodollars
        this.#overrunNanodollars += settlement.overrunNanodollars
        this.#watch.onBalance?.(settlement.orgId, hold.org.settled)
      },
      failure => {
        this.#close(hold, 'voided')
        throw failure
      },
    )
  }

  /** Forgets what a hold takes under limits that turned out not to concern it: all but those named. */
  release(hold: Hold, keptLimitIds: ReadonlySet<string>): void {
    assert(hold.state === 'held', 'only an open hold can leave a limit')
    hold.lines = hold.lines.filter(line => {
      if (keptLimitIds.has(line.limit.id)) return true
      line.counter.add(line.piece, 0n, -line.held)
      return false
    })
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
    const org = this.#org(orgId)
    org.settled += nanodollars
    this.#watch.onBalance?.(orgId, org.settled)
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

  /** Forgets budgets of what is over; one that something is still held under stays. */
  forgetBudgets(budgetIds: readonly string[]): void {
    for (const id of budgetIds) if (this.#budgets.get(id)?.held === 0n) this.#budgets.delete(id)
  }

  #org(orgId: string): Counter {
    return counterOf(this.#orgs, orgId)
  }

  #budget(budgetId: string): Counter {
    return counterOf(this.#budgets, budgetId)
  }

  /** What counts under a limit at the moment; zeros for one that nothing came under. */
  limitUsed(limit: Limit, nowMs: number): { readonly settled: bigint; readonly held: bigint } {
    const counter = this.#counters.get(limit.id)
    if (counter === undefined) return { settled: 0n, held: 0n }
    counter.at(limit, nowMs)
    return { settled: counter.settled, held: counter.held }
  }

  /** Counts what was settled before the counter was there, in the window that `atMs` is in. Oldest first. */
  seedLimit(limit: Limit, atMs: number, settled: bigint): void {
    const counter = this.#counter(limit.id)
    counter.add(counter.at(limit, atMs), settled, 0n)
    // What was crossed before is not told again.
    counter.crossed(limit)
  }

  /** Forgets the counters of limits that are no more, and those of end users of whom nothing counts. */
  forgetLimits(isGone: (counterId: string) => boolean): void {
    for (const [id, counter] of this.#counters) {
      if (isGone(id) || (id.includes(':') && counter.idle)) this.#counters.delete(id)
    }
  }

  #counter(id: string): LimitCounter {
    let counter = this.#counters.get(id)
    if (counter === undefined) {
      counter = new LimitCounter()
      this.#counters.set(id, counter)
    }
    return counter
  }

  // What a request takes under each limit, or why it does not fit under one.
  #lines(limited: LimitedRequest, amountNanodollars: bigint): Line[] | HoldRefusal {
    const lines: Line[] = []
    for (const limit of limited.limits) {
      const counter = this.#counter(limit.id)
      const piece = counter.at(limit, limited.atMs)
      const held = heldUnder(limit, limited, amountNanodollars)
      const refusal = refusedUnder(limit, counter, piece, held, limited.atMs)
      if (refusal !== null) {
        const { settled, held: running } = counter
        this.#watch.onCrossing?.({ limit, percent: 100, refused: true, settled, held: running })
        return refusal
      }
      lines.push({ limit, counter, piece, held })
    }
    return lines
  }

  #grow(hold: Hold, byNanodollars: bigint): void {
    take(hold, byNanodollars)
    for (const line of hold.lines) {
      if (line.limit.measure !== 'nanodollars') continue
      line.held += byNanodollars
      line.counter.add(line.piece, 0n, byNanodollars)
    }
  }

  #close(hold: Hold, state: 'settled' | 'voided', settlement?: Settlement): void {
    for (const { limit, counter, piece, held } of hold.lines) {
      counter.add(piece, settlement === undefined ? 0n : settledUnder(limit.measure, settlement), -held)
      const percent = counter.crossed(limit)
      if (percent !== null) {
        this.#watch.onCrossing?.({ limit, percent, refused: false, settled: counter.settled, held: counter.held })
      }
    }
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
  /** What it takes under limits in windows. */
  lines: readonly Line[]
  amountNanodollars = 0n
  /** The largest it ever was. */
  peakNanodollars = 0n
  state: 'held' | 'settling' | 'settled' | 'voided' = 'held'

  constructor(
    requestId: string,
    org: Counter,
    limits: readonly Budget[],
    budgets: readonly Counter[],
    lines: readonly Line[],
  ) {
    this.requestId = requestId
    this.org = org
    this.limits = limits
    this.budgets = budgets
    this.lines = lines
  }
}

/** What a hold takes under one limit, in the piece of its window in which the request was admitted. */
export interface Line {
  readonly limit: Limit
  readonly counter: LimitCounter
  readonly piece: Piece
  held: bigint
}

const NO_LINES: Line[] = []

function heldUnder(limit: Limit, limited: LimitedRequest, amountNanodollars: bigint): bigint {
  switch (limit.measure) {
    case 'nanodollars':
      return amountNanodollars
    case 'requests':
    case 'concurrency':
      return 1n
    case 'input_tokens':
      return estimated(limit, limited.inputTokens)
    case 'output_tokens':
      return estimated(limit, limited.outputTokens)
    case 'tokens':
    case 'uncached_tokens':
      return estimated(limit, limited.inputTokens + limited.outputTokens)
  }
}

// Tokens are a rate and no money: their number is a guess until it is settled, and a guess alone keeps nobody out for good.
function estimated(limit: Limit, tokens: number): bigint {
  const amount = BigInt(tokens)
  return amount < limit.amount ? amount : limit.amount
}

function settledUnder(measure: Measure, { usage, chargeNanodollars }: Settlement): bigint {
  switch (measure) {
    case 'nanodollars':
      return chargeNanodollars
    case 'requests':
      return 1n
    case 'concurrency':
      return 0n
    case 'input_tokens':
      return BigInt(usage.inputTokens)
    case 'output_tokens':
      return BigInt(usage.outputTokens)
    case 'tokens':
      return BigInt(usage.inputTokens + usage.outputTokens)
    case 'uncached_tokens':
      return BigInt(usage.inputTokens - usage.cachedInputTokens + usage.outputTokens)
  }
}

function refusedUnder(
  limit: Limit,
  counter: LimitCounter,
  piece: Piece,
  amount: bigint,
  nowMs: number,
): HoldRefusal | null {
  if (!limit.hard) return null
  // A request that outlives its window still counts in it, beside those that were admitted in it too.
  const { settled, held } = piece.counts ? counter : piece
  const free = limit.amount - settled - held
  if (amount <= free) return null
  const reason = amount > limit.amount - settled ? ('limit' as const) : ('limit_held' as const)
  const fitsAtMs = counter.fitsAtMs(limit, amount, nowMs)
  return { ...refuse(reason, null, free), limited: { limit, fitsAtMs } }
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
  return { reason, budgetId, available: available > 0n ? available : 0n }
}

function take(hold: Hold, amount: bigint): void {
  hold.amountNanodollars += amount
  if (hold.amountNanodollars > hold.peakNanodollars) hold.peakNanodollars = hold.amountNanodollars
  hold.org.held += amount
  for (const budget of hold.budgets) budget.held += amount
}
