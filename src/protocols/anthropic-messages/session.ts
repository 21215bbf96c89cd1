import { isObject } from '../../wire/json-object.ts'
import type { DecodeContext } from '../protocol.ts'

/** Under which names `metadata.user_id` says who uses the program and in which session, where it is a JSON document (Claude Code). */
const USER_NAMES = ['account_uuid', 'device_id'] as const
/** The form that Claude Code gave it before: `user_<hash>_account_<uuid>_session_<uuid>`. */
const OLDER_FORM = /^(user_[0-9a-f]+_account_[0-9a-f-]*)_session_([0-9a-f-]+)$/

/** Who asks and in which session, as far as a request says. */
export interface Session {
  /** The same in all sessions of one user. */
  readonly user?: string
  /** Requests that share it share a prefix; without a session the user's do. */
  readonly cacheKey?: string
}

/** Reads the session out of Claude Code's header and of `metadata.user_id`, which may be a name or hold both. */
export function sessionOf(userId: unknown, headers: DecodeContext['headers']): Session {
  const header = headers['x-claude-code-session-id']
  const told = typeof userId === 'string' && userId !== '' ? readUserId(userId) : {}
  const cacheKey = (typeof header === 'string' && header !== '' ? header : undefined) ?? told.session ?? told.user
  return { user: told.user, cacheKey }
}

function readUserId(userId: string): { readonly user?: string; readonly session?: string } {
  const older = OLDER_FORM.exec(userId)
  if (older !== null) return { user: older[1], session: older[2] }
  if (!userId.startsWith('{')) return { user: userId }
  try {
    const document: unknown = JSON.parse(userId)
    if (!isObject(document)) return { user: userId }
    const name = USER_NAMES.map(key => document[key]).find(value => typeof value === 'string' && value !== '')
    const session = document.session_id
    return {
      user: typeof name === 'string' ? name : undefined,
      session: typeof session === 'string' && session !== '' ? session : undefined,
    }
  } catch {
    return { user: userId }
  }
}
