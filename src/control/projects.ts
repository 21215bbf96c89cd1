import { createRoute, z } from '@hono/zod-openapi'
import { ApiError } from '../errors.ts'
import type { Project } from '../inference/limit-rule.ts'
import { createId } from './api-key.ts'
import { answers, type Control, type ControlApp, jsonBody } from './control-context.ts'
import { listOf, NameIn, PageQuery, pageOf } from './fields.ts'

/** Some keys of an org that have limits together, as answered. */
export const ProjectBody = z.object({ id: z.string(), org: z.string(), name: z.string() }).openapi('Project')

/** What creates a project. */
export const ProjectCreate = z.strictObject({ org: z.string(), name: NameIn }).openapi('ProjectCreate')

/** A page of projects. */
export const ProjectList = listOf(ProjectBody).openapi('ProjectList')

/** GET and POST /projects. */
export function projectRoutes(app: ControlApp, control: Control): void {
  app.openapi(
    createRoute({
      method: 'get',
      path: '/control/v1/projects',
      operationId: 'listProjects',
      summary: 'List projects',
      request: { query: PageQuery.extend({ org: z.string().optional() }) },
      responses: answers(200, 'A page of projects.', ProjectList),
    }),
    context => {
      const query = context.req.valid('query')
      if (query.org !== undefined) control.org(query.org)
      const projects = [...control.snapshot().projects.values()].filter(
        project => query.org === undefined || project.orgId === query.org,
      )
      const page = pageOf(projects, project => project.id, query)
      return context.json({ ...page, data: page.data.map(projectBody) }, 200)
    },
  )
  app.openapi(
    createRoute({
      method: 'post',
      path: '/control/v1/projects',
      operationId: 'createProject',
      summary: 'Create a project of an org',
      request: { body: jsonBody(ProjectCreate) },
      responses: answers(201, 'The project. Keys are put into it when they are created.', ProjectBody),
    }),
    async context => {
      const { org, name } = context.req.valid('json')
      const project = { id: createId('proj', control.randomBytes), orgId: org, name }
      await control.change(async () => {
        control.org(org)
        for (const other of control.snapshot().projects.values()) {
          if (other.orgId !== org || other.name !== name) continue
          throw new ApiError(
            'conflict',
            `name: the project ${other.id} is already called "${name}"; choose another name`,
            {
              param: 'name',
            },
          )
        }
        await control.store.createProject({ ...project, createdMs: control.clock.nowMs() })
      })
      return context.json(projectBody(project), 201)
    },
  )
}

function projectBody({ id, orgId, name }: Project): z.infer<typeof ProjectBody> {
  return { id, org: orgId, name }
}
