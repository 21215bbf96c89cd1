/**
 * Money as integers: balances, charges and holds in **nanodollars** (1 n$ = 10⁻⁹ US dollar), prices in **picodollars per
 * token** (1 p$/token = $10⁻⁶ per million tokens). No float comes near money.
 */

/** A decimal string was not an amount, or finer than the unit. The message says which. */
export class MoneyFormatError extends Error {
  override name = 'MoneyFormatError'
}

const NANODOLLAR_PLACES = 9
const PRICE_PLACES = 6
const PICODOLLAR_PLACES = 12
/** The store's integers are signed 64 bits: $9.2 billion. */
const NANODOLLARS_MAX = 2n ** 63n - 1n

/** `"12.50"` → 12_500_000_000n. At most 9 places and $9.2 billion; a sign is allowed. */
export function parseDollars(text: string): bigint {
  return parseScaled(text, NANODOLLAR_PLACES, 'a dollar amount such as "5.00"', '10⁻⁹ dollar')
}

/** 12_500_000_000n → `"12.50"`; at least two places, no more than needed. */
export function formatDollars(nanodollars: bigint): string {
  return formatScaled(nanodollars, NANODOLLAR_PLACES)
}

/** A price in dollars per million tokens → picodollars per token: `"1.30"` → 1_300_000n. Zero is a price; negative is refused. */
export function parsePricePerMillion(text: string): bigint {
  const picodollars = parseScaled(
    text,
    PRICE_PLACES,
    'a price per million tokens such as "1.30"',
    '$0.000001 per million tokens',
  )
  if (picodollars < 0n) throw new MoneyFormatError(`a price cannot be negative, got ${JSON.stringify(text)}`)
  return picodollars
}

/** Picodollars per token → dollars per million tokens: 1_300_000n → `"1.30"`. */
export function formatPricePerMillion(picodollars: bigint): string {
  return formatScaled(picodollars, PRICE_PLACES)
}

/** A price in dollars for one of something (a request, a search unit, a token) → picodollars; at most 12 places, not negative. */
export function parsePicodollars(text: string): bigint {
  const picodollars = parseScaled(text, PICODOLLAR_PLACES, 'a dollar amount such as "0.0005"', '10⁻¹² dollar')
  if (picodollars < 0n) throw new MoneyFormatError(`a price cannot be negative, got ${JSON.stringify(text)}`)
  return picodollars
}

/** Picodollars as dollars: 1_000_000_000_000n → `"1.00"`; at least two places, no more than needed. */
export function formatPicodollars(picodollars: bigint): string {
  return formatScaled(picodollars, PICODOLLAR_PLACES)
}

/** Picodollars → nanodollars, rounded half to even: the one rounding of a charge. */
export function picodollarsToNanodollars(picodollars: bigint): bigint {
  const quotient = picodollars / 1000n
  const rest = picodollars % 1000n
  if (rest > 500n || (rest === 500n && (quotient & 1n) === 1n)) return quotient + 1n
  if (rest < -500n || (rest === -500n && (quotient & 1n) === 1n)) return quotient - 1n
  return quotient
}

/** Picodollars → nanodollars, rounded up: what a hold needs so that no rounding of the charge exceeds it. */
export function picodollarsToNanodollarsUp(picodollars: bigint): bigint {
  return (picodollars + 999n) / 1000n
}

function parseScaled(text: string, places: number, expected: string, unit: string): bigint {
  const match = /^([+-]?)(\d{1,19})(?:\.(\d+))?$/.exec(text.trim())
  if (match === null) throw new MoneyFormatError(`expected ${expected}, got ${JSON.stringify(text)}`)
  const fraction = (match[3] ?? '').replace(/0+$/, '')
  if (fraction.length > places)
    throw new MoneyFormatError(`${JSON.stringify(text)} is finer than ${unit}, the smallest unit`)
  const value = BigInt(`${match[2]}${fraction.padEnd(places, '0')}`)
  if (value > NANODOLLARS_MAX) throw new MoneyFormatError(`${JSON.stringify(text)} is more than the books can hold`)
  return match[1] === '-' ? -value : value
}

function formatScaled(value: bigint, places: number): string {
  const digits = (value < 0n ? -value : value).toString().padStart(places + 1, '0')
  const fraction = digits.slice(-places).replace(/0+$/, '').padEnd(2, '0')
  return `${value < 0n ? '-' : ''}${digits.slice(0, -places)}.${fraction}`
}
