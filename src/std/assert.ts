/** Throws when our own reasoning was wrong. Stays on in production; never used for what the world can cause. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionFailure(message)
}

/** A mistake of ours, not of a client, a config file or an upstream. */
export class AssertionFailure extends Error {
  override name = 'AssertionFailure'
}
