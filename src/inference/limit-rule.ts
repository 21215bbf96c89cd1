/** A stretch of time that limits are counted over; all in UTC, weeks begin on Monday. */
export type WindowUnit = 'minute' | 'hour' | 'day' | 'week' | 'month'

/**
 * When what was used counts no more: `day` starts anew at midnight, `rolling_day` looks back over 24 hours (a rolling month over 30 days),
 * `ever` never forgets.
 */
export type Window = 'ever' | WindowUnit | `rolling_${WindowUnit}`

/**
 * What a limit counts. `tokens` are all input and output tokens, `uncached_tokens` those without cached input. `concurrency` counts
 * requests that run, and has no window.
 */
export type Measure =
  | 'nanodollars'
  | 'requests'
  | 'tokens'
  | 'uncached_tokens'
  | 'input_tokens'
  | 'output_tokens'
  | 'concurrency'

/**
 * A limit as the operator set it: how much of a measure may be used in a window by whom. A request counts under every rule whose scope it
 * is in; what is null in the scope does not narrow it.
 */
export interface LimitRule {
  readonly id: string
  /** Null: all orgs of the installation together. */
  readonly orgId: string | null
  readonly projectId: string | null
  readonly keyId: string | null
  /** One end user of the org, or `each`: every one has the limit for itself. */
  readonly endUserId: string | null
  readonly modelId: string | null
  readonly measure: Measure
  /** Above zero; nanodollars for money. */
  readonly amount: bigint
  readonly window: Window
  /** False: nothing is refused, it is only told. */
  readonly hard: boolean
  /** Parts of the amount, in percent, ascending, at which it is told; at most 10. */
  readonly notifyPercents: readonly number[]
}

/** `endUserId` of a rule that each end user has for itself. */
export const EACH_END_USER = 'each'

/** Some keys of an org that have limits together. */
export interface Project {
  readonly id: string
  readonly orgId: string
  readonly name: string
}
