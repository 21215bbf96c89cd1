import { availableParallelism } from 'node:os'

/** How the machine's cores are shared out. */
export interface ThreadShare {
  /** Threads of each child. */
  readonly perChild: number
  /** Children that may be loaded at the same time, so that the sum of their threads stays within the budget. */
  readonly childrenMax: number
}

/**
 * Cores that all engine children may use together: one is left to the gateway where there are more than two. More
 * threads than cores is never right: they wait for each other at every layer, and twice as many made another binding
 * 200 times slower.
 */
export function threadBudget(cores: number = availableParallelism()): number {
  return cores > 2 ? cores - 1 : Math.max(1, cores)
}

/** Shares a budget among models that may be loaded at once; a child has at least one thread. */
export function shareThreads(budget: number, models: number): ThreadShare {
  const childrenMax = Math.max(1, Math.min(models, budget))
  return { perChild: Math.max(1, Math.floor(budget / childrenMax)), childrenMax }
}
