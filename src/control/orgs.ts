import { createRoute, z } from '@hono/zod-openapi'
import { ApiError } from '../errors.ts'
import type { Org } from '../inference/snapshot.ts'
import { createId } from './api-key.ts'
import { answers, type Control, type ControlApp, jsonBody } from './control-context.ts'
import { GroupIn, listOf, NameIn, PageQuery, pageOf } from './fields.ts'

const OrgParams = z.object({ org: z.string().openapi({ example: 'org_0aB3dE5gH7jK9m' }) })

/** A customer, as answered. */
export const OrgBody = z
  .object({
    id: z.string(),
    name: z.string(),
    disabled: z.boolean().openapi({ description: 'Requests of a disabled org are refused with 403.' }),
    price_group: z.string().nullable().openapi({ description: 'Pays the prices of this group where there are any.' }),
  })
  .openapi('Org')

/** What creates an org. */
export const OrgCreate = z.strictObject({ name: NameIn }).openapi('OrgCreate')

/** What changes an org; what is left out stays. */
export const OrgChange = z
  .strictObject({
    name: NameIn.optional(),
    disabled: z.boolean().optional(),
    price_group: GroupIn.nullable().optional(),
  })
  .openapi('OrgChange')

/** A page of orgs. */
export const OrgList = listOf(OrgBody).openapi('OrgList')

/** GET and POST /orgs, GET and PATCH /orgs/{org}. */
export function orgRoutes(app: ControlApp, control: Control): void {
  app.openapi(
    createRoute({
      method: 'get',
      path: '/control/v1/orgs',
      operationId: 'listOrgs',
      summary: 'List the orgs',
      request: { query: PageQuery },
      responses: answers(200, 'A page of orgs.', OrgList),
    }),
    context => {
      const page = pageOf(control.snapshot().orgs.values(), org => org.id, context.req.valid('query'))
      return context.json({ ...page, data: page.data.map(orgBody) }, 200)
    },
  )
  app.openapi(
    createRoute({
      method: 'post',
      path: '/control/v1/orgs',
      operationId: 'createOrg',
      summary: 'Create an org',
      request: { body: jsonBody(OrgCreate) },
      responses: answers(201, 'The org, without credit.', OrgBody),
    }),
    async context => {
      const { name } = context.req.valid('json')
      const id = createId('org', control.randomBytes)
      await control.change(async () => {
        refuseTakenName(control, name, id)
        await control.store.createOrg({ id, name, createdMs: control.clock.nowMs() })
      })
      return context.json(orgBody(control.org(id)), 201)
    },
  )
  app.openapi(
    createRoute({
      method: 'get',
      path: '/control/v1/orgs/{org}',
      operationId: 'getOrg',
      summary: 'Get an org',
      request: { params: OrgParams },
      responses: answers(200, 'The org.', OrgBody),
    }),
    context => context.json(orgBody(control.org(context.req.valid('param').org)), 200),
  )
  app.openapi(
    createRoute({
      method: 'patch',
      path: '/control/v1/orgs/{org}',
      operationId: 'updateOrg',
      summary: 'Rename, disable or enable an org, or choose its prices',
      request: { params: OrgParams, body: jsonBody(OrgChange) },
      responses: answers(200, 'The org after the change.', OrgBody),
    }),
    async context => {
      const { org: orgId } = context.req.valid('param')
      const { price_group: priceGroup, ...rest } = context.req.valid('json')
      await control.change(async () => {
        control.org(orgId)
        if (rest.name !== undefined) refuseTakenName(control, rest.name, orgId)
        await control.store.updateOrg(orgId, { ...rest, priceGroup })
      })
      return context.json(orgBody(control.org(orgId)), 200)
    },
  )
}

function orgBody(org: Org): z.infer<typeof OrgBody> {
  return { id: org.id, name: org.name, disabled: org.disabled, price_group: org.priceGroup ?? null }
}

/** Names are how people tell orgs apart on the command line, so each is had once. */
function refuseTakenName(control: Control, name: string, exceptId: string): void {
  for (const org of control.snapshot().orgs.values()) {
    if (org.name === name && org.id !== exceptId) {
      throw new ApiError('conflict', `name: the org ${org.id} is already called "${name}"; choose another name`, {
        param: 'name',
      })
    }
  }
}
