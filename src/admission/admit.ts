import { ApiError } from '../errors.ts'
import type { Books, Budget, Hold, HoldRefusal, LimitedRequest } from '../ledger/books.ts'
import { isTokenBudget, keyBudget, tokenBudget } from '../ledger/budget-id.ts'
import { formatDollars } from '../ledger/money.ts'
import { type Ceiling, ceilingOf, dearestOf, holdFor } from '../pricing/ceiling.ts'
import { AssertionFailure, assert } from '../std/assert.ts'
import type { Caller } from './authenticate.ts'
import { limitError, RUNNING_RETRY_MS } from './limit-error.ts'
import type { Quote } from './quote.ts'

/** What a request may turn into: one model's quote, and the limits that it comes under if that model serves it. */
export interface Bid {
  readonly quote: Quote
  readonly limited?: LimitedRequest
}

/** One bid at least. */
type Bids = readonly [Bid, ...Bid[]]

/**
 * A request's right to run: its hold, and how much output the hold covers. `outputCovered` is shared by all choices.
 * Ends once, by `Books.settle` or `Books.void`.
 *
 * While several models may serve the request, the hold covers the dearest of them; as it is known which do not, what was held for
 * those alone goes back.
 */
export class Ticket {
  readonly hold: Hold
  readonly #books: Books
  /** The model that serves, and those that may after it. */
  #bids: Bids
  /** The dearest prices that are still reachable. */
  #ceiling: Ceiling
  /** Input tokens covered; falls to the exact number once that is known. */
  #inputTokens: number
  /** What the serving model makes of the input; each has a tokenizer of its own. */
  #exactInputTokens: number | undefined
  /** Output tokens covered, over all choices. */
  #outputTokens: number

  constructor(books: Books, bids: Bids, hold: Hold, outputTokens: number) {
    this.#books = books
    this.#bids = bids
    this.hold = hold
    const { ceiling, inputTokensBound } = jointly(bids)
    this.#ceiling = ceiling
    this.#inputTokens = inputTokensBound
    this.#outputTokens = outputTokens
  }

  /** The quote of the model that serves the request, which is what it will be charged by. */
  get quote(): Quote {
    return this.#bids[0].quote
  }

  /** Output tokens that may still be relayed before the hold has to grow, over all choices. */
  get outputTokensCovered(): number {
    return this.#outputTokens
  }

  /** The quotes of the models that may serve after it, best first. */
  get following(): readonly Quote[] {
    return this.#bids.slice(1).map(({ quote }) => quote)
  }

  /** The serving model cannot: one that follows serves from here on, the next unless `steps` says how many on. */
  next(steps = 1): void {
    const [first, ...rest] = this.#bids.slice(steps)
    assert(first !== undefined, 'a model that follows takes over')
    this.#exactInputTokens = undefined
    this.#narrow([first, ...rest])
  }

  /** No other model will serve the request. */
  commit(): void {
    if (this.#bids.length > 1) this.#narrow([this.#bids[0]])
  }

  /** The exact input is known: what was held above it goes back at once, unless another model may yet count it anew. */
  inputIs(tokens: number): void {
    this.#exactInputTokens = tokens
    if (this.#bids.length === 1) this.#trim()
  }

  #narrow(bids: Bids): void {
    this.#bids = bids
    if (this.hold.state !== 'held') return
    const { ceiling, inputTokensBound } = jointly(bids)
    this.#ceiling = ceiling
    this.#inputTokens = inputTokensBound
    if (this.hold.lines.length > 0)
      this.#books.release(
        this.hold,
        new Set(bids.flatMap(({ limited }) => limited?.limits.map(limit => limit.id) ?? [])),
      )
    this.#books.trim(this.hold, holdFor(ceiling, inputTokensBound, this.#outputTokens, this.quote.searchUnits))
    if (bids.length === 1) this.#trim()
  }

  #trim(): void {
    const tokens = this.#exactInputTokens
    if (tokens === undefined || tokens >= this.#inputTokens || this.hold.state !== 'held') return
    this.#inputTokens = tokens
    const { price, admittedMs, tier } = this.quote
    // Context steps beyond the exact number are out of reach now.
    if (price.terms !== undefined) this.#ceiling = ceilingOf(price, admittedMs, tokens, tier)
    this.#books.trim(this.hold, holdFor(this.#ceiling, tokens, this.#outputTokens, this.quote.searchUnits))
  }

  /**
   * Covers at least `outputTokens` in all, and a further tranche when there is money for it.
   *
   * @returns whether `outputTokens` are covered now.
   */
  cover(outputTokens: number, trancheTokens: number): boolean {
    if (outputTokens <= this.#outputTokens) return true
    if (this.hold.state !== 'held') return false
    const most = this.quote.outputTokensMax * this.quote.choices
    // A full tranche first; near the end of the money, what is left goes out in smaller and smaller steps.
    for (let step = Math.max(trancheTokens, 1); ; step = Math.floor(step / 4)) {
      const target = Math.max(outputTokens, Math.min(outputTokens + step, most))
      const needed =
        holdFor(this.#ceiling, this.#inputTokens, target, this.quote.searchUnits) - this.hold.amountNanodollars
      if (needed <= 0n || this.#books.extend(this.hold, needed) === null) {
        this.#outputTokens = target
        return true
      }
      if (step > 0) continue
      if (this.#bids.length === 1) return false
      // Rather without other models to fall back to than cut short for the price of one of them.
      this.commit()
      return this.cover(outputTokens, trancheTokens)
    }
  }
}

/**
 * Takes the hold for a request from the org's credit, the key's cap and every limit in one synchronous step, all or nothing: first
 * for a full first tranche of output, and when that cannot be had for the least worth starting with.
 *
 * @throws ApiError 402, which says whether it can succeed later because money is only held; 429 under a limit that is not of money.
 */
export function admit(caller: Caller, quote: Quote, requestId: string, books: Books, limited?: LimitedRequest): Ticket {
  return admitTogether(caller, [limited === undefined ? { quote } : { quote, limited }], requestId, books)
}

/**
 * As `admit`, for a request that several models may serve, best first: one hold that covers the dearest of them. A model that cannot
 * be covered beside those before it, or whose limit is reached, will not serve it.
 *
 * @throws ApiError of the first model, when none can be covered.
 */
export function admitAny(caller: Caller, bids: readonly Bid[], requestId: string, books: Books): Ticket {
  let kept: Bids | null = null
  let first: unknown
  for (const bid of bids) {
    const tried: Bids = kept === null ? [bid] : [...kept, bid]
    try {
      books.void(admitTogether(caller, tried, requestId, books).hold)
      kept = tried
    } catch (refusal) {
      first ??= refusal
    }
  }
  if (kept === null) throw first
  // Nobody came in between: what could be held a moment ago can be held now.
  return admitTogether(caller, kept, requestId, books)
}

function admitTogether(caller: Caller, bids: Bids, requestId: string, books: Books): Ticket {
  const budgets = budgetsOf(caller)
  const joint = jointly(bids)
  const limited = limitedTogether(bids)
  let refusal: HoldRefusal | null = null
  for (const tokens of tranches(joint)) {
    const outputTokens = tokens * joint.choices
    const amountNanodollars = holdFor(joint.ceiling, joint.inputTokensBound, outputTokens, joint.searchUnits)
    const outcome = books.hold({ requestId, orgId: caller.org.id, budgets, amountNanodollars, limited })
    if (outcome.hold !== null) return new Ticket(books, bids, outcome.hold, outputTokens)
    refusal = outcome.refusal
    // A smaller amount of money changes nothing about a limit on something else.
    if (refusal.limited !== undefined && refusal.limited.limit.measure !== 'nanodollars') break
  }
  const { limited: under } = refusal as HoldRefusal
  throw under !== undefined && limited !== undefined
    ? limitError(under.limit, refusal as HoldRefusal, limited.atMs)
    : refusedError(refusal as HoldRefusal, joint)
}

// What is spent with a token is spent under its key too.
function budgetsOf({ key, token }: Caller): Budget[] {
  const budget = { id: keyBudget(key.id), limitNanodollars: key.capNanodollars }
  return token === undefined
    ? [budget]
    : [budget, { id: tokenBudget(token.id), limitNanodollars: token.limitNanodollars }]
}

/** The bounds that hold for a request whichever of its models serves it. */
type Bounds = Pick<
  Quote,
  'ceiling' | 'choices' | 'inputTokensBound' | 'searchUnits' | 'firstTrancheTokens' | 'floorTrancheTokens'
>

function jointly(bids: Bids): Bounds {
  const [{ quote: only }, ...others] = bids
  if (others.length === 0) return only
  const most = (countIn: (quote: Quote) => number) => Math.max(...bids.map(({ quote }) => countIn(quote)))
  return {
    ceiling: dearestOf([only.ceiling, ...others.map(({ quote }) => quote.ceiling)]),
    choices: only.choices,
    inputTokensBound: most(quote => quote.inputTokensBound),
    // Told from the request alone, whoever serves it.
    searchUnits: only.searchUnits,
    firstTrancheTokens: most(quote => quote.firstTrancheTokens),
    floorTrancheTokens: most(quote => quote.floorTrancheTokens),
  }
}

function limitedTogether(bids: Bids): LimitedRequest | undefined {
  const [{ limited: only }] = bids
  if (bids.length === 1) return only
  const all = bids.flatMap(({ limited }) => limited ?? [])
  if (all.length === 0) return undefined
  return {
    limits: [...new Map(all.flatMap(({ limits }) => limits.map(limit => [limit.id, limit] as const))).values()],
    atMs: (all[0] as LimitedRequest).atMs,
    inputTokens: Math.max(...all.map(each => each.inputTokens)),
    outputTokens: Math.max(...all.map(each => each.outputTokens)),
  }
}

function tranches(quote: Bounds): number[] {
  return quote.floorTrancheTokens < quote.firstTrancheTokens
    ? [quote.firstTrancheTokens, quote.floorTrancheTokens]
    : [quote.firstTrancheTokens]
}

function refusedError(refusal: HoldRefusal, quote: Bounds): ApiError {
  const needed = formatDollars(
    holdFor(quote.ceiling, quote.inputTokensBound, quote.floorTrancheTokens * quote.choices, quote.searchUnits),
  )
  const available = formatDollars(refusal.available)
  const cap = isTokenBudget(refusal.budgetId) ? 'the spending limit of this token' : 'the cap of this API key'
  const numbers = `This request can cost up to $${needed}; $${available} is available`
  switch (refusal.reason) {
    case 'credit':
      return new ApiError(
        'insufficient_balance',
        `${numbers} in the organisation's credit. Add credit or lower max_tokens.`,
      )
    case 'credit_held':
      return new ApiError('balance_held', `${numbers} while other requests run. Repeat when they end, or add credit.`, {
        retryAfterMs: RUNNING_RETRY_MS,
      })
    case 'budget':
      return new ApiError('key_cap_exceeded', `${numbers} under ${cap}.`)
    case 'budget_held':
      return new ApiError('balance_held', `${numbers} under ${cap} while other requests run. Repeat when they end.`, {
        retryAfterMs: RUNNING_RETRY_MS,
      })
    case 'limit':
    case 'limit_held':
      throw new AssertionFailure('a refusal under a limit names it')
  }
}
