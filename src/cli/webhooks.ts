import { type Command, Option } from 'commander'
import { allRows, type ControlClient } from '../control/client.ts'
import { countArgument } from './arguments.ts'
import type { Io } from './io.ts'
import { printable } from './output/style.ts'
import { formatCount, formatTime } from './output/units.ts'
import { openSession } from './session.ts'

type Endpoint = Awaited<ReturnType<ControlClient['listWebhooks']>>['data'][number]
type Delivery = Awaited<ReturnType<ControlClient['listDeliveries']>>['data'][number]
type State = Delivery['state']

const LIMIT_DEFAULT = 20

/** `headrace webhooks list | deliveries | test | retry`. */
export function register(program: Command, io: Io): void {
  const group = program
    .command('webhooks')
    .summary('endpoints that are told of events, and deliveries')
    .description(
      'Shows the endpoints of the configuration, and what became of the events that are sent to them. Events are signed, and tried again for a day.',
    )
    .addHelpText(
      'after',
      `
Examples:
  npx headrace webhooks test                        sends a test event to every endpoint
  npx headrace webhooks deliveries --state failed
  npx headrace webhooks retry                       tries again all that failed`,
    )

  group
    .command('list')
    .description('List the endpoints, and how many events wait for each.')
    .action(async (_: object, command: Command) => {
      const session = openSession(io, command)
      const { data } = await session.control(client => client.listWebhooks())
      session.show(data, () => {
        if (data.length === 0) return 'No endpoint is configured. Add one to webhooks in the configuration.\n'
        return session.table<Endpoint>(
          [
            { title: 'URL', text: row => printable(row.url), shrink: true },
            { title: 'EVENTS', text: row => row.events.join(', ') },
            { title: 'WAITING', text: row => formatCount(row.pending), right: true },
          ],
          data,
        )
      })
    })

  group
    .command('deliveries')
    .description('List deliveries, newest first.')
    .addOption(new Option('--state <state>', 'only these').choices(['pending', 'delivered', 'failed']))
    .option('--limit <count>', 'how many', countArgument, LIMIT_DEFAULT)
    .action(async (options: { state?: State; limit: number }, command: Command) => {
      const session = openSession(io, command)
      const rows = await session.control(async client => {
        const rows: Delivery[] = []
        for await (const row of allRows(client.listDeliveries, { state: options.state })) {
          rows.push(row)
          if (rows.length >= options.limit) break
        }
        return rows
      })
      session.show(rows, () => {
        if (rows.length === 0) return 'There are no such deliveries.\n'
        return session.table<Delivery>(
          [
            { title: 'CREATED (UTC)', text: row => formatTime(row.created_at) },
            { title: 'EVENT', text: row => row.id },
            { title: 'TYPE', text: row => row.type },
            { title: 'TO', text: row => printable(new URL(row.url).host), shrink: true },
            { title: 'STATE', text: row => row.state },
            { title: 'TRIES', text: row => formatCount(row.tries), right: true },
            { title: 'LAST', text: row => printable(row.outcome), shrink: true },
          ],
          rows,
        )
      })
    })

  group
    .command('test')
    .description('Send a test event to one endpoint, or to all.')
    .argument('[url]', 'the endpoint')
    .action(async (url: string | undefined, _: object, command: Command) => {
      const session = openSession(io, command)
      const tested = await session.control(client => client.testWebhooks({ url }))
      session.show(tested, () => {
        const hosts = tested.urls.map(each => printable(new URL(each).host)).join(', ')
        return `The event ${tested.id} is on its way to ${hosts}. See: npx headrace webhooks deliveries\n`
      })
    })

  group
    .command('retry')
    .description('Try again what could not be delivered: one event, or all.')
    .argument('[event]', 'id of the event')
    .action(async (id: string | undefined, _: object, command: Command) => {
      const session = openSession(io, command)
      const result = await session.control(client => client.retryWebhooks({ id }))
      session.show(result, () =>
        result.retried === 0
          ? 'Nothing has failed.\n'
          : `Deliveries that are tried again: ${formatCount(result.retried)}.\n`,
      )
    })
}
