import type { Ratio } from '../inference/price.ts'
import type { Price } from '../inference/snapshot.ts'
import type { Settlement } from '../ledger/journal.ts'
import { formatDollars, formatPicodollars, formatPricePerMillion } from '../ledger/money.ts'
import { type BreakdownFactor, type BreakdownLine, breakdownOf, type PriceClass } from '../pricing/breakdown.ts'
import { formatRatio } from '../pricing/ratio.ts'

/** One line of the arithmetic of a charge. */
export interface ChargeLine {
  readonly class: PriceClass
  /** Tokens, or requests or search units. */
  readonly quantity: number
  /** Dollars per million tokens; dollars each for requests and search units. */
  readonly price: string
  readonly picodollars_each: string
  readonly picodollars: string
}

/** How a charge came about, to be checked by hand. */
export interface Arithmetic {
  readonly lines: ChargeLine[]
  /** What the sum of the lines is multiplied by; none for a plain price. */
  readonly factors: { of: BreakdownFactor['of']; multiplier: string }[]
  /** Sum of the lines, times the factors; a fraction such as "1000/3" where it is no whole number. */
  readonly picodollars: string
  readonly dollars: string
  /** The sum after the one rounding, half to even, to nanodollars. */
  readonly rounded: string
  /** What the rounding added, picodollars; negative when it took away. */
  readonly rounding_picodollars: string
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
  const found = breakdownOf(price, settlement.usage, settlement.admittedMs, settlement.serviceTier)
  const lines = found.lines.map(chargeLine)
  const factors = found.factors.map(({ of, multiplier }) => ({ of, multiplier: formatRatio(multiplier) }))
  const roundedNanodollars = found.nanodollars
  return {
    lines,
    factors,
    picodollars: fractionText(found.worth, String),
    dollars: fractionText(found.worth, formatPicodollars),
    rounded: formatDollars(roundedNanodollars),
    rounding_picodollars: fractionText(found.roundingPicodollars, String),
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

function chargeLine({ class: name, quantity, picodollarsEach, picodollars }: BreakdownLine): ChargeLine {
  const each = name === 'request' || name === 'search_unit'
  return {
    class: name,
    quantity,
    price: each ? formatPicodollars(picodollarsEach) : formatPricePerMillion(picodollarsEach),
    picodollars_each: picodollarsEach.toString(),
    picodollars: picodollars.toString(),
  }
}

function fractionText({ numerator, denominator }: Ratio, format: (value: bigint) => string): string {
  return denominator === 1n ? format(numerator) : `${format(numerator)}/${denominator}`
}
