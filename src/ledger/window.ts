import type { Window, WindowUnit } from '../inference/limit-rule.ts'

const SECOND_MS = 1000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
/** 1970-01-01 was a Thursday. */
const FIRST_MONDAY_MS = 4 * DAY_MS

const LENGTHS_MS: Record<WindowUnit, number> = {
  minute: MINUTE_MS,
  hour: HOUR_MS,
  day: DAY_MS,
  week: 7 * DAY_MS,
  month: 30 * DAY_MS,
}

/** A rolling window is looked at in so many slices: what is used counts for at most a sixtieth longer than the window. */
const SLICES = 60

/** Length of a rolling window's slice, milliseconds; null for windows that are one piece. */
export function sliceMs(window: Window): number | null {
  return window.startsWith('rolling_') ? LENGTHS_MS[window.slice('rolling_'.length) as WindowUnit] / SLICES : null
}

/** The piece of a window that a time is in: a calendar period, a slice of a rolling window, or all time. */
export function pieceAt(window: Window, atMs: number): { readonly fromMs: number; readonly toMs: number } {
  const slice = sliceMs(window)
  if (slice !== null) return pieceOf(slice, 0, atMs)
  switch (window) {
    case 'minute':
    case 'hour':
    case 'day':
      return pieceOf(LENGTHS_MS[window], 0, atMs)
    case 'week':
      return pieceOf(LENGTHS_MS.week, FIRST_MONDAY_MS, atMs)
    case 'month': {
      const date = new Date(atMs)
      const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()]
      return { fromMs: Date.UTC(year, month), toMs: Date.UTC(year, month + 1) }
    }
    default:
      return { fromMs: Number.NEGATIVE_INFINITY, toMs: Number.POSITIVE_INFINITY }
  }
}

/** When a piece that began at `fromMs` counts no more. */
export function forgottenAtMs(window: Window, fromMs: number): number {
  const slice = sliceMs(window)
  // The slice that the window's far end cuts still counts, so that nothing is forgotten too early.
  return slice === null ? pieceAt(window, fromMs).toMs : fromMs + (SLICES + 1) * slice
}

/** Since when usage counts at a time, milliseconds since 1970; negative infinity for `ever`. */
export function countedFromMs(window: Window, atMs: number): number {
  const slice = sliceMs(window)
  return slice === null ? pieceAt(window, atMs).fromMs : pieceAt(window, atMs).fromMs - SLICES * slice
}

/** About how long a window is, for headers that state it; null for `ever`. */
export function lengthMs(window: Window): number | null {
  if (window === 'ever') return null
  return LENGTHS_MS[window.replace('rolling_', '') as WindowUnit]
}

function pieceOf(lengthMs: number, originMs: number, atMs: number): { fromMs: number; toMs: number } {
  const fromMs = Math.floor((atMs - originMs) / lengthMs) * lengthMs + originMs
  return { fromMs, toMs: fromMs + lengthMs }
}
