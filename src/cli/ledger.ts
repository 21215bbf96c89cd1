import type { Command } from 'commander'
import { allRows, type ControlClient } from '../control/client.ts'
import { EXIT } from './cli-error.ts'
import { setExitCode } from './exit-code.ts'
import type { Io } from './io.ts'
import { printable } from './output/style.ts'
import { formatCount, formatMoney, formatTime } from './output/units.ts'
import { openSession } from './session.ts'
import { usageStoryText } from './usage-story.ts'

type Interrupted = Awaited<ReturnType<ControlClient['listInterrupted']>>['data'][number]

/** `headrace ledger verify | show | interrupted`. */
export function register(program: Command, io: Io): void {
  const group = program
    .command('ledger')
    .summary('check the books, show the story of a charge')
    .description(
      'Checks the books and shows how a charge came about. Every charge is one transfer between two accounts, never changed and never removed.',
    )
    .addHelpText(
      'after',
      `
Examples:
  npx headrace ledger verify
  npx headrace ledger show req_01JZY3N4T5V6W7X8Y9Z0A1B2C3`,
    )

  group
    .command('verify')
    .description('Work every balance out anew and compare. Exit code 1 when the books do not balance.')
    .action(async (_: object, command: Command) => {
      const session = openSession(io, command)
      const result = await session.control(client => client.verifyLedger())
      session.show(result, () => {
        const checked = `${formatCount(result.transfers)} transfers and ${formatCount(result.settlements)} settlements were checked`
        if (result.ok) return `${session.style.green('The books balance.')} ${checked}.\n`
        const lines = result.problems.map(problem => `  ${printable(problem)}\n`).join('')
        return `${session.style.red('The books do not balance.')} ${checked}:\n${lines}Stop the server, keep a copy of the home, and compare with your last backup.\n`
      })
      if (!result.ok) setExitCode(command, EXIT.failed)
    })

  group
    .command('show')
    .description(
      'Show the story of one charge: counts, price row, arithmetic, hold, the line of the table of endings, and transfers.',
    )
    .argument('<request>', 'id of the request: the x-request-id of its answer')
    .action(async (request: string, _: object, command: Command) => {
      const session = openSession(io, command)
      const story = await session.control(client => client.getUsage(request))
      session.show(story, () => usageStoryText(session, story))
    })

  group
    .command('interrupted')
    .description('List requests that a crash interrupted. They were charged nothing.')
    .action(async (_: object, command: Command) => {
      const session = openSession(io, command)
      const rows = await session.control(async client => {
        const rows: Interrupted[] = []
        for await (const row of allRows(client.listInterrupted, {})) rows.push(row)
        return rows
      })
      session.show(rows, () => {
        if (rows.length === 0) return 'No request was interrupted by a crash.\n'
        return session.table<Interrupted>(
          [
            { title: 'ADMITTED (UTC)', text: row => formatTime(row.admitted_at) },
            { title: 'REQUEST', text: row => row.request },
            { title: 'MODEL', text: row => row.model, shrink: true },
            { title: 'ORG', text: row => row.org, shrink: true },
            { title: 'WAS HELD', text: row => formatMoney(row.held), right: true },
          ],
          rows,
        )
      })
    })
}
