import type { Command } from 'commander'
import { allRows, type ControlClient } from '../control/client.ts'
import { anyDollarsArgument, countArgument, dollarsArgument, secondsFrom, timeFrom } from './arguments.ts'
import type { Io } from './io.ts'
import { printable } from './output/style.ts'
import { formatMoney, formatTime } from './output/units.ts'
import { pickOrg } from './pick-org.ts'
import { openSession, type Session } from './session.ts'

type Credit = Awaited<ReturnType<ControlClient['getCredit']>>
type Added = Awaited<ReturnType<ControlClient['addCredit']>>
type Kind = Added['kind']
type CreditTransfer = Awaited<ReturnType<ControlClient['listCreditTransfers']>>['data'][number]

const PAGE_ROWS = 1000
const ROWS_DEFAULT = 20

interface ChangeFlags {
  readonly org?: string
  readonly memo?: string
  readonly id?: string
  readonly expires?: string
  readonly force?: boolean
}

type Payment = Awaited<ReturnType<ControlClient['listPayments']>>['data'][number]

const PAYMENTS_SHOWN = 20

/** `headrace credit add | grant | refund | chargeback | correct | show | list | checkout | payments`. */
export function register(program: Command, io: Io): void {
  const group = program
    .command('credit')
    .summary('add, grant, take back and show prepaid credit')
    .description(
      'Adds, grants, takes back and shows prepaid credit. Each request holds its worst case before it runs, so an org never spends more than it has. Granted credit is spent first, what ends first before the rest.',
    )
    .addHelpText(
      'after',
      `
Examples:
  npx headrace credit show
  npx headrace credit add 10.00 --memo "invoice 17"
  npx headrace credit add 10.00 --id invoice-17           adding it again with this id changes nothing
  npx headrace credit grant 5.00 --expires 30d --id welcome
  npx headrace credit correct -0.25 --memo "typo in invoice 17"
  npx headrace credit list
  npx headrace credit checkout 25.00                      prints a page where it can be paid`,
    )

  const change = (name: string, kind: Kind, description: string, parse = dollarsArgument) =>
    group
      .command(name)
      .description(description)
      .argument('<dollars>', 'such as 10.00', parse)
      .option('--org <org>', 'id or name of the org; not needed while there is one')
      .option('--memo <text>', 'a note for people')
      .option('--id <id>', 'makes repeating harmless: what has the same id is done once')
      .action((amount: string, flags: ChangeFlags, command: Command) => run(io, kind, amount, flags, command))

  change('add', 'credit', 'Add credit to an org. It can be spent at once.')
  change('grant', 'grant', 'Give an org credit for free. It is spent before what was bought.').option(
    '--expires <time>',
    'when what is left goes back: 30d, 12h, 2026-12-31; never when unsaid',
  )
  change(
    'refund',
    'refund',
    'Take credit back that a customer gets money for: at most what was bought and not spent.',
  ).option('--force', 'also more than that; the org then has less than nothing')
  change(
    'chargeback',
    'chargeback',
    'Take credit back that a customer’s bank took the money for. The org may then have less than nothing: nothing new is let in, what runs goes on.',
  )
  change(
    'correct',
    'correction',
    'Correct an org’s credit, up or (-2.50) down, for the reason in --memo.',
    anyDollarsArgument,
  )

  group
    .command('show')
    .description('Show what orgs were charged, have bought, were granted, hold and have left.')
    .option('--org <org>', 'only this org (id or name)')
    .action(async (options: { org?: string }, command: Command) => {
      const session = openSession(io, command)
      const credits = await session.control(async client => {
        if (options.org !== undefined) return [await client.getCredit((await pickOrg(client, options.org)).id)]
        const all: Credit[] = []
        for await (const org of allRows(client.listOrgs, {})) all.push(await client.getCredit(org.id))
        return all
      })
      session.show(credits, () => creditText(session, credits))
    })

  group
    .command('list')
    .description('List what changed the credit of an org, charges aside, newest first.')
    .option('--org <org>', 'id or name of the org; not needed while there is one')
    .option('--limit <count>', 'most rows to show', countArgument, ROWS_DEFAULT)
    .option('--all', 'all rows; with --json a line each')
    .action(async (options: { org?: string; limit: number; all?: boolean }, command: Command) => {
      const session = openSession(io, command)
      await session.control(async client => {
        const { id } = await pickOrg(client, options.org)
        const limit = options.all === true ? PAGE_ROWS : Math.min(options.limit + 1, PAGE_ROWS)
        const rows: CreditTransfer[] = []
        for await (const row of allRows(query => client.listCreditTransfers(id, query), { limit })) {
          if (options.all === true && session.json) session.print(`${JSON.stringify(row)}\n`)
          else rows.push(row)
          if (options.all !== true && rows.length > options.limit) break
        }
        if (options.all === true && session.json) return
        const shown = options.all === true ? rows : rows.slice(0, options.limit)
        session.show({ data: shown, has_more: rows.length > shown.length }, () =>
          transfersText(session, shown, rows.length > shown.length),
        )
      })
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

async function run(io: Io, kind: Kind, amount: string, flags: ChangeFlags, command: Command): Promise<void> {
  const session = openSession(io, command)
  // A span is sent as one, so that the same command means the same grant when it is repeated later.
  const expiresInS = flags.expires === undefined ? null : secondsFrom(flags.expires)
  const expiresAt =
    flags.expires === undefined || expiresInS !== null ? undefined : timeFrom(flags.expires, io.nowMs(), 1)
  const added = await session.control(async client => {
    const org = await pickOrg(client, flags.org)
    return await client.addCredit(org.id, {
      kind,
      amount,
      memo: flags.memo,
      by: io.env.USER ?? io.env.LOGNAME ?? io.env.USERNAME,
      id: flags.id,
      expires_at: expiresAt,
      expires_in_s: expiresInS ?? undefined,
      force: flags.force,
    })
  })
  session.show(added, () => `${doneText(added)}\n${creditText(session, [added.credit])}`)
}

function doneText({ kind, amount, added, id, expires_at }: Added): string {
  if (!added) return `${NOUNS[kind]} with the id ${id} had been ${VERBS[kind]} before; nothing changed.`
  const until = expires_at === null ? '' : ` until ${formatTime(expires_at)} UTC`
  if (kind === 'correction') return `Corrected by ${formatMoney(amount)}.`
  return `${sentenceCase(VERBS[kind])} ${formatMoney(amount)}${until}.`
}

const NOUNS: Readonly<Record<Kind, string>> = {
  credit: 'Credit',
  grant: 'A grant',
  refund: 'A refund',
  chargeback: 'A chargeback',
  correction: 'A correction',
}
const VERBS: Readonly<Record<Kind, string>> = {
  credit: 'added',
  grant: 'granted',
  refund: 'refunded',
  chargeback: 'charged back',
  correction: 'made',
}

function sentenceCase(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

function creditText(session: Session, credits: readonly Credit[]): string {
  const money = (title: string, name: 'charged' | 'purchased' | 'granted_left' | 'held' | 'available') => ({
    title,
    text: (credit: Credit) => formatMoney(credit[name]),
    right: true,
  })
  const orgs = session.table<Credit>(
    [
      { title: 'ORG', text: credit => credit.org, shrink: true },
      money('CHARGED', 'charged'),
      money('PURCHASED', 'purchased'),
      money('GRANTED', 'granted_left'),
      money('HELD', 'held'),
      {
        ...money('AVAILABLE', 'available'),
        paint: (cell, credit) =>
          credit.available.startsWith('-') ? session.style.red(cell) : session.style.bold(cell),
      },
    ],
    credits,
  )
  const grants = credits.flatMap(({ org, grants }) => grants.map(grant => ({ org, ...grant })))
  if (grants.length === 0) return orgs
  const table = session.table<(typeof grants)[number]>(
    [
      { title: 'GRANT', text: grant => grant.id, shrink: true },
      ...(credits.length === 1 ? [] : [{ title: 'ORG', text: (grant: { org: string }) => grant.org, shrink: true }]),
      { title: 'LEFT', text: grant => formatMoney(grant.remaining), right: true },
      { title: 'OF', text: grant => formatMoney(grant.amount), right: true },
      {
        title: 'EXPIRES (UTC)',
        text: grant => (grant.expires_at === null ? 'never' : formatTime(grant.expires_at)),
      },
    ],
    grants,
  )
  return `${orgs}\n${table}`
}

function transfersText(session: Session, rows: readonly CreditTransfer[], more: boolean): string {
  if (rows.length === 0) return 'Nothing has changed its credit yet.\n'
  const table = session.table<CreditTransfer>(
    [
      { title: 'AT (UTC)', text: row => formatTime(row.at) },
      { title: 'KIND', text: row => row.kind },
      { title: 'AMOUNT', text: row => formatMoney(row.amount), right: true },
      { title: 'ID', text: row => row.id, shrink: true },
      { title: 'BY', text: row => printable(row.by ?? '-'), shrink: true },
      {
        title: 'MEMO',
        text: row => {
          const until = row.expires_at === null ? [] : [`until ${formatTime(row.expires_at)}`]
          return [...(row.memo === null ? [] : [printable(row.memo)]), ...until].join(', ') || '-'
        },
        shrink: true,
      },
    ],
    rows,
  )
  return more ? `${table}${session.style.dim(`${rows.length} shown; --limit or --all shows more.`)}\n` : table
}
