/** One dollar has 10⁹ nanodollars. */
const NANODOLLAR_PLACES = 9
/** No request costs a million dollars: an amount beyond it is a fault of the upstream, and as good as none. */
const COST_NANODOLLARS_MAX = 1_000_000_000_000_000n
/** Longer texts are no amount; the longest text of a double has 24 characters. */
const AMOUNT_CHARS_MAX = 64

const DECIMAL = /^(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,3}))?$/

/**
 * An amount of money as an upstream writes it, a JSON number or a decimal text, in units of `10^exponent` dollars
 * (0: dollars) → nanodollars, rounded half to even. Undefined for whatever is no amount: missing, null, negative, beyond
 * reason.
 *
 * Digits are moved, never multiplied as floats: of a number the shortest decimal text that stands for it is read, which is
 * the upstream's own text wherever that has at most 15 significant digits, so exact to the nanodollar below a million.
 */
export function readCost(value: unknown, exponent = 0): bigint | undefined {
  if (typeof value !== 'number' && typeof value !== 'string') return undefined
  const text = String(value)
  const match = text.length > AMOUNT_CHARS_MAX ? null : DECIMAL.exec(text)
  if (match === null) return undefined
  const [, whole = '', fraction = '', power = '0'] = match
  const digits = BigInt(whole + fraction)
  const shift = Number(power) + exponent + NANODOLLAR_PLACES - fraction.length
  const nanodollars = shift >= 0 ? digits * 10n ** BigInt(shift) : divideHalfEven(digits, 10n ** BigInt(-shift))
  return nanodollars <= COST_NANODOLLARS_MAX ? nanodollars : undefined
}

function divideHalfEven(dividend: bigint, divisor: bigint): bigint {
  const quotient = dividend / divisor
  const twice = (dividend % divisor) * 2n
  return twice > divisor || (twice === divisor && (quotient & 1n) === 1n) ? quotient + 1n : quotient
}
