import type { ControlClient } from '../control/client.ts'
import { allRows } from '../control/client.ts'
import { CliError, EXIT } from './cli-error.ts'
import { printable } from './output/style.ts'

/** The org that `--org` names by id or name; without it the only one there is. */
export async function pickOrg(client: ControlClient, named: string | undefined): Promise<{ id: string; name: string }> {
  const orgs: { id: string; name: string }[] = []
  for await (const org of allRows(client.listOrgs, {})) orgs.push(org)
  const list = orgs.map(org => `${org.id} (${printable(org.name)})`).join(', ')
  if (named !== undefined) {
    const found = orgs.find(org => org.id === named) ?? orgs.find(org => org.name === named)
    if (found !== undefined) return found
    throw new CliError(`There is no org "${named}".`, {
      cure: orgs.length === 0 ? 'Start the server once: npx headrace serve' : `There are: ${list}`,
    })
  }
  if (orgs.length === 1) return orgs[0] as { id: string; name: string }
  if (orgs.length === 0)
    throw new CliError('There is no org yet.', { cure: 'The first start creates one: npx headrace serve' })
  throw new CliError('There are several orgs; say which.', {
    cure: `Add --org with one of: ${list}`,
    exitCode: EXIT.usage,
  })
}
