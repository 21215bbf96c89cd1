/** Wait after the first failure; each further one in a row makes it three times as long. */
const FIRST_WAIT_MS = 5_000
const GROWTH = 3
const WAIT_MS_MAX = 4 * 3_600_000
/** A delivery is given up a day after it was asked for. */
export const TRYING_MS = 24 * 3_600_000

/**
 * How long to wait after so many failures in a row (from 1), milliseconds. `chance`, from 0 to 1, spreads it between 80 and 120
 * per cent, so that many senders do not come back at the same instant.
 */
export function waitAfter(failures: number, chance: number): number {
  const wait = Math.min(FIRST_WAIT_MS * GROWTH ** (failures - 1), WAIT_MS_MAX)
  return Math.round(wait * (0.8 + 0.4 * chance))
}

/** When to try again, or null to give up. The last try is made when the time for trying is over, and never later. */
export function nextTry(failures: number, sinceMs: number, nowMs: number, chance: number): number | null {
  const lastMs = sinceMs + TRYING_MS
  return nowMs >= lastMs ? null : Math.min(nowMs + waitAfter(failures, chance), lastMs)
}
