import { createRoute, z } from '@hono/zod-openapi'
import type { Caller } from '../admission/authenticate.ts'
import { requireFullRights } from '../admission/full-rights.ts'
import { ApiError } from '../errors.ts'
import { API_KEY_PREFIX } from '../inference/api-key-format.ts'
import type { ApiKey } from '../inference/snapshot.ts'
import type { AccountPorts } from './account.ts'
import { ChangeRate } from './change-rate.ts'
import { answers, type ClientApiDeps, type ClientApp, jsonBody } from './context.ts'

/** Keys of an org that may be used, and all that it ever had: each is kept in memory. */
const KEYS_IN_USE_MAX = 1000
const KEYS_EVER_MAX = 10_000
const NAME_CHARS_MAX = 200
/** Each makes a new snapshot. */
const CHANGES_PER_MINUTE = 60

const ApiToken = z
  .object({
    token: z.string().openapi({ description: 'The API key itself as it is made; later only its last characters.' }),
    token_id: z.string(),
    name: z.string(),
    created_at: z.string(),
    allowed_ips: z.array(z.string()).nullable().openapi({ description: 'Null: a key works from everywhere.' }),
  })
  .openapi('ApiToken')

const ApiTokenCreate = z.looseObject({ name: z.string().min(1).max(NAME_CHARS_MAX) }).openapi('ApiTokenCreate')

const TokenParams = z.object({
  token: z.string().openapi({ description: 'The key itself, or its id.' }),
})

/** GET and POST /v1/api-tokens, GET and DELETE /v1/api-tokens/{token}: an organisation's API keys, in its own hands. */
export function apiTokenRoutes(app: ClientApp, deps: ClientApiDeps, account: AccountPorts): void {
  const changes = new ChangeRate(CHANGES_PER_MINUTE)
  app.openapi(
    createRoute({
      method: 'get',
      path: '/v1/api-tokens',
      tags: ['Account'],
      summary: "List the organisation's API keys",
      responses: answers('Those that were not revoked, oldest first.', z.array(ApiToken)),
    }),
    context => {
      const { caller } = context.var
      requireFullRights(caller, deps.snapshot())
      const keys = keysOf(caller.org.id, deps).filter(({ revokedMs }) => revokedMs === null)
      return context.json(
        keys.map(key => tokenBody(key)),
        200,
      )
    },
  )
  app.openapi(
    createRoute({
      method: 'post',
      path: '/v1/api-tokens',
      tags: ['Account'],
      summary: 'Make an API key',
      request: { body: jsonBody(ApiTokenCreate) },
      responses: answers('The key. This is the only time that it is told.', ApiToken),
    }),
    async context => {
      const { caller } = context.var
      requireFullRights(caller, deps.snapshot())
      const keys = keysOf(caller.org.id, deps)
      const inUse = keys.filter(({ revokedMs }) => revokedMs === null).length
      if (inUse >= KEYS_IN_USE_MAX || keys.length >= KEYS_EVER_MAX) {
        throw new ApiError(
          'conflict',
          `This organisation has ${inUse} API keys in use, ${keys.length} with those that were revoked; the bounds are ${KEYS_IN_USE_MAX} and ${KEYS_EVER_MAX}.`,
        )
      }
      changes.take(caller.org.id, deps.nowMs())
      const { key, secret } = await account.createKey(caller.org.id, context.req.valid('json').name)
      return context.json(tokenBody(key, secret), 200)
    },
  )
  app.openapi(
    createRoute({
      method: 'get',
      path: '/v1/api-tokens/{token}',
      tags: ['Account'],
      summary: 'Look at an API key',
      request: { params: TokenParams },
      responses: answers('The key, without its secret.', ApiToken),
    }),
    context => context.json(tokenBody(ownKey(context.req.valid('param').token, context.var.caller, deps)), 200),
  )
  app.openapi(
    createRoute({
      method: 'delete',
      path: '/v1/api-tokens/{token}',
      tags: ['Account'],
      summary: 'Revoke an API key for good, and every token derived from it',
      request: { params: TokenParams },
      responses: answers('The key as it was.', ApiToken),
    }),
    async context => {
      const { caller } = context.var
      requireFullRights(caller, deps.snapshot())
      const key = ownKey(context.req.valid('param').token, caller, deps)
      if (key.revokedMs === null) {
        changes.take(caller.org.id, deps.nowMs())
        await account.revokeKey(key.id)
      }
      return context.json(tokenBody(key), 200)
    },
  )
}

/** An API key of the caller's organisation, by itself or its id; another than the caller's own takes full rights. Throws ApiError. */
export function ownKey(named: string, caller: Caller, deps: ClientApiDeps): ApiKey {
  const { keys, keysByHash } = deps.snapshot()
  const hash = named.startsWith(API_KEY_PREFIX) ? deps.keyHasher.hash(named) : undefined
  const key = hash === undefined ? keys.get(named) : keysByHash.get(hash)
  if (key?.id === caller.key.id) return key
  requireFullRights(caller, deps.snapshot())
  if (key === undefined || key.orgId !== caller.org.id)
    throw new ApiError('not_found', 'There is no such API key of this organisation; GET /v1/api-tokens lists them.')
  return key
}

function keysOf(orgId: string, deps: ClientApiDeps): ApiKey[] {
  return [...deps.snapshot().keys.values()].filter(key => key.orgId === orgId)
}

function tokenBody(key: ApiKey, secret?: string): z.infer<typeof ApiToken> {
  return {
    token: secret ?? `${API_KEY_PREFIX}...${key.hint}`,
    token_id: key.id,
    name: key.name,
    created_at: new Date(key.createdMs).toISOString(),
    allowed_ips: null,
  }
}
