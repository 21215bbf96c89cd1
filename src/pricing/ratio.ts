import type { Ratio } from '../inference/price.ts'

/** No factor of a real price list is longer; the bound keeps the arithmetic of a charge short. */
const RATIO_DIGITS_MAX = 12

/** A multiplier was not written as one. The message says how to. */
export class RatioFormatError extends Error {
  override name = 'RatioFormatError'
}

export const ONE: Ratio = Object.freeze({ numerator: 1n, denominator: 1n })

/**
 * `"0.5"`, `"2"` or `"3/4"` → the fraction in lowest terms. Zero is a multiplier, negative is none.
 *
 * @throws RatioFormatError
 */
export function parseRatio(text: string): Ratio {
  const match = /^(\d{1,12})(?:\.(\d{1,12})|\/(\d{1,12}))?$/.exec(text.trim())
  const digits = match === null ? 0 : (match[1] as string).length + (match[2]?.length ?? 0)
  const denominator = match?.[3] !== undefined ? BigInt(match[3]) : 10n ** BigInt(match?.[2]?.length ?? 0)
  if (match === null || digits > RATIO_DIGITS_MAX || denominator === 0n)
    throw new RatioFormatError(
      `expected a multiplier such as "0.5" or "3/4", 0 or more, of at most ${RATIO_DIGITS_MAX} digits, got ${JSON.stringify(text)}`,
    )
  return ratio(BigInt(`${match[1]}${match[2] ?? ''}`), denominator)
}

/** The fraction in lowest terms. */
export function ratio(numerator: bigint, denominator: bigint): Ratio {
  let [a, b] = [numerator, denominator]
  while (b !== 0n) [a, b] = [b, a % b]
  return { numerator: numerator / a, denominator: denominator / a }
}

/** As a decimal where it ends, else as a fraction: `"0.5"`, `"2"`, `"1/3"`. `parseRatio` gives it back. */
export function formatRatio({ numerator, denominator }: Ratio): string {
  if (denominator === 1n) return numerator.toString()
  const decimal = endingDecimal(numerator, denominator)
  if (decimal !== null && decimal.length <= RATIO_DIGITS_MAX + 1) return decimal
  return `${numerator}/${denominator}`
}

/** The product, exact, in lowest terms. */
export function times(a: Ratio, b: Ratio): Ratio {
  if (a.denominator === 1n && a.numerator === 1n) return b
  if (b.denominator === 1n && b.numerator === 1n) return a
  return ratio(a.numerator * b.numerator, a.denominator * b.denominator)
}

/** Whether `a` is above `b`. */
export function exceeds(a: Ratio, b: Ratio): boolean {
  return a.numerator * b.denominator > b.numerator * a.denominator
}

/** A fraction as a decimal string without trailing zeros; null when it does not end. */
function endingDecimal(numerator: bigint, denominator: bigint): string | null {
  let places = 0
  let rest = denominator
  for (const prime of [2n, 5n]) {
    let power = 0
    for (; rest % prime === 0n; rest /= prime) power++
    places = Math.max(places, power)
  }
  if (rest !== 1n) return null
  const digits = ((numerator * 10n ** BigInt(places)) / denominator).toString().padStart(places + 1, '0')
  return places === 0 ? digits : `${digits.slice(0, -places)}.${digits.slice(-places)}`
}
