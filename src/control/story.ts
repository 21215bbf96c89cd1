import type { Price } from '../inference/snapshot.ts'
import type { Settlement } from '../ledger/journal.ts'
import { formatDollars, formatPricePerMillion, picodollarsToNanodollars } from '../ledger/money.ts'
import { formatPicodollars } from './fields.ts'

/** One line of the arithmetic of a charge. */
export interface ChargeLine {
  readonly class: 'input' | 'cached_input' | 'output' | 'request'
  /** Tokens, or requests on the last line. */
  readonly quantity: number
  /** Dollars per million tokens; dollars per request on the last line. */
  readonly price: string
  readonly picodollars_each: string
  readonly picodollars: string
}

/** How a charge came about, to be checked by hand. */
export interface Arithmetic {
  readonly lines: ChargeLine[]
  /** Sum of the lines. */
  readonly picodollars: string
  readonly dollars: string
  /** The sum after the one rounding, half to even, to nanodollars. */
  readonly rounded: string
  /** What was held at most: a charge is never above it. */
  readonly held: string
  readonly charge: string
  readonly overrun: string
  /** Why the charge is what it is, in a sentence. */
  readonly explanation: string
}

/**
 * The arithmetic of a settled request, line by line, from its usage and the price it was charged at. It is worked out
 * anew, so a charge that does not follow from the rules is told as such.
 */
export function chargeArithmetic(settlement: Settlement, price: Price): Arithmetic {
  const { usage } = settlement
  const cachedTokens = Math.min(usage.cachedInputTokens, usage.inputTokens)
  const lines = [
    tokenLine('input', usage.inputTokens - cachedTokens, price.inputPicodollars),
    tokenLine('cached_input', cachedTokens, price.cachedInputPicodollars),
    tokenLine('output', usage.outputTokens, price.outputPicodollars),
    line('request', 1, price.requestPicodollars, formatPicodollars(price.requestPicodollars)),
  ]
  const picodollars = lines.reduce((sum, each) => sum + BigInt(each.picodollars), 0n)
  const roundedNanodollars = picodollarsToNanodollars(picodollars)
  return {
    lines,
    picodollars: picodollars.toString(),
    dollars: formatPicodollars(picodollars),
    rounded: formatDollars(roundedNanodollars),
    held: formatDollars(settlement.heldNanodollars),
    charge: formatDollars(settlement.chargeNanodollars),
    overrun: formatDollars(settlement.overrunNanodollars),
    explanation: explain(settlement, roundedNanodollars),
  }
}

function explain(settlement: Settlement, roundedNanodollars: bigint): string {
  const { chargeNanodollars, heldNanodollars, overrunNanodollars, ending } = settlement
  if (chargeNanodollars + overrunNanodollars === roundedNanodollars) {
    if (overrunNanodollars === 0n) return 'The usage at its price, rounded once.'
    if (chargeNanodollars === heldNanodollars) {
      return 'The usage is worth more than was held. The hold was charged; the operator bears the rest as overrun.'
    }
  }
  const maybeFree = ending !== 'completed' && ending !== 'exhausted'
  if (maybeFree && chargeNanodollars === 0n && overrunNanodollars === 0n)
    return `Nothing: a request that ends as "${ending}" here owes nothing.`
  return 'The charge does not follow from usage, price and hold. Run: headrace ledger verify.'
}

function tokenLine(name: ChargeLine['class'], tokens: number, picodollarsEach: bigint): ChargeLine {
  return line(name, tokens, picodollarsEach, formatPricePerMillion(picodollarsEach))
}

function line(name: ChargeLine['class'], quantity: number, picodollarsEach: bigint, price: string): ChargeLine {
  return {
    class: name,
    quantity,
    price,
    picodollars_each: picodollarsEach.toString(),
    picodollars: (BigInt(quantity) * picodollarsEach).toString(),
  }
}
