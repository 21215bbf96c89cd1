import { createRoute, z } from '@hono/zod-openapi'
import { ApiError } from '../errors.ts'
import type { ApiKey } from '../inference/snapshot.ts'
import { formatDollars } from '../ledger/money.ts'
import { createId, createSecret, hashSecret, hintOf } from './api-key.ts'
import { answers, type Control, type ControlApp, jsonBody } from './control-context.ts'
import {
  DollarsIn,
  DollarsOut,
  formatDollarsOrNull,
  formatTime,
  formatTimeOrNull,
  listOf,
  NameIn,
  PageQuery,
  pageOf,
  TimeIn,
  TimeOut,
} from './fields.ts'
import { type KeySpending, keySpending } from './funds.ts'

const KeyParams = z.object({ key: z.string().openapi({ example: 'key_0aB3dE5gH7jK9m' }) })
const MODELS = 'The only models that it may use, by id or alias; null: all that are offered.'
const MODELS_MAX = 256
const CAP = 'Most that may ever be spent through this key; null for no bound but the credit of its org.'

const ModelsIn = z.array(z.string()).min(1).max(MODELS_MAX)

/** An API key, as answered; its secret is told once, by what created it. */
export const KeyBody = z
  .object({
    id: z.string(),
    org: z.string(),
    name: z.string(),
    project: z.string().nullable().openapi({ description: 'The project of its org that it belongs to.' }),
    hint: z.string().openapi({ description: 'The last characters of the secret.' }),
    state: z.enum(['active', 'expired', 'revoked']),
    cap: DollarsOut.nullable().openapi({ description: CAP }),
    models: z.array(z.string()).nullable().openapi({ description: MODELS }),
    spent: DollarsOut.openapi({ description: 'Charged for requests made with this key.' }),
    held: DollarsOut.openapi({ description: 'Set aside for its requests that run.' }),
    created_at: TimeOut,
    expires_at: TimeOut.nullable(),
    revoked_at: TimeOut.nullable(),
  })
  .openapi('Key')

/** An API key that was just created, with its secret. */
export const KeyCreated = KeyBody.extend({
  secret: z
    .string()
    .openapi({ description: 'The key itself. It is not stored, and never told again.', example: 'sk-hr-...' }),
}).openapi('KeyCreated')

/** What creates an API key. */
export const KeyCreate = z
  .strictObject({
    org: z.string(),
    name: NameIn,
    project: z
      .string()
      .nullable()
      .default(null)
      .openapi({ type: ['string', 'null'], description: 'A project of the org, for good; null: none.' }),
    cap: DollarsIn.nullable()
      .default(null)
      .openapi({ type: ['string', 'null'], description: CAP }),
    models: ModelsIn.nullable()
      .default(null)
      .openapi({ type: ['array', 'null'], description: MODELS }),
    expires_at: TimeIn.nullable()
      .default(null)
      .openapi({ type: ['string', 'null'], description: 'In the future; null: never.' }),
  })
  .openapi('KeyCreate')

/** What changes an API key; what is left out stays. */
export const KeyChange = z
  .strictObject({
    name: NameIn.optional(),
    cap: DollarsIn.nullable()
      .optional()
      .openapi({ type: ['string', 'null'], description: CAP }),
    models: ModelsIn.nullable()
      .optional()
      .openapi({ type: ['array', 'null'], description: MODELS }),
  })
  .openapi('KeyChange')

/** A page of API keys. */
export const KeyList = listOf(KeyBody).openapi('KeyList')

/** GET and POST /keys, GET, PATCH and DELETE /keys/{key}. */
export function keyRoutes(app: ControlApp, control: Control): void {
  const answer = async (keyId: string) => {
    const spending = await keySpending(control)
    return keyBody(control.key(keyId), spending(keyId), control.clock.nowMs())
  }
  app.openapi(
    createRoute({
      method: 'get',
      path: '/control/v1/keys',
      operationId: 'listKeys',
      summary: 'List API keys',
      request: {
        query: PageQuery.extend({ org: z.string().optional().openapi({ description: 'Only keys of this org.' }) }),
      },
      responses: answers(200, 'A page of API keys, revoked ones included.', KeyList),
    }),
    async context => {
      const query = context.req.valid('query')
      if (query.org !== undefined) control.org(query.org)
      const keys = [...control.snapshot().keys.values()].filter(
        key => query.org === undefined || key.orgId === query.org,
      )
      const page = pageOf(keys, key => key.id, query)
      const spending = await keySpending(control)
      const nowMs = control.clock.nowMs()
      return context.json({ ...page, data: page.data.map(key => keyBody(key, spending(key.id), nowMs)) }, 200)
    },
  )
  app.openapi(
    createRoute({
      method: 'post',
      path: '/control/v1/keys',
      operationId: 'createKey',
      summary: 'Create an API key',
      request: { body: jsonBody(KeyCreate) },
      responses: answers(201, 'The key. This is the only time its secret is told.', KeyCreated),
    }),
    async context => {
      const { org, name, project, cap, models, expires_at } = context.req.valid('json')
      const nowMs = control.clock.nowMs()
      if (expires_at !== null && expires_at <= nowMs) {
        throw new ApiError('invalid_value', 'expires_at: has to be in the future', { param: 'expires_at' })
      }
      const secret = createSecret(control.randomBytes)
      const id = createId('key', control.randomBytes)
      await control.change(async () => {
        control.org(org)
        if (project !== null) refuseOthersProject(control, project, org)
        await control.store.createKey({
          id,
          orgId: org,
          projectId: project,
          name,
          hash: hashSecret(control.pepper, secret),
          hint: hintOf(secret),
          capNanodollars: cap,
          models: models === null ? null : modelIds(control, models),
          createdMs: nowMs,
          expiresMs: expires_at,
          revokedMs: null,
        })
      })
      return context.json({ ...(await answer(id)), secret }, 201)
    },
  )
  app.openapi(
    createRoute({
      method: 'get',
      path: '/control/v1/keys/{key}',
      operationId: 'getKey',
      summary: 'Get an API key',
      request: { params: KeyParams },
      responses: answers(200, 'The key, without its secret.', KeyBody),
    }),
    async context => context.json(await answer(context.req.valid('param').key), 200),
  )
  app.openapi(
    createRoute({
      method: 'patch',
      path: '/control/v1/keys/{key}',
      operationId: 'updateKey',
      summary: 'Rename an API key, or change its cap or its models',
      request: { params: KeyParams, body: jsonBody(KeyChange) },
      responses: answers(200, 'The key after the change.', KeyBody),
    }),
    async context => {
      const { key: keyId } = context.req.valid('param')
      const { name, cap, models } = context.req.valid('json')
      await control.change(async () => {
        control.key(keyId)
        await control.store.updateKey(keyId, {
          name,
          capNanodollars: cap,
          models: models == null ? models : modelIds(control, models),
        })
      })
      return context.json(await answer(keyId), 200)
    },
  )
  app.openapi(
    createRoute({
      method: 'delete',
      path: '/control/v1/keys/{key}',
      operationId: 'revokeKey',
      summary: 'Revoke an API key for good',
      request: { params: KeyParams },
      responses: answers(200, 'The key, revoked. Revoking it again changes nothing.', KeyBody),
    }),
    async context => {
      const { key: keyId } = context.req.valid('param')
      await control.change(async () => {
        if (control.key(keyId).revokedMs === null) await control.store.revokeKey(keyId, control.clock.nowMs())
      })
      return context.json(await answer(keyId), 200)
    },
  )
}

/** Aliases become the ids of their models, so that a key keeps its models when an alias goes to another. */
function modelIds(control: Control, names: readonly string[]): string[] {
  const ids = names.map(name => {
    const model = control.snapshot().models.get(name)
    if (model !== undefined) return model.id
    throw new ApiError(
      'model_not_found',
      `models: there is no model ${JSON.stringify(name)}; headrace models lists them.`,
      {
        param: 'models',
      },
    )
  })
  return [...new Set(ids)]
}

function refuseOthersProject(control: Control, projectId: string, orgId: string): void {
  if (control.snapshot().projects.get(projectId)?.orgId === orgId) return
  throw new ApiError(
    'not_found',
    `project: the org "${orgId}" has no project "${projectId}"; GET /control/v1/projects lists them.`,
    {
      param: 'project',
    },
  )
}

function keyBody(key: ApiKey, spending: KeySpending, nowMs: number): z.infer<typeof KeyBody> {
  const expired = key.expiresMs !== null && key.expiresMs <= nowMs
  return {
    id: key.id,
    org: key.orgId,
    name: key.name,
    project: key.projectId,
    hint: key.hint,
    state: key.revokedMs !== null ? 'revoked' : expired ? 'expired' : 'active',
    cap: formatDollarsOrNull(key.capNanodollars),
    models: key.models == null ? null : [...key.models],
    spent: formatDollars(spending.settledNanodollars),
    held: formatDollars(spending.heldNanodollars),
    created_at: formatTime(key.createdMs),
    expires_at: formatTimeOrNull(key.expiresMs),
    revoked_at: formatTimeOrNull(key.revokedMs),
  }
}
