import { type Command, Option } from 'commander'
import { stringify } from 'yaml'
import { allRows, type ControlClient } from '../control/client.ts'
import { timeFrom } from './arguments.ts'
import { CliError, EXIT } from './cli-error.ts'
import type { Io } from './io.ts'
import { formatCount, formatMoney, formatTime } from './output/units.ts'
import { pickOrg } from './pick-org.ts'
import { type PriceOut, type PriceRow, readPriceList, writePriceList } from './price-file.ts'
import { priceTable, termsText } from './price-text.ts'
import { openSession, type Session } from './session.ts'

type Imported = Awaited<ReturnType<ControlClient['importPrices']>>
type Replay = Awaited<ReturnType<ControlClient['replayPrices']>>

/** `headrace prices [list | import | export | group | replay]`. */
export function register(program: Command, io: Io): void {
  const group = program
    .command('prices')
    .summary('list, import, export and try out whole price lists')
    .description('Works on the whole price list; "headrace models price" sets the price of one model.')
    .addHelpText(
      'after',
      `
Examples:
  npx headrace prices export > prices.yaml
  npx headrace prices import prices.yaml --dry-run
  npx headrace prices replay --from 30d --list new.yaml`,
    )

  group
    .command('list', { isDefault: true })
    .description('List the prices in force and coming.')
    .action(async (_: object, command: Command) => {
      const session = openSession(io, command)
      const rows = await session.control(allPrices)
      session.show(rows, () =>
        rows.length === 0 ? 'There are no prices.\n' : `${priceTable(session, rows)}${rows.map(termsText).join('')}`,
      )
    })

  group
    .command('export')
    .description('Print the prices in force and coming as a list that "import" takes.')
    .addOption(
      new Option('--format <format>', 'openrouter: pricing per token, as lists of models have it')
        .choices(['yaml', 'json', 'openrouter'])
        .default('yaml'),
    )
    .action(async ({ format }: { format: 'yaml' | 'json' | 'openrouter' }, command: Command) => {
      const session = openSession(io, command)
      const rows = await session.control(allPrices)
      session.print(writePriceList(rows, format, value => stringify(value, { lineWidth: 0 })))
    })

  group
    .command('import')
    .description('Set the prices of a list, all or none. What the list does not name stays as it is.')
    .argument('<file>', 'YAML or JSON, rows of ours or with pricing per token')
    .option('--dry-run', 'only tell what would change')
    .action(async (file: string, { dryRun }: { dryRun?: boolean }, command: Command) => {
      const session = openSession(io, command)
      const prices = listIn(io, file)
      const result = await session.control(client => client.importPrices({ prices, dry_run: dryRun === true }))
      session.show(result, () => importText(result))
    })

  group
    .command('group')
    .description('Put an org into a price group, or take it out; without a group, tell which it is in.')
    .argument('<org>', 'id or name of the org')
    .argument('[group]', 'name of the group')
    .option('--none', 'take it out of its group')
    .action(async (named: string, priceGroup: string | undefined, { none }: { none?: boolean }, command: Command) => {
      const session = openSession(io, command)
      if (none === true && priceGroup !== undefined)
        throw new CliError('Give a group or --none, not both.', { exitCode: EXIT.usage })
      const org = await session.control(async client => {
        const { id } = await pickOrg(client, named)
        if (priceGroup === undefined && none !== true) return await client.getOrg(id)
        return await client.updateOrg(id, { price_group: priceGroup ?? null })
      })
      session.show(org, () =>
        org.price_group === null
          ? `${org.name} pays the prices for everybody.\n`
          : `${org.name} pays the prices of ${org.price_group} where there are any.\n`,
      )
    })

  group
    .command('replay')
    .description(
      'Tell what past usage would have cost by another list: exact, by model and in total. Holds are not replayed, so nothing is cut to them; orgs pay as the groups that they are in now.',
    )
    .requiredOption(
      '--from <time>',
      'settled then or later: 2027-01-01, 2027-01-01T00:00:00Z, or the last 12h, 7d',
      (text: string) => timeFrom(text, io.nowMs(), -1),
    )
    .option('--to <time>', 'settled before then; now when left out', (text: string) => timeFrom(text, io.nowMs(), -1))
    .requiredOption('--list <file>', 'the other list, YAML or JSON')
    .option('--org <id>', 'of one org alone')
    .option('--model <id>', 'of one model alone')
    .action(
      async (flags: { from: string; to?: string; list: string; org?: string; model?: string }, command: Command) => {
        const session = openSession(io, command)
        const prices = listIn(io, flags.list)
        const { from, to = new Date(io.nowMs()).toISOString(), org, model } = flags
        const result = await session.control(client => client.replayPrices({ prices, from, to, org, model }))
        session.show(result, () => replayText(session, result))
      },
    )
}

async function allPrices(client: ControlClient): Promise<PriceOut[]> {
  const rows: PriceOut[] = []
  for await (const row of allRows(client.listAllPrices, {})) rows.push(row)
  return rows
}

function listIn(io: Io, file: string): PriceRow[] {
  const text = io.readFile(file)
  if (text === null) throw new CliError(`There is no file ${file}.`, { exitCode: EXIT.usage })
  return readPriceList(text, file)
}

function importText({ applied, data }: Imported): string {
  const changed = data.filter(({ change }) => change !== 'unchanged')
  const lines = changed.flatMap(({ before, after }) => {
    const whose = `${after.model}${after.group === undefined ? '' : ` for ${after.group}`} from ${formatTime(after.from)} UTC`
    return [whose, ...(before === null ? [] : [`  - ${lineOf(before)}`]), `  + ${lineOf(after)}`]
  })
  const same = data.length - changed.length
  const verb = applied ? 'Set' : 'Would set'
  lines.push(`${verb} ${changed.length} of ${data.length} prices; ${same} ${same === 1 ? 'is' : 'are'} as before.`)
  return `${lines.join('\n')}\n`
}

/** A price on one line, for people who look for the difference. */
function lineOf({ id: _, model: __, group: ___, from: ____, ...price }: PriceOut): string {
  return Object.entries(price)
    .filter(([, value]) => value !== null)
    .map(([key, value]) => `${key} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(', ')
}

function replayText(session: Session, { models, total, unpriced }: Replay): string {
  type Row = Replay['models'][number]
  const money = (title: string, name: 'charged' | 'overrun' | 'replayed' | 'difference') => ({
    title,
    text: (row: Row) => formatMoney(row[name]),
    right: true,
  })
  const table = session.table<Row>(
    [
      { title: 'MODEL', text: row => row.model },
      { title: 'REQUESTS', text: row => formatCount(row.requests), right: true },
      money('CHARGED', 'charged'),
      money('OVERRUN', 'overrun'),
      money('BY THE LIST', 'replayed'),
      money('DIFFERENCE', 'difference'),
    ],
    [...models, { model: 'total', ...total }],
  )
  const left = unpriced.reasons.map(({ reason, requests, examples }) => {
    const count = `${formatCount(requests)} ${requests === 1 ? 'request' : 'requests'}`
    return `Not priced: ${count}, since ${reason} (${examples[0]}${examples.length > 1 ? ' and others' : ''}).\n`
  })
  const charged =
    unpriced.requests === 0 ? '' : `They were charged ${formatMoney(unpriced.charged)}, which is in no sum above.\n`
  return `${table}${left.join('')}${charged}`
}
