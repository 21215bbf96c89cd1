import { ApiError } from '../errors.ts'
import type { Books, Budget, Hold, HoldRefusal, LimitedRequest } from '../ledger/books.ts'
import { formatDollars } from '../ledger/money.ts'
import { type Ceiling, ceilingOf, holdFor } from '../pricing/ceiling.ts'
import { AssertionFailure } from '../std/assert.ts'
import type { Caller } from './authenticate.ts'
import { limitError } from './limit-error.ts'
import type { Quote } from './quote.ts'

/**
 * A request's right to run: its hold, and how much output the hold covers. `outputCovered` is shared by all choices.
 * Ends once, by `Books.settle` or `Books.void`.
 */
export class Ticket {
  readonly quote: Quote
  readonly hold: Hold
  readonly #books: Books
  /** The dearest prices that are still reachable. */
  #ceiling: Ceiling
  /** Input tokens covered; falls to the exact number once that is known. */
  #inputTokens: number
  /** Output tokens covered, over all choices. */
  #outputTokens: number

  constructor(books: Books, quote: Quote, hold: Hold, outputTokens: number) {
    this.#books = books
    this.quote = quote
    this.hold = hold
    this.#ceiling = quote.ceiling
    this.#inputTokens = quote.inputTokensBound
    this.#outputTokens = outputTokens
  }

  /** Output tokens that may still be relayed before the hold has to grow, over all choices. */
  get outputTokensCovered(): number {
    return this.#outputTokens
  }

  /** The exact input is known: what was held above it goes back at once. */
  inputIs(tokens: number): void {
    if (tokens >= this.#inputTokens || this.hold.state !== 'held') return
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
      if (step === 0) return false
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
  const budgets: Budget[] = [{ id: `key:${caller.key.id}`, limitNanodollars: caller.key.capNanodollars }]
  let refusal: HoldRefusal | null = null
  for (const tokens of tranches(quote)) {
    const outputTokens = tokens * quote.choices
    const amountNanodollars = holdFor(quote.ceiling, quote.inputTokensBound, outputTokens, quote.searchUnits)
    const outcome = books.hold({ requestId, orgId: caller.org.id, budgets, amountNanodollars, limited })
    if (outcome.hold !== null) return new Ticket(books, quote, outcome.hold, outputTokens)
    refusal = outcome.refusal
    // A smaller amount of money changes nothing about a limit on something else.
    if (refusal.limited !== undefined && refusal.limited.limit.measure !== 'nanodollars') break
  }
  const { limited: under } = refusal as HoldRefusal
  throw under !== undefined && limited !== undefined
    ? limitError(under.limit, refusal as HoldRefusal, limited.atMs)
    : refusedError(refusal as HoldRefusal, quote)
}

function tranches(quote: Quote): number[] {
  return quote.floorTrancheTokens < quote.firstTrancheTokens
    ? [quote.firstTrancheTokens, quote.floorTrancheTokens]
    : [quote.firstTrancheTokens]
}

function refusedError(refusal: HoldRefusal, quote: Quote): ApiError {
  const needed = formatDollars(
    holdFor(quote.ceiling, quote.inputTokensBound, quote.floorTrancheTokens * quote.choices, quote.searchUnits),
  )
  const available = formatDollars(refusal.available)
  const numbers = `This request can cost up to $${needed}; $${available} is available`
  switch (refusal.reason) {
    case 'credit':
      return new ApiError(
        'insufficient_balance',
        `${numbers} in the organisation's credit. Add credit or lower max_tokens.`,
      )
    case 'credit_held':
      return new ApiError('balance_held', `${numbers} while other requests run. Repeat when they end, or add credit.`)
    case 'budget':
      return new ApiError('key_cap_exceeded', `${numbers} under the cap of this API key.`)
    case 'budget_held':
      return new ApiError(
        'balance_held',
        `${numbers} under the cap of this API key while other requests run. Repeat when they end.`,
      )
    case 'limit':
    case 'limit_held':
      throw new AssertionFailure('a refusal under a limit names it')
  }
}
