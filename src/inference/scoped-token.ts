/** What every scoped token begins with on the wire: `jwt:<header>.<payload>.<signature>`, as DeepInfra's. */
export const SCOPED_TOKEN_PREFIX = 'jwt:'

/**
 * A right that was derived from an API key to be handed on, to a browser or an end user: perhaps for some models, up to some sum, always
 * until some time. What it is used for counts on its key, under whose cap and limits it stays; it ends with its key, too.
 */
export interface ScopedToken {
  /** `jti` of the token; ids sort by the time at which they were made. */
  readonly id: string
  readonly orgId: string
  /** The API key that it was derived from. */
  readonly keyId: string
  /** Ids of the only models that it may use; null: all that its key may use. */
  readonly models: readonly string[] | null
  /** Most that may ever be spent with it, nanodollars, above zero; null when only the key's bounds count. */
  readonly limitNanodollars: bigint | null
  readonly createdMs: number
  readonly expiresMs: number
  readonly revokedMs: number | null
}
