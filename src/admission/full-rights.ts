import { ApiError } from '../errors.ts'
import type { Snapshot } from '../inference/snapshot.ts'
import type { Caller } from './authenticate.ts'

/**
 * Why a caller may not act for its whole organisation; null when it may. A key that is bounded in any way could else make itself one that
 * is not.
 */
export function lackingRights({ key, token }: Caller, snapshot: Snapshot): string | null {
  if (token !== undefined) return 'this is a token'
  if (key.capNanodollars !== null) return 'this key has a cap'
  if (key.models != null) return 'this key is for some models alone'
  if (key.expiresMs !== null) return 'this key ends'
  if (key.projectId !== null) return 'this key belongs to a project'
  const own = snapshot.limitsByKey.get(key.id)?.some(limit => limit.keyId === key.id && limit.hard)
  return own === true ? 'this key has limits of its own' : null
}

/** @throws ApiError 403 when the caller may not act for its whole organisation. */
export function requireFullRights(caller: Caller, snapshot: Snapshot): void {
  const lacking = lackingRights(caller, snapshot)
  if (lacking === null) return
  throw new ApiError(
    'permission_denied',
    `Only an API key without a bound may do this, and ${lacking}. Use a key that has no cap, models, end, project or limit of its own.`,
  )
}
