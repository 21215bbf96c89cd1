/**
 * The class of service that a request was really served at, which decides its multiplier: `priority` runs before others, `flex` may
 * wait, `batch` is a line of a batch.
 */
export type ServiceTier = 'standard' | 'priority' | 'flex' | 'batch'
