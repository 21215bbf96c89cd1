/** Fraction digits of a dollar in one nanodollar. */
const NANO_DIGITS = 9
/** Fraction digits of a dollar in one picodollar. */
const PICO_DIGITS = 12

/**
 * Nanodollars as dollars, a decimal literal with nine fraction digits that is also a JSON number:
 * `100_023_300n` becomes `0.100023300`. Digits are moved, never divided, so no float comes near the amount.
 */
export function nanodollarsToDecimal(nanodollars: bigint): string {
  return scaledToDecimal(nanodollars, NANO_DIGITS)
}

/** Picodollars per token as dollars per token, without trailing zeros: `1_300_000n` becomes `0.0000013`. */
export function picodollarsToDecimal(picodollars: bigint): string {
  return trimZeros(scaledToDecimal(picodollars, PICO_DIGITS))
}

/** Picodollars per token as dollars per million tokens, without trailing zeros: `1_300_000n` becomes `1.3`. */
export function picodollarsToDollarsPerMillion(picodollars: bigint): string {
  return trimZeros(scaledToDecimal(picodollars, PICO_DIGITS - 6))
}

/** Picodollars per token as cents per token, without trailing zeros: `1_300_000n` becomes `0.00013`. */
export function picodollarsToCents(picodollars: bigint): string {
  return trimZeros(scaledToDecimal(picodollars, PICO_DIGITS - 2))
}

function scaledToDecimal(value: bigint, fractionDigits: number): string {
  const sign = value < 0n ? '-' : ''
  const digits = (value < 0n ? -value : value).toString().padStart(fractionDigits + 1, '0')
  const point = digits.length - fractionDigits
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`
}

function trimZeros(decimal: string): string {
  let end = decimal.length
  while (decimal.charCodeAt(end - 1) === 0x30) end--
  if (decimal.charCodeAt(end - 1) === 0x2e) end--
  return decimal.slice(0, end)
}
