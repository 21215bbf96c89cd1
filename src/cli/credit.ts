import type { Command } from 'commander'
import { allRows, type ControlClient } from '../control/client.ts'
import { countArgument, dollarsArgument } from './arguments.ts'
import type { Io } from './io.ts'
import { printable } from './output/style.ts'
import { formatMoney, formatTime } from './output/units.ts'
import { pickOrg } from './pick-org.ts'
import { openSession, type Session } from './session.ts'

type Credit = Awaited<ReturnType<ControlClient['getCredit']>>
type Payment = Awaited<ReturnType<ControlClient['listPayments']>>['data'][number]

const PAYMENTS_SHOWN = 20

/** `headrace credit add | show | checkout | payments`. */
export function register(program: Command, io: Io): void {
  const group = program
    .command('credit')
    .summary('add and show prepaid credit')
    .description(
      'Adds and shows prepaid credit. Each request holds its worst case before it runs, so an org never spends more than it has.',
    )
    .addHelpText(
      'after',
      `
Examples:
  npx headrace credit show
  npx headrace credit add 10.00 --memo "invoice 17"
  npx headrace credit add 10.00 --id invoice-17           adding it again with this id changes nothing
  npx headrace credit checkout 25.00                      prints a page where it can be paid`,
    )

  group
    .command('add')
    .description('Add credit to an org. It can be spent at once.')
    .argument('<dollars>', 'such as 10.00', dollarsArgument)
    .option('--org <org>', 'id or name of the org; not needed while there is one')
    .option('--memo <text>', 'a note for people')
    .option('--id <id>', 'makes repeating harmless: credit with the same id is added once')
    .action(async (amount: string, options: { org?: string; memo?: string; id?: string }, command: Command) => {
      const session = openSession(io, command)
      const added = await session.control(async client => {
        const org = await pickOrg(client, options.org)
        return await client.addCredit(org.id, { amount, memo: options.memo, id: options.id })
      })
      session.show(added, () => {
        const what = added.added
          ? `Added ${formatMoney(added.amount)}.`
          : `Credit with the id ${added.id} had been added before; nothing changed.`
        return `${what}\n${creditTable(session, [added.credit])}`
      })
    })

  group
    .command('show')
    .description('Show what orgs were credited, were charged, hold and have left.')
    .option('--org <org>', 'only this org (id or name)')
    .action(async (options: { org?: string }, command: Command) => {
      const session = openSession(io, command)
      const credits = await session.control(async client => {
        if (options.org !== undefined) return [await client.getCredit((await pickOrg(client, options.org)).id)]
        const all: Credit[] = []
        for await (const org of allRows(client.listOrgs, {})) all.push(await client.getCredit(org.id))
        return all
      })
      session.show(credits, () => creditTable(session, credits))
    })

  group
    .command('checkout')
    .description('Print a page where credit can be paid for. It is added once the payment has come.')
    .argument('<amount|pack>', 'dollars such as 25.00, or a pack of the configuration', amountOrPack)
    .option('--org <org>', 'id or name of the org; not needed while there is one')
    .option('--id <id>', 'makes repeating harmless: for a day the same id gives the same page')
    .action(async (sum: { amount: string } | { pack: string }, options: { org?: string; id?: string }, command) => {
      const session = openSession(io, command)
      const checkout = await session.control(async client => {
        const org = await pickOrg(client, options.org)
        return await client.beginCheckout(org.id, { ...sum, id: options.id })
      }, 'server')
      session.show(checkout, () => `${checkout.url}\n`)
    })

  group
    .command('payments')
    .description('List what the provider of payments told, newest first.')
    .option('--limit <count>', 'how many', countArgument, PAYMENTS_SHOWN)
    .action(async (options: { limit: number }, command: Command) => {
      const session = openSession(io, command)
      const rows = await session.control(async client => {
        const rows: Payment[] = []
        for await (const row of allRows(client.listPayments, {})) {
          rows.push(row)
          if (rows.length >= options.limit) break
        }
        return rows
      })
      session.show(rows, () => {
        if (rows.length === 0) return 'There are no payments yet.\n'
        return session.table<Payment>(
          [
            { title: 'AT (UTC)', text: row => formatTime(row.at) },
            { title: 'EVENT', text: row => printable(row.type) },
            { title: 'ORG', text: row => printable(row.org ?? ''), shrink: true },
            { title: 'AMOUNT', text: row => (row.amount === null ? '' : formatMoney(row.amount)), right: true },
            { title: 'BECAME', text: row => row.kind },
            { title: 'WHY', text: row => printable(row.reason), shrink: true },
          ],
          rows,
        )
      })
    })
}

function amountOrPack(text: string): { amount: string } | { pack: string } {
  return /^[a-z]/.test(text) ? { pack: text } : { amount: dollarsArgument(text) }
}

function creditTable(session: Session, credits: readonly Credit[]): string {
  const money = (title: string, name: 'credited' | 'charged' | 'balance' | 'held' | 'available') => ({
    title,
    text: (credit: Credit) => formatMoney(credit[name]),
    right: true,
  })
  return session.table<Credit>(
    [
      { title: 'ORG', text: credit => credit.org, shrink: true },
      money('CREDITED', 'credited'),
      money('CHARGED', 'charged'),
      money('BALANCE', 'balance'),
      money('HELD', 'held'),
      { ...money('AVAILABLE', 'available'), paint: cell => session.style.bold(cell) },
    ],
    credits,
  )
}
