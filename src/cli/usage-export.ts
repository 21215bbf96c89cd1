import { type Command, Option } from 'commander'
import { allRows, type ControlClient, type UsageQuery } from '../control/client.ts'
import { parseDollars } from '../ledger/money.ts'
import type { FocusVersion } from '../statements/focus/columns.ts'
import { focusGroups } from '../statements/focus/group-hours.ts'
import { focusHeader, focusTransferRow, focusUsageRows } from '../statements/focus/rows.ts'
import { usageCsvHeader, usageCsvRow } from '../statements/usage-csv.ts'
import { timeFrom } from './arguments.ts'
import type { Io } from './io.ts'
import { formatCount } from './output/units.ts'
import { pickOrg } from './pick-org.ts'
import { openSession } from './session.ts'
import { type Write, writeOut } from './write-out.ts'

type Format = 'csv' | 'jsonl' | 'focus' | 'focus-1.2'

interface Flags {
  readonly org?: string
  readonly key?: string
  readonly model?: string
  readonly from?: string
  readonly to?: string
  readonly format: Format
  readonly out?: string
}

/** Rows a page; the most that the control plane gives. */
const PAGE_ROWS = 1_000
/** Rows are gathered into writes of about this size. */
const CHUNK_CHARS = 64 * 1024
const HOUR_MS = 3_600_000
const SELLER_UNNAMED = 'Headrace'

/** `headrace usage export`. Takes the filters of `usage` and its own. */
export function registerExport(usage: Command, io: Io): void {
  const past = (text: string) => timeFrom(text, io.nowMs(), -1)
  const program = usage.parent
  usage
    .command('export')
    .configureHelp({ ...usage.configureHelp(), visibleGlobalOptions: () => [...(program?.options ?? [])] })
    .summary('usage as a file: CSV, JSON lines or FOCUS')
    .description(
      'Writes usage as a file, page by page, so that its size does not matter. csv and jsonl have a row for each request, newest first. ' +
        'focus is FOCUS 1.4, the FinOps specification: a row for each hour, key, model, price and class of tokens, over whole hours in UTC, then the credits; focus-1.2 has the names of that version.',
    )
    .option('--org <org>', 'only of this org (id or name)')
    .option('--key <key>', 'only through this key (id)')
    .option('--model <model>', 'only of this model')
    .option('--from <time>', 'settled then or later: 2026-01-31, 24h, 7d', past)
    .option('--to <time>', 'settled before then', past)
    .addOption(
      new Option('--format <format>', 'what to write').choices(['csv', 'jsonl', 'focus', 'focus-1.2']).default('csv'),
    )
    .option('--out <file>', 'where it goes; default: standard output')
    .addHelpText(
      'after',
      `
Examples:
  npx headrace usage export --from 2026-10-01 --to 2026-11-01 --format csv --out october.csv
  npx headrace usage export --from 2026-10-01 --to 2026-11-01 --format focus --out focus.csv`,
    )
    .action(async (_: object, command: Command) => {
      // Filters that "usage" knows too are parsed as its own.
      const flags = command.optsWithGlobals<Flags>()
      const session = openSession(io, command)
      const rows = await session.control(async (client, config) => {
        const org = flags.org === undefined ? undefined : (await pickOrg(client, flags.org)).id
        const query: UsageQuery = { org, key: flags.key, model: flags.model, from: flags.from, to: flags.to }
        let count = 0
        await writeOut(io, flags.out, async write => {
          const lines =
            flags.format === 'csv' || flags.format === 'jsonl'
              ? requestLines(client, query, flags.format)
              : focusLines(
                  client,
                  query,
                  flags.format === 'focus' ? '1.4' : '1.2',
                  config.billing.name ?? SELLER_UNNAMED,
                  io.nowMs(),
                )
          count = await gathered(lines, write)
        })
        return count
      })
      if (flags.out !== undefined) io.stderr.write(`Wrote ${formatCount(rows)} rows to ${flags.out}.\n`)
    })
}

/** Writes in larger pieces; answers how many lines there were, the header aside. */
async function gathered(lines: AsyncGenerator<{ text: string; rows: number }>, write: Write): Promise<number> {
  let chunk = ''
  let count = 0
  for await (const { text, rows } of lines) {
    chunk += text
    count += rows
    if (chunk.length < CHUNK_CHARS) continue
    await write(chunk)
    chunk = ''
  }
  await write(chunk)
  return count
}

async function* requestLines(client: ControlClient, query: UsageQuery, format: 'csv' | 'jsonl') {
  if (format === 'csv') yield { text: usageCsvHeader(), rows: 0 }
  for await (const row of allRows(client.listUsage, { ...query, limit: PAGE_ROWS }))
    yield { text: format === 'csv' ? usageCsvRow(row) : `${JSON.stringify(row)}\n`, rows: 1 }
}

async function* focusLines(
  client: ControlClient,
  query: UsageQuery,
  version: FocusVersion,
  seller: string,
  nowMs: number,
) {
  const hours = { ...query, from: wholeHour(query.from), to: wholeHour(query.to ?? new Date(nowMs).toISOString()) }
  const line = (text: string) => ({ text, rows: text.split('\r\n').length - 1 })
  yield { text: focusHeader(version), rows: 0 }
  for await (const group of focusGroups(allRows(client.listUsageHours, { ...hours, limit: PAGE_ROWS })))
    yield line(focusUsageRows(group, seller))
  // Credit belongs to an org, not to a key or model.
  if (query.key !== undefined || query.model !== undefined) return
  const { org, from, to } = hours
  for await (const each of allRows(client.listTransfers, { org, from, to, limit: PAGE_ROWS })) {
    const transfer = {
      id: each.transfer,
      org: { id: each.org, name: each.org_name },
      kind: each.kind,
      effectNanodollars: parseDollars(each.amount),
      atMs: Date.parse(each.at),
      memo: each.memo,
    }
    yield line(focusTransferRow(transfer, seller))
  }
}

/** Rows are sums of whole hours, so the hour that a time cuts is left out at the end and taken whole at the beginning. */
function wholeHour<Time extends string | undefined>(time: Time): Time {
  if (time === undefined) return time
  return new Date(Math.floor(Date.parse(time) / HOUR_MS) * HOUR_MS).toISOString() as Time
}
