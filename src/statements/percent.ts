/** Places of a percentage that count. */
const PERCENT_PLACES = 4
/** 100 percent in parts per million. */
export const PARTS_PER_UNIT = 1_000_000n

/** A percentage from 0 to 100 as parts per million: `8.875` is 88,750. Throws a RangeError that says what is wrong. */
export function parsePercent(text: string): bigint {
  const match = /^(\d{1,3})(?:\.(\d{1,4}))?$/.exec(text)
  const parts = match === null ? null : BigInt(`${match[1]}${(match[2] ?? '').padEnd(PERCENT_PLACES, '0')}`)
  if (parts === null || parts > PARTS_PER_UNIT)
    throw new RangeError(
      `expected percent from 0 to 100 with at most ${PERCENT_PLACES} places, such as "8.875", got "${text}"`,
    )
  return parts
}
