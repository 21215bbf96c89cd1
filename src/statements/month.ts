/** A calendar month in UTC. */
export interface Month {
  /** `2026-10`. */
  readonly text: string
  /** Its first millisecond since 1970. */
  readonly fromMs: number
  /** The first millisecond of the next month. */
  readonly toMs: number
}

/** `2026-10` as a month in UTC; null for what is none. */
export function parseMonth(text: string): Month | null {
  const match = /^(\d{4})-(0[1-9]|1[0-2])$/.exec(text)
  if (match === null || Number(match[1]) < 1970) return null
  const [year, month] = [Number(match[1]), Number(match[2])]
  return { text, fromMs: Date.UTC(year, month - 1), toMs: Date.UTC(year, month) }
}

/** The month in UTC that a time is in. */
export function monthOf(atMs: number): Month {
  return parseMonth(new Date(atMs).toISOString().slice(0, 7)) as Month
}
