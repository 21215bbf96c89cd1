import type { Price, PriceWindow } from '../inference/price.ts'

const MINUTE_MS = 60_000
export const DAY_MINUTES = 1_440
const WEEK_MINUTES = 7 * DAY_MINUTES
/** 1 January 1970 was a Thursday. */
const EPOCH_MINUTE_OF_WEEK = 3 * DAY_MINUTES

/**
 * The price in force at a time for the orgs of a group: the group's own row, else the row for everybody; undefined when the model
 * is not for sale then.
 */
export function priceAt(prices: readonly Price[], atMs: number, group: string | null = null): Price | undefined {
  let forAll: Price | undefined
  for (let i = 0; i < prices.length; i++) {
    const price = prices[i] as Price
    if (price.fromMs > atMs || (price.toMs !== null && atMs >= price.toMs)) continue
    const rowGroup = price.group ?? null
    if (rowGroup === group) return price
    if (rowGroup === null) forAll ??= price
  }
  return forAll
}

/** Minutes since Monday 00:00 UTC. Days of UTC all have 24 hours, so no clock change anywhere moves a window. */
export function minuteOfWeek(atMs: number): number {
  const minute = (Math.floor(atMs / MINUTE_MS) + EPOCH_MINUTE_OF_WEEK) % WEEK_MINUTES
  return minute < 0 ? minute + WEEK_MINUTES : minute
}

/** The window that is open at a time, or undefined. */
export function windowAt(windows: readonly PriceWindow[], atMs: number): PriceWindow | undefined {
  if (windows.length === 0) return undefined
  const minute = minuteOfWeek(atMs)
  return windows.find(window => isOpen(window, minute))
}

/** Whether a window is open in a minute of the week. */
export function isOpen({ days, startMinute, durationMinutes }: PriceWindow, minute: number): boolean {
  return days.some(day => {
    const sinceStart = minute - (day * DAY_MINUTES + startMinute)
    return (sinceStart < 0 ? sinceStart + WEEK_MINUTES : sinceStart) < durationMinutes
  })
}

/** The first two windows that are open in one minute, by position; null when there are none. */
export function overlapOf(windows: readonly PriceWindow[]): readonly [number, number] | null {
  const owner = new Int16Array(WEEK_MINUTES).fill(-1)
  for (const [index, { days, startMinute, durationMinutes }] of windows.entries()) {
    for (const day of days) {
      for (let i = 0; i < durationMinutes; i++) {
        const minute = (day * DAY_MINUTES + startMinute + i) % WEEK_MINUTES
        // A window that lasts a day and more days may touch itself; only another one is an overlap.
        const before = owner[minute] as number
        if (before !== -1 && before !== index) return [before, index]
        owner[minute] = index
      }
    }
  }
  return null
}
