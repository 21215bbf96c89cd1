import { createRoute, z } from '@hono/zod-openapi'
import type { Caller } from '../admission/authenticate.ts'
import { requireFullRights } from '../admission/full-rights.ts'
import { ApiError } from '../errors.ts'
import { modelNamed } from '../inference/model-names.ts'
import type { ScopedToken } from '../inference/scoped-token.ts'
import type { ApiKey } from '../inference/snapshot.ts'
import { tokenBudget } from '../ledger/budget-id.ts'
import type { AccountPorts } from './account.ts'
import { ChangeRate } from './change-rate.ts'
import { answers, type ClientApiDeps, type ClientApp, jsonBody } from './context.ts'
import { dollarsIn, dollarsOut, exactDollars } from './money-fields.ts'

const YEAR_MS = 365 * 24 * 3_600_000
const MODELS_MAX = 256
/** Tokens of an org that are not over; each is kept in memory. */
const TOKENS_PER_ORG_MAX = 100_000
const PAGE_MAX = 1000
const CHANGES_PER_MINUTE = 6000

/** What makes a token. */
export const ScopedJwtCreate = z
  .looseObject({
    api_key_name: z.string().min(1).openapi({ description: 'Name of the API key that it is derived from.' }),
    models: z
      .array(z.string().min(1))
      .min(1)
      .max(MODELS_MAX)
      .nullish()
      .openapi({ description: 'The only models that it may use; left out: all that the key may use.' }),
    expires_delta: z.int().min(1).nullish().openapi({ description: 'Seconds until it ends; at most a year.' }),
    expires_at: z.int().min(1).nullish().openapi({ description: 'When it ends, in seconds since 1970.' }),
    spending_limit: z
      .number()
      .positive()
      .nullish()
      .openapi({ description: 'Most that may ever be spent with it, in dollars.' }),
  })
  .openapi('ScopedJwtCreate')

const ScopedJwtCreated = z
  .object({ token: z.string().openapi({ example: 'jwt:eyJ...' }), id: z.string() })
  .openapi('ScopedJwtCreated')

const ScopedJwt = z
  .object({
    id: z.string(),
    api_key_name: z.string(),
    models: z.array(z.string()).nullable(),
    expires_at: z.string(),
    spending_limit: z.number().nullable().openapi({ description: 'Dollars.' }),
    spent: z.string().openapi({ description: 'Dollars, exact.' }),
    created_at: z.string(),
    revoked_at: z.string().nullable(),
  })
  .openapi('ScopedJwt')

const ScopedJwtList = z
  .object({ data: z.array(ScopedJwt), has_more: z.boolean(), next_cursor: z.string().nullable() })
  .openapi('ScopedJwtList')

const ReadQuery = z.object({
  jwtoken: z.string().optional().openapi({ description: 'The token to look at; without it all are listed.' }),
  limit: z.coerce.number().int().min(1).max(PAGE_MAX).default(100),
  after: z.string().optional().openapi({ description: 'The id of the last token of the page before.' }),
})

/** POST, GET and DELETE /v1/scoped-jwt: tokens that are derived from API keys, to be handed on. */
export function scopedJwtRoutes(app: ClientApp, deps: ClientApiDeps, account: AccountPorts): void {
  const tokens = () => deps.keyHasher.tokens
  const changes = new ChangeRate(CHANGES_PER_MINUTE)
  const key = (token: ScopedToken): ApiKey | undefined => deps.snapshot().keys.get(token.keyId)

  // A key sees and ends its own tokens; all of the organisation's only a key without bounds.
  const mayTouch = (caller: Caller, token: ScopedToken | undefined): ScopedToken => {
    if (token === undefined || token.orgId !== caller.org.id)
      throw new ApiError('not_found', 'There is no such token of this organisation; GET /v1/scoped-jwt lists them.')
    if (token.keyId !== caller.key.id) requireFullRights(caller, deps.snapshot())
    return token
  }
  const presented = (text: string): ScopedToken => {
    try {
      return tokens().read(text)
    } catch (thrown) {
      throw new ApiError('invalid_value', (thrown as Error).message, { param: 'jwtoken' })
    }
  }
  const body = (token: ScopedToken): z.infer<typeof ScopedJwt> => ({
    id: token.id,
    api_key_name: key(token)?.name ?? '',
    models: token.models === null ? null : [...token.models],
    expires_at: new Date(token.expiresMs).toISOString(),
    spending_limit: token.limitNanodollars === null ? null : dollarsOut(token.limitNanodollars),
    spent: exactDollars(account.spent(tokenBudget(token.id))),
    created_at: new Date(token.createdMs).toISOString(),
    revoked_at: token.revokedMs === null ? null : new Date(token.revokedMs).toISOString(),
  })

  app.openapi(
    createRoute({
      method: 'post',
      path: '/v1/scoped-jwt',
      tags: ['Account'],
      summary: 'Derive a token from an API key, for some models, up to a sum, until a time',
      request: { body: jsonBody(ScopedJwtCreate) },
      responses: answers('The token. It is told once.', ScopedJwtCreated),
    }),
    async context => {
      const { caller } = context.var
      const wish = context.req.valid('json')
      const nowMs = deps.nowMs()
      const signing = signingKey(wish.api_key_name, caller, deps)
      if (tokens().countOfOrg(caller.org.id) >= TOKENS_PER_ORG_MAX) {
        throw new ApiError(
          'conflict',
          `There are ${TOKENS_PER_ORG_MAX} tokens of this organisation that are not over. Make them with an earlier end.`,
        )
      }
      const token: ScopedToken = {
        id: deps.newId('jti_'),
        orgId: caller.org.id,
        keyId: signing.id,
        models: wish.models == null ? null : modelIds(wish.models, signing, deps),
        limitNanodollars: wish.spending_limit == null ? null : dollarsIn(wish.spending_limit, 'spending_limit'),
        createdMs: nowMs,
        expiresMs: endOf(wish, signing, nowMs),
        revokedMs: null,
      }
      changes.take(caller.org.id, nowMs)
      await account.addToken(token)
      tokens().put(token)
      return context.json({ token: tokens().sign(token, signing.name), id: token.id }, 200)
    },
  )
  app.openapi(
    createRoute({
      method: 'get',
      path: '/v1/scoped-jwt',
      tags: ['Account'],
      summary: 'Look at a token, or list those that are not over',
      request: { query: ReadQuery },
      responses: answers(
        'What the token is for, or a page of them, oldest first.',
        z.union([ScopedJwt, ScopedJwtList]),
      ),
    }),
    context => {
      const { caller } = context.var
      const { jwtoken, limit, after } = context.req.valid('query')
      if (jwtoken !== undefined) return context.json(body(mayTouch(caller, presented(jwtoken))), 200)
      requireFullRights(caller, deps.snapshot())
      const nowMs = deps.nowMs()
      const all = tokens()
        .ofOrg(caller.org.id)
        .filter(({ id, expiresMs }) => expiresMs > nowMs && (after === undefined || id > after))
      const page = all.slice(0, limit)
      const hasMore = all.length > page.length
      const next = hasMore ? (page.at(-1)?.id ?? null) : null
      return context.json({ data: page.map(body), has_more: hasMore, next_cursor: next }, 200)
    },
  )
  app.openapi(
    createRoute({
      method: 'delete',
      path: '/v1/scoped-jwt',
      tags: ['Account'],
      summary: 'Revoke a token for good',
      request: {
        query: z.object({
          jwtoken: z.string().optional(),
          jti: z.string().optional().openapi({ description: 'Its id, in place of the token itself.' }),
        }),
      },
      responses: answers('The token, revoked. Revoking it again changes nothing.', ScopedJwt),
    }),
    async context => {
      const { jwtoken, jti } = context.req.valid('query')
      if (jwtoken === undefined && jti === undefined)
        throw new ApiError('missing_required_parameter', 'jwtoken: is required, or jti; add one', { param: 'jwtoken' })
      const found = jwtoken === undefined ? tokens().find(jti as string) : presented(jwtoken)
      const token = mayTouch(context.var.caller, found)
      if (token.revokedMs !== null) return context.json(body(token), 200)
      const revoked = { ...token, revokedMs: deps.nowMs() }
      changes.take(token.orgId, revoked.revokedMs)
      await account.revokeToken(token.id, revoked.revokedMs)
      tokens().put(revoked)
      return context.json(body(revoked), 200)
    },
  )
}

/** The key of a name that tokens may be derived from: the caller's own, or with full rights any of its organisation. */
function signingKey(name: string, caller: Caller, deps: ClientApiDeps): ApiKey {
  if (caller.key.name === name) return caller.key
  const nowMs = deps.nowMs()
  const keys = [...deps.snapshot().keys.values()].filter(
    key =>
      key.orgId === caller.org.id &&
      key.name === name &&
      key.revokedMs === null &&
      (key.expiresMs === null || key.expiresMs > nowMs),
  )
  requireFullRights(caller, deps.snapshot())
  const [key, ...others] = keys
  const param = { param: 'api_key_name' }
  if (key === undefined)
    throw new ApiError('not_found', `api_key_name: there is no API key ${JSON.stringify(name)} in use here`, param)
  if (others.length > 0)
    throw new ApiError('conflict', `api_key_name: ${keys.length} API keys are called ${JSON.stringify(name)}`, param)
  return key
}

function modelIds(names: readonly string[], key: ApiKey, deps: ClientApiDeps): string[] {
  const ids = names.map(name => {
    const model = modelNamed(deps.snapshot(), name)
    if (model === undefined)
      throw new ApiError('model_not_found', `models: ${JSON.stringify(name)} is not offered here`, { param: 'models' })
    if (key.models != null && !key.models.includes(model.id))
      throw new ApiError('model_not_allowed', `models: the API key may not use ${model.id} itself`, { param: 'models' })
    return model.id
  })
  return [...new Set(ids)]
}

function endOf(wish: z.infer<typeof ScopedJwtCreate>, key: ApiKey, nowMs: number): number {
  const { expires_at: at, expires_delta: delta } = wish
  if (at != null && delta != null)
    throw new ApiError('invalid_value', 'expires_delta: cannot stand beside expires_at; leave one of them out', {
      param: 'expires_delta',
    })
  const param = at != null ? 'expires_at' : 'expires_delta'
  const endMs = at != null ? at * 1000 : delta != null ? nowMs + delta * 1000 : nowMs + YEAR_MS
  if (endMs <= nowMs) throw new ApiError('invalid_value', `${param}: has to be in the future`, { param })
  if (endMs > nowMs + YEAR_MS)
    throw new ApiError('invalid_value', `${param}: has to be at most a year ahead`, { param })
  return key.expiresMs === null ? endMs : Math.min(endMs, key.expiresMs)
}
