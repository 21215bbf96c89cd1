import { type Command, InvalidArgumentError, Option } from 'commander'
import { parseMonth } from '../statements/month.ts'
import type { Statement } from '../statements/statement.ts'
import { statementCsv } from '../statements/statement-csv.ts'
import { statementHtml } from '../statements/statement-html.ts'
import { statementPdf } from '../statements/statement-pdf.ts'
import { viewOf } from '../statements/statement-view.ts'
import { CliError, EXIT } from './cli-error.ts'
import type { Io } from './io.ts'
import { formatCount, formatMoney } from './output/units.ts'
import { pickOrg } from './pick-org.ts'
import { openSession, type Session } from './session.ts'
import { writeOut } from './write-out.ts'

interface Flags {
  readonly month?: string
  readonly org?: string
  readonly invoice?: boolean
  readonly format?: 'html' | 'pdf' | 'csv' | 'json'
  readonly out?: string
}

/** `headrace statement`. */
export function register(program: Command, io: Io): void {
  program
    .command('statement')
    .summary('a month of an account, as statement or invoice')
    .description(
      'Shows a month of an org in UTC: opening balance, credits, charges by model and price, corrections, closing balance. It foots to the billionth of a dollar, or the command fails. ' +
        'With --invoice the same charges as an invoice, for a month that is over; the seller is set under "billing".',
    )
    .option('--month <month>', 'such as 2026-10; default: the last month that is over', monthArgument)
    .option('--org <org>', 'id or name of the org; not needed while there is one')
    .option('--invoice', 'an invoice instead of a statement')
    .addOption(new Option('--format <format>', 'a file instead of a table').choices(['html', 'pdf', 'csv', 'json']))
    .option('--out <file>', 'where the file goes; default: standard output (a PDF needs a file)')
    .addHelpText(
      'after',
      `
Examples:
  npx headrace statement --month 2026-10
  npx headrace statement --month 2026-10 --format html --out october.html
  npx headrace statement --month 2026-10 --org acme --invoice --format pdf --out invoice.pdf`,
    )
    .action(async (flags: Flags, command: Command) => {
      const session = openSession(io, command)
      const format = flags.format ?? (session.json ? 'json' : undefined)
      if (format === 'pdf' && flags.out === undefined)
        throw new CliError('A PDF is not for the screen.', { cure: 'Add --out <file>.', exitCode: EXIT.usage })
      if (flags.invoice === true && format === 'csv')
        throw new CliError('An invoice has no CSV form.', {
          cure: 'Leave --invoice out, or choose html, pdf or json.',
          exitCode: EXIT.usage,
        })
      const statement: Statement = await session.control(async client => {
        const org = await pickOrg(client, flags.org)
        return await client.getStatement(org.id, flags.month ?? lastMonth(io.nowMs()))
      })
      if (flags.invoice === true && statement.invoice === null) throw noInvoice(statement)
      const invoice = flags.invoice === true
      await writeOut(io, flags.out, async write => {
        if (format === 'json') await write(`${JSON.stringify(statement, null, 2)}\n`)
        else if (format === 'csv') await write(statementCsv(statement))
        else if (format === 'html') await write(statementHtml(viewOf(statement, invoice)))
        else if (format === 'pdf') await write(await statementPdf(viewOf(statement, invoice), Date.parse(statement.to)))
        else await write(statementText(session, statement, invoice))
      })
      if (flags.out !== undefined) io.stderr.write(`Wrote ${flags.out}.\n`)
    })
}

function monthArgument(text: string): string {
  if (parseMonth(text) === null) throw new InvalidArgumentError('A month such as 2026-10 is wanted.')
  return text
}

function lastMonth(nowMs: number): string {
  const now = new Date(nowMs)
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 1)).toISOString().slice(0, 7)
}

function noInvoice(statement: Statement): CliError {
  if (statement.provisional)
    return new CliError(`There is no invoice for ${statement.month} yet: the month is not over (UTC).`, {
      cure: 'Name an earlier month, or leave --invoice out.',
    })
  return new CliError('There is no seller to invoice for.', {
    cure: 'Set billing.name and restart the server; docs/guides/billing.md tells more.',
  })
}

function statementText(session: Session, statement: Statement, invoice: boolean): string {
  const view = viewOf(statement, invoice)
  const summary = session.table(
    [
      {
        title: view.title.toUpperCase(),
        text: line => line.name,
        paint: (cell, line) => (line.strong ? session.style.bold(cell) : cell),
      },
      { title: 'US DOLLARS', text: line => line.value.replace('\u2212', '-'), right: true },
    ],
    view.summary,
  )
  const charges = session.table(
    [
      { title: 'MODEL', text: charge => charge.model, shrink: true },
      { title: 'PRICE', text: charge => charge.price, shrink: true },
      { title: 'REQUESTS', text: charge => formatCount(charge.requests), right: true },
      { title: 'INPUT', text: charge => formatCount(charge.input_tokens), right: true },
      { title: 'CACHED', text: charge => formatCount(charge.cached_input_tokens), right: true },
      { title: 'OUTPUT', text: charge => formatCount(charge.output_tokens), right: true },
      { title: 'CHARGE', text: charge => formatMoney(charge.charge), right: true },
    ],
    statement.charges,
  )
  const notice = view.notice === '' ? '' : `${session.style.yellow(view.notice)}\n`
  return `${view.title} ${view.subtitle}\n${notice}\n${summary}${statement.charges.length === 0 ? '' : `\n${charges}`}`
}
