import type { IncomingHttpHeaders } from 'node:http'
import { ApiError } from '../errors.ts'
import { SCOPED_TOKEN_PREFIX, type ScopedToken } from '../inference/scoped-token.ts'
import type { ApiKey, Org, Snapshot } from '../inference/snapshot.ts'
import type { KeyHasher } from './key-hasher.ts'

/** Who calls: a valid key and the org it acts for. */
export interface Caller {
  readonly org: Org
  readonly key: ApiKey
  /** Present where the client came with a token that was derived from the key, and has no more rights than that gives. */
  readonly token?: ScopedToken
}

/**
 * Finds the caller by the key in the headers. Clients of different families send it in different headers
 * (`Authorization: Bearer`, `x-api-key`, `xi-api-key`, `api-key`); the first present counts. In place of a key a token may stand that was derived from one. The lookup is by keyed hash,
 * so that neither its time nor the store gives a key away.
 *
 * @throws ApiError 401 without a valid key, 403 when the org is disabled.
 */
export function authenticate(
  headers: IncomingHttpHeaders,
  snapshot: Snapshot,
  hasher: KeyHasher,
  nowMs: number,
): Caller {
  const secret = presentedSecret(headers)
  if (secret === undefined) {
    throw new ApiError('invalid_api_key', 'No API key was sent. Send "Authorization: Bearer sk-hr-...".')
  }
  if (secret.startsWith(SCOPED_TOKEN_PREFIX)) return bearerOf(hasher.tokens.read(secret), snapshot, nowMs)
  const hash = hasher.hash(secret)
  // The checksum at a key's end tells garbage and cut keys from unknown ones.
  if (hash === undefined) {
    throw new ApiError('invalid_api_key', 'This is not a Headrace API key: it is cut, mistyped, or of another service.')
  }
  const key = snapshot.keysByHash.get(hash)
  return callerOf(key, snapshot, nowMs)
}

/**
 * Who a key acts for, while it may.
 *
 * @throws ApiError 401 when the key is unknown, revoked or over, 403 when the org is disabled.
 */
export function callerOf(key: ApiKey | undefined, snapshot: Snapshot, nowMs: number): Caller {
  if (key === undefined) throw new ApiError('invalid_api_key', 'This API key is not known here.')
  return { org: orgOf(key, snapshot, nowMs), key }
}

function bearerOf(token: ScopedToken, snapshot: Snapshot, nowMs: number): Caller {
  if (token.revokedMs !== null && token.revokedMs <= nowMs)
    throw new ApiError('revoked_api_key', 'This token was revoked.')
  if (token.expiresMs <= nowMs)
    throw new ApiError('revoked_api_key', `This token has expired at ${new Date(token.expiresMs).toISOString()}.`)
  const key = snapshot.keys.get(token.keyId)
  if (key === undefined) throw new ApiError('invalid_api_key', 'The API key of this token is not known here.')
  return { org: orgOf(key, snapshot, nowMs), key, token }
}

/** The org that a key acts for, if it still may. */
function orgOf(key: ApiKey, snapshot: Snapshot, nowMs: number): Org {
  if (key.revokedMs !== null && key.revokedMs <= nowMs)
    throw new ApiError('revoked_api_key', `The API key "${key.name}" was revoked.`)
  if (key.expiresMs !== null && key.expiresMs <= nowMs)
    throw new ApiError('revoked_api_key', `The API key "${key.name}" has expired.`)
  const org = snapshot.orgs.get(key.orgId)
  if (org === undefined) throw new ApiError('invalid_api_key', 'This API key is not known here.')
  if (org.disabled) throw new ApiError('org_disabled', `The organisation "${org.name}" is disabled.`)
  return org
}

/** The key or token that a request presents, in whichever header; undefined when it presents none. Not checked. */
export function presentedSecret(headers: IncomingHttpHeaders): string | undefined {
  const { authorization } = headers
  if (authorization !== undefined) {
    const space = authorization.indexOf(' ')
    if (space > 0 && authorization.slice(0, space).toLowerCase() === 'bearer')
      return authorization.slice(space + 1).trim()
  }
  const other = headers['x-api-key'] ?? headers['xi-api-key'] ?? headers['api-key']
  return typeof other === 'string' ? other.trim() : undefined
}
