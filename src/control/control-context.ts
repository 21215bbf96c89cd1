import { type OpenAPIHono, z } from '@hono/zod-openapi'
import { ApiError } from '../errors.ts'
import type { ApiKey, Model, Org } from '../inference/snapshot.ts'
import type { ControlDeps } from './ports.ts'

/** The app that every resource adds its routes to. */
export type ControlApp = OpenAPIHono

/** What every resource works with: the ports, and the few things that all of them do alike. */
export interface Control extends ControlDeps {
  /**
   * Makes one change and publishes the snapshot after it. Changes run one after another, so that a check made against the
   * snapshot in `work` still holds when `work` writes.
   */
  change<Result>(work: () => Promise<Result>): Promise<Result>
  /** The org; throws `not_found`. */
  org(orgId: string): Org
  /** The key; throws `not_found`. */
  key(keyId: string): ApiKey
  /** The model of this id, not alias; throws `model_not_found`. */
  model(modelId: string): Model
}

/** Wraps the ports for the resources. */
export function createControl(deps: ControlDeps): Control {
  let last: Promise<unknown> = Promise.resolve()
  return {
    ...deps,
    change(work) {
      const result = last.then(async () => {
        const done = await work()
        await deps.publish()
        return done
      })
      last = result.catch(() => {})
      return result
    },
    org(orgId) {
      const org = deps.snapshot().orgs.get(orgId)
      if (org === undefined)
        throw new ApiError('not_found', `There is no org "${orgId}". GET /control/v1/orgs lists them.`)
      return org
    },
    key(keyId) {
      const key = deps.snapshot().keys.get(keyId)
      if (key === undefined)
        throw new ApiError('not_found', `There is no key "${keyId}". GET /control/v1/keys lists them.`)
      return key
    },
    model(modelId) {
      const model = deps.snapshot().models.get(modelId)
      if (model?.id === modelId) return model
      const hint = model === undefined ? 'GET /control/v1/models lists them.' : `It is an alias of "${model.id}".`
      throw new ApiError('model_not_found', `There is no model with the id "${modelId}". ${hint}`)
    },
  }
}

const ErrorBody = z
  .object({
    error: z.object({
      message: z.string(),
      type: z.string(),
      param: z.string().nullable(),
      code: z.string().openapi({ description: 'A row of the table of errors.' }),
    }),
  })
  .openapi('Error')

/** A JSON body that a route requires. */
export function jsonBody<Schema extends z.ZodType>(schema: Schema) {
  return { required: true as const, content: { 'application/json': { schema } } }
}

/** The answers of a route: one good, and the error body for all else. */
export function answers<Status extends 200 | 201, Schema extends z.ZodType>(
  status: Status,
  description: string,
  schema: Schema,
) {
  return {
    [status]: { description, content: { 'application/json': { schema } } },
    default: {
      description: 'What went wrong, and what to do.',
      content: { 'application/json': { schema: ErrorBody } },
    },
  } as {
    [S in Status]: { description: string; content: { 'application/json': { schema: Schema } } }
  } & { default: { description: string; content: { 'application/json': { schema: typeof ErrorBody } } } }
}
