import type { JsonObject } from '../../inference/request.ts'
import type { UsageClaims } from './claims.ts'

/** What one usage object of an upstream says, read but not reconciled. */
export interface UsageReport {
  readonly claims: UsageClaims
  /** Fields that we do not know. */
  readonly extra?: JsonObject | undefined
  /** What the upstream says that it takes from us for the request, nanodollars. */
  readonly costNanodollars?: bigint | undefined
  /** The answer goes on after this report: a report of nothing is then no count of nothing, but one not yet made. */
  readonly goesOn?: boolean
}

/** How one wire writes usage. Both answer undefined, at once, for what holds none; neither throws. */
export interface UsageWire {
  /** Reads a usage object by itself. */
  read(raw: unknown): UsageReport | undefined
  /** Finds and reads the usage in a parsed frame of a stream, or in a whole body. */
  reportIn(frame: JsonObject): UsageReport | undefined
}
