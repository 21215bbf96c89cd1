import type { Command } from 'commander'
import { allRows, type ControlClient } from '../control/client.ts'
import type { Io } from './io.ts'
import { pickOrg } from './pick-org.ts'
import { openSession } from './session.ts'

type Project = Awaited<ReturnType<ControlClient['createProject']>>

/** `headrace projects create | list`. */
export function register(program: Command, io: Io): void {
  const group = program
    .command('projects')
    .summary('group the keys of an org')
    .description(
      'Groups keys of an org, so that a limit can be set on all of them together. A key gets its project when it is created.',
    )
    .addHelpText(
      'after',
      `
Examples:
  npx headrace projects create search
  npx headrace keys create worker --project proj_0aB3dE5gH7jK9m
  npx headrace limits set --project proj_0aB3dE5gH7jK9m --dollars 20.00 --window day`,
    )

  group
    .command('create')
    .description('Create a project.')
    .argument('<name>', 'to know it again by')
    .option('--org <org>', 'id or name of the org; not needed while there is one')
    .action(async (name: string, options: { org?: string }, command: Command) => {
      const session = openSession(io, command)
      const project = await session.control(async client =>
        client.createProject({ org: (await pickOrg(client, options.org)).id, name }),
      )
      session.show(project, () => `Created ${project.id} (${project.name}) of ${project.org}.\n`)
    })

  group
    .command('list')
    .description('List projects.')
    .option('--org <org>', 'only of this org (id or name)')
    .action(async (options: { org?: string }, command: Command) => {
      const session = openSession(io, command)
      const projects = await session.control(async client => {
        const org = options.org === undefined ? undefined : (await pickOrg(client, options.org)).id
        const all: Project[] = []
        for await (const project of allRows(query => client.listProjects({ ...query, org }), {})) all.push(project)
        return all
      })
      session.show(projects, () =>
        projects.length === 0
          ? 'There are no projects. Create one: npx headrace projects create\n'
          : session.table<Project>(
              [
                { title: 'ID', text: project => project.id },
                { title: 'NAME', text: project => project.name, shrink: true },
                { title: 'ORG', text: project => project.org, shrink: true },
              ],
              projects,
            ),
      )
    })
}
