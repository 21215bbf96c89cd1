/** No request has so many tokens: a count beyond it is a fault of the upstream, and as good as none. */
const TOKENS_MAX = 1_000_000_000

/** A whole number as some proxies write it, in quotes; nothing else in quotes is a count, the empty text above all. */
const QUOTED_COUNT = /^(?:0|[1-9]\d{0,9})$/

/**
 * A number of tokens, or undefined for whatever is none: missing, null, negative, with a fraction, beyond reason, or of
 * another type. Zero is a count. JSON's `12.0` is the number 12.
 */
export function readCount(value: unknown): number | undefined {
  const number = typeof value === 'string' && QUOTED_COUNT.test(value) ? Number(value) : value
  if (typeof number !== 'number' || !Number.isInteger(number) || number < 0 || number > TOKENS_MAX) return undefined
  // -0 is an integer that is not less than 0.
  return number + 0
}

/** The largest of the counts that were reported, or undefined when none was. */
export function largest(...counts: readonly (number | undefined)[]): number | undefined {
  let most: number | undefined
  for (const count of counts) if (count !== undefined && (most === undefined || count > most)) most = count
  return most
}
