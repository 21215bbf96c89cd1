import { parsePricePerMillion } from '../ledger/money.ts'

/** What the model of a proof costs, in dollars per million tokens: odd figures, so that nearly every charge has to be rounded. */
export const PROOF_PRICE = { input: '0.1237', cachedInput: '0.0123', output: '3.1415' } as const

const INPUT_PICODOLLARS = parsePricePerMillion(PROOF_PRICE.input)
const CACHED_PICODOLLARS = parsePricePerMillion(PROOF_PRICE.cachedInput)
const OUTPUT_PICODOLLARS = parsePricePerMillion(PROOF_PRICE.output)

/** Tokens of one request. `cached` is a part of `input`. */
export interface Counts {
  readonly input: number
  readonly cached: number
  readonly output: number
}

/**
 * Counts at their price in nanodollars, rounded once, half to even. Worked out here anew, with no help of the code that charges, so
 * that a mistake there shows.
 */
export function worthNanodollars({ input, cached, output }: Counts): bigint {
  const picodollars =
    BigInt(input - cached) * INPUT_PICODOLLARS +
    BigInt(cached) * CACHED_PICODOLLARS +
    BigInt(output) * OUTPUT_PICODOLLARS
  const whole = picodollars / 1000n
  const twiceTheRest = (picodollars % 1000n) * 2n
  if (twiceTheRest > 1000n || (twiceTheRest === 1000n && whole % 2n === 1n)) return whole + 1n
  return whole
}
