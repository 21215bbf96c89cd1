/** Integer division rounded half to even; the divisor is above zero. The one way in which statements round. */
export function divideHalfEven(dividend: bigint, divisor: bigint): bigint {
  // BigInt division truncates towards zero; the floor makes the rest non-negative for both signs.
  let quotient = dividend / divisor
  let rest = dividend % divisor
  if (rest < 0n) {
    quotient -= 1n
    rest += divisor
  }
  const twice = 2n * rest
  if (twice > divisor || (twice === divisor && (quotient & 1n) === 1n)) return quotient + 1n
  return quotient
}

/** One cent. */
export const NANODOLLARS_PER_CENT = 10_000_000n

/** Nanodollars rounded half to even to whole cents, in nanodollars again. */
export function roundToCents(nanodollars: bigint): bigint {
  return divideHalfEven(nanodollars, NANODOLLARS_PER_CENT) * NANODOLLARS_PER_CENT
}
