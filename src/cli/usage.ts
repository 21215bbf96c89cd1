import { type Command, Option } from 'commander'
import { allRows, type ControlClient, type UsageGroupBy, type UsageQuery } from '../control/client.ts'
import { formatDollars, parseDollars } from '../ledger/money.ts'
import { countArgument, timeFrom } from './arguments.ts'
import type { Io } from './io.ts'
import { formatCount, formatDuration, formatMoney, formatTime } from './output/units.ts'
import { pickOrg } from './pick-org.ts'
import { openSession, type Session } from './session.ts'
import { registerExport } from './usage-export.ts'
import { usageStoryText } from './usage-story.ts'

type Row = Awaited<ReturnType<ControlClient['listUsage']>>['data'][number]
type Summary = Awaited<ReturnType<ControlClient['summarizeUsage']>>

interface UsageFlags {
  readonly org?: string
  readonly key?: string
  readonly model?: string
  readonly from?: string
  readonly to?: string
  readonly groupBy?: UsageGroupBy
  readonly limit: number
  readonly all?: boolean
}

const GROUPS: readonly UsageGroupBy[] = ['org', 'key', 'model', 'upstream', 'ending', 'day', 'hour']
const ROWS_DEFAULT = 20
/** Rows a page when all are wanted; the most that the control plane gives. */
const PAGE_ROWS = 1_000

/** `headrace usage [request]`. */
export function register(program: Command, io: Io): void {
  const past = (text: string) => timeFrom(text, io.nowMs(), -1)
  const usage = program
    .command('usage')
    .summary('what requests used and cost')
    .description(
      'Shows what requests used and cost, newest first; with --group-by sums; with the id of a request its whole story: usage, price, arithmetic and transfers. ' +
        'A count marked ~ was counted by us, one marked - is unknown and was charged as the dearer class.',
    )
    .argument('[request]', 'id of a request: the x-request-id of its answer')
    .option('--org <org>', 'only of this org (id or name)')
    .option('--key <key>', 'only through this key (id)')
    .option('--model <model>', 'only of this model')
    .option('--from <time>', 'settled then or later: 2026-01-31, 24h, 7d', past)
    .option('--to <time>', 'settled before then', past)
    .addOption(new Option('--group-by <what>', 'sums instead of requests').choices(GROUPS))
    .option('--limit <count>', 'how many requests', countArgument, ROWS_DEFAULT)
    .option('--all', 'every request; with --json one line each')
    .addHelpText(
      'after',
      `
Examples:
  npx headrace usage
  npx headrace usage --from 24h --group-by model
  npx headrace usage --all --json > usage.ndjson
  npx headrace usage export --from 2026-10-01 --to 2026-11-01 --format csv --out october.csv
  npx headrace usage req_01JZY3N4T5V6W7X8Y9Z0A1B2C3`,
    )
    .action(async (request: string | undefined, flags: UsageFlags, command: Command) => {
      const session = openSession(io, command)
      await session.control(async client => {
        if (request !== undefined) {
          const story = await client.getUsage(request)
          session.show(story, () => usageStoryText(session, story))
          return
        }
        const org = flags.org === undefined ? undefined : (await pickOrg(client, flags.org)).id
        const query: UsageQuery = { org, key: flags.key, model: flags.model, from: flags.from, to: flags.to }
        if (flags.groupBy !== undefined) {
          const summary = await client.summarizeUsage({ ...query, group_by: flags.groupBy })
          session.show(summary, () => summaryTable(session, summary))
        } else if (flags.all === true && session.json) {
          for await (const row of allRows(client.listUsage, { ...query, limit: PAGE_ROWS }))
            session.print(`${JSON.stringify(row)}\n`)
        } else {
          await list(session, client, query, flags)
        }
      })
    })
  registerExport(usage, io)
}

async function list(session: Session, client: ControlClient, query: UsageQuery, flags: UsageFlags): Promise<void> {
  const rows: Row[] = []
  let more = false
  for await (const row of allRows(client.listUsage, {
    ...query,
    limit: flags.all === true ? PAGE_ROWS : Math.min(flags.limit + 1, PAGE_ROWS),
  })) {
    if (flags.all !== true && rows.length === flags.limit) {
      more = true
      break
    }
    rows.push(row)
  }
  if (session.json) {
    session.printJson({ data: rows, has_more: more })
    return
  }
  if (rows.length === 0) {
    session.print('No requests yet.\n')
    return
  }
  const summary = await client.summarizeUsage({ ...query, group_by: 'model' })
  session.print(usageTable(session, rows))
  session.print(
    session.style.dim(`${totalText(summary)}${more ? `; ${rows.length} shown, --limit or --all shows more` : ''}.\n`),
  )
}

function usageTable(session: Session, rows: readonly Row[]): string {
  return session.table<Row>(
    [
      { title: 'SETTLED (UTC)', text: row => formatTime(row.settled_at) },
      { title: 'REQUEST', text: row => row.request },
      { title: 'MODEL', text: row => row.model, shrink: true },
      { title: 'INPUT', text: row => counted(row.usage.input_tokens, row.usage.input_source), right: true },
      {
        title: 'CACHED',
        text: row => counted(row.usage.cached_input_tokens, row.usage.cached_input_source),
        right: true,
      },
      { title: 'OUTPUT', text: row => counted(row.usage.output_tokens, row.usage.output_source), right: true },
      { title: 'CHARGE', text: row => formatMoney(row.charge), right: true },
      { title: 'FIRST TOKEN', text: row => (row.ttft_ms === null ? '-' : formatDuration(row.ttft_ms)), right: true },
      {
        title: 'ENDING',
        text: row => row.ending,
        paint: (cell, row) => (row.ending === 'completed' ? cell : session.style.yellow(cell)),
      },
    ],
    rows,
  )
}

function summaryTable(session: Session, summary: Summary): string {
  if (summary.data.length === 0) return 'No requests yet.\n'
  const timed = summary.group_by === 'day' || summary.group_by === 'hour'
  const table = session.table<Summary['data'][number]>(
    [
      {
        title: timed ? `${summary.group_by.toUpperCase()} (UTC)` : summary.group_by.toUpperCase(),
        text: row => groupText(row.group, summary.group_by),
        shrink: !timed,
      },
      { title: 'REQUESTS', text: row => formatCount(row.requests), right: true },
      { title: 'INPUT', text: row => formatCount(row.input_tokens), right: true },
      { title: 'CACHED', text: row => formatCount(row.cached_input_tokens), right: true },
      { title: 'OUTPUT', text: row => formatCount(row.output_tokens), right: true },
      { title: 'CHARGE', text: row => formatMoney(row.charge), right: true },
    ],
    summary.data,
  )
  return `${table}${session.style.dim(`${totalText(summary)}.`)}\n`
}

function groupText(group: string, groupBy: UsageGroupBy): string {
  if (group === '') return 'none'
  if (groupBy === 'day') return group.slice(0, 10)
  return groupBy === 'hour' ? formatTime(group).slice(0, 16) : group
}

function totalText(summary: Summary): string {
  const requests = summary.data.reduce((sum, row) => sum + row.requests, 0)
  const charge = summary.data.reduce((sum, row) => sum + parseDollars(row.charge), 0n)
  return `${formatCount(requests)} ${requests === 1 ? 'request' : 'requests'}, ${formatMoney(formatDollars(charge))} charged`
}

/** Absent is never the same as zero. */
function counted(tokens: number, source: 'reported' | 'counted' | 'absent'): string {
  if (source === 'absent') return '-'
  return `${source === 'counted' ? '~' : ''}${formatCount(tokens)}`
}
