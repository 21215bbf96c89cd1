import type { Config } from '../../config/schema.ts'
import { createControlClient } from '../../control/client.ts'
import { CliError } from '../cli-error.ts'
import type { Io } from '../io.ts'
import { formatDuration } from '../output/units.ts'
import { broken, type Finding, note, ok } from './finding.ts'
import { portHolder, portTrouble } from './port-holder.ts'

/** Whether a server runs on the home and how it does; else whether one could. */
export async function serverFindings(io: Io, config: Config): Promise<Finding[]> {
  try {
    const channel = await io.openControl(config, 'server')
    try {
      return runningFindings(
        await createControlClient(request => channel.send(request), channel.operatorToken()).status(),
      )
    } finally {
      await channel.close()
    }
  } catch (error) {
    // That no server runs is told by this very error.
    if (!(error instanceof CliError) || !error.message.startsWith('No server runs')) {
      return [broken('server', (error as Error).message, (error as { cure?: string }).cure || 'Restart the server.')]
    }
    return [note('server', 'No server runs on this home.', 'Start one: npx headrace serve'), await portFinding(config)]
  }
}

type Status = Awaited<ReturnType<ReturnType<typeof createControlClient>['status']>>

function runningFindings(status: Status): Finding[] {
  const found = [
    ok(
      'server',
      `Headrace ${status.version} has run for ${formatDuration(status.uptime_s * 1000)} at ${status.listening.join(', ')}`,
      { listening: status.listening, open_holds: status.open_holds },
    ),
  ]
  if (!status.journal.healthy)
    found.push(
      broken(
        'journal',
        `Charges cannot be written to disk: ${status.journal.detail}`,
        'Free space on the disk of the home, then restart the server.',
      ),
    )
  for (const model of status.models) {
    if (model.state === 'ready') found.push(ok('served', `${model.id} is ready`, { model: model.id }))
    else
      found.push(
        note(
          'served',
          `${model.id} cannot be used: ${model.detail}`,
          model.state === 'no_price'
            ? `Run: npx headrace models price ${model.id} --input … --cached … --output …`
            : undefined,
          { model: model.id },
        ),
      )
  }
  return found
}

async function portFinding(config: Config): Promise<Finding> {
  const { host, port } = config.server
  const trouble = port === 0 ? null : await portTrouble(host, port)
  if (trouble === null)
    return ok('port', port === 0 ? 'Any free port will do' : `${host}:${port} is free`, { host, port })
  if (trouble === 'EADDRINUSE') {
    const holder = portHolder(port)
    const by = holder === null ? 'another process' : `process ${holder.pid} (${holder.command.slice(0, 80)})`
    return broken(
      'port',
      `${host}:${port} is taken by ${by}.`,
      'End that process, or choose another port with --port.',
      { host, port, holder },
    )
  }
  return broken(
    'port',
    `${host}:${port} cannot be listened on (${trouble}).`,
    'Set server.host and server.port to an address of this machine that this user may use.',
    { host, port, error: trouble },
  )
}
