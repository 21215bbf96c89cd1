import { resolve } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { allRows, type ControlClient } from '../control/client.ts'
import { formatDollars, parseDollars, parsePricePerMillion } from '../ledger/money.ts'
import { CsvError } from '../statements/csv.ts'
import { parsePercent } from '../statements/percent.ts'
import { PROVIDER_FORMATS } from '../statements/reconcile/formats/formats.ts'
import type { ProviderField, ProviderFormat } from '../statements/reconcile/provider-format.ts'
import { ProviderFileError, type ProviderUsage, providerUsage } from '../statements/reconcile/provider-usage.ts'
import {
  type OurUsage,
  type Reconciliation,
  reconcile,
  type Side,
  type UpstreamCost,
} from '../statements/reconcile/reconcile.ts'
import { CliError, EXIT } from './cli-error.ts'
import { setExitCode } from './exit-code.ts'
import type { Io } from './io.ts'
import { printable } from './output/style.ts'
import { formatCount, formatMoney } from './output/units.ts'
import { openSession, type Session } from './session.ts'

interface Flags {
  readonly provider: string
  readonly upstream: string
  readonly columns?: Partial<Record<ProviderField, string>>
  readonly key?: string
  readonly cost?: ReadonlyMap<string, UpstreamCost>
  readonly tolerance: string
}

const PAGE_ROWS = 1_000
const DAY_MS = 86_400_000
const FIELDS: readonly ProviderField[] = ['time', 'model', 'key', 'requests', 'input', 'cached_input', 'output', 'cost']
/** Endings of requests that did not run to their end. */
const INTERRUPTED = new Set(['cancelled', 'timed_out', 'aborted', 'failed'])

/** `headrace reconcile`. */
export function register(program: Command, io: Io): void {
  program
    .command('reconcile')
    .summary("compare a provider's usage file with ours")
    .description(
      "Compares a provider's usage file (CSV) with what was settled here through an upstream, by UTC day and model, and names the likely cause of every gap. Exit code 1 when a gap is above the tolerance.",
    )
    .argument('<file>', 'the CSV file, or - for standard input')
    .addOption(
      new Option('--provider <provider>', 'whose format it has')
        .choices(Object.keys(PROVIDER_FORMATS))
        .default('generic'),
    )
    .requiredOption('--upstream <id>', 'the upstream that stands for the provider here')
    .option('--columns <map>', `columns with other titles: time=Day,model=Engine (${FIELDS.join(', ')})`, columnMap)
    .option('--key <key>', "only rows of this key of the provider's (name or id)")
    .option(
      '--cost <model=in/cached/out>',
      'what the upstream takes, dollars per million tokens, by its name of the model; repeatable',
      costArgument,
    )
    .option('--tolerance <percent>', 'a gap up to so much is none', toleranceArgument, '0.1')
    .addHelpText(
      'after',
      `
Examples:
  npx headrace reconcile usage.csv --provider openai --upstream openai
  npx headrace reconcile usage.csv --upstream vllm --columns time=Day,model=Engine --cost v4=0.14/0.03/0.28`,
    )
    .action(async (file: string, flags: Flags, command: Command) => {
      const session = openSession(io, command)
      const theirs = readTheirs(await textOf(io, file), PROVIDER_FORMATS[flags.provider] as ProviderFormat, flags)
      const ours = await session.control(client => readOurs(client, flags.upstream, theirs))
      const result = reconcile(ours, theirs, { toleranceParts: parsePercent(flags.tolerance), costs: flags.cost })
      session.show(jsonOf(result), () => tableOf(session, result, theirs))
      if (result.exceeded) setExitCode(command, EXIT.failed)
    })
}

async function textOf(io: Io, file: string): Promise<string> {
  if (file === '-') {
    let text = ''
    for await (const chunk of io.stdin) text += chunk
    return text
  }
  const text = io.readFile(resolve(io.cwd, file))
  if (text === null) throw new CliError(`There is no file ${file}.`)
  return text
}

function readTheirs(text: string, format: ProviderFormat, flags: Flags): ProviderUsage[] {
  try {
    const all = providerUsage(text, format, flags.columns)
    const theirs = flags.key === undefined ? all : all.filter(each => each.key === flags.key)
    if (theirs.length > 0) return theirs
    const keys = [...new Set(all.map(each => each.key))].filter(key => key !== '')
    throw new CliError(
      flags.key === undefined ? 'The file holds no usage.' : `The file holds no usage of the key "${flags.key}".`,
      {
        cure: keys.length === 0 ? '' : `It has the keys: ${keys.join(', ')}`,
      },
    )
  } catch (error) {
    if (!(error instanceof ProviderFileError || error instanceof CsvError)) throw error
    throw new CliError(`The file is not as expected: ${error.message}`, { cause: error })
  }
}

/** Our usage through the upstream over their days, and a day to both sides in case their days are not in UTC. */
async function readOurs(
  client: ControlClient,
  upstream: string,
  theirs: readonly ProviderUsage[],
): Promise<OurUsage[]> {
  const names = new Map<string, string>()
  for await (const model of allRows(client.listModels, { limit: PAGE_ROWS })) {
    const target = model.targets.find(each => each.upstream === upstream)
    if (target !== undefined) names.set(model.id, target.upstream_model)
  }
  const days = theirs.map(each => Date.parse(each.day)).sort((a, b) => a - b)
  const from = new Date((days[0] as number) - DAY_MS).toISOString()
  const to = new Date((days.at(-1) as number) + 2 * DAY_MS).toISOString()
  const ours: OurUsage[] = []
  for await (const row of allRows(client.listUsageHours, { upstream, from, to, limit: PAGE_ROWS })) {
    ours.push({
      hourMs: Date.parse(row.hour),
      // A model that is gone is known by its own name alone.
      model: names.get(row.model) ?? row.model,
      requests: row.requests,
      interrupted: INTERRUPTED.has(row.ending) ? row.requests : 0,
      inputTokens: row.input_tokens,
      cachedInputTokens: row.cached_input_tokens,
      outputTokens: row.output_tokens,
      costNanodollars: row.cost === null ? null : parseDollars(row.cost),
    })
  }
  return ours
}

function columnMap(text: string): Partial<Record<ProviderField, string>> {
  return Object.fromEntries(
    text.split(',').map(pair => {
      const [field = '', title] = pair.split('=')
      if (!FIELDS.includes(field as ProviderField) || title === undefined || title === '')
        throw new InvalidArgumentError(
          `"${pair}" is no column; write <field>=<title>, with one of: ${FIELDS.join(', ')}.`,
        )
      return [field, title]
    }),
  )
}

function costArgument(
  text: string,
  before: ReadonlyMap<string, UpstreamCost> = new Map(),
): ReadonlyMap<string, UpstreamCost> {
  const match = /^(.+)=([^/=]+)\/([^/=]+)\/([^/=]+)$/.exec(text)
  try {
    if (match === null) throw new Error('wanted is model=input/cached/output, such as v4=0.14/0.03/0.28')
    const [, model = '', input = '', cached = '', output = ''] = match
    const cost = {
      inputPicodollars: parsePricePerMillion(input),
      cachedInputPicodollars: parsePricePerMillion(cached),
      outputPicodollars: parsePricePerMillion(output),
    }
    return new Map([...before, [model.toLowerCase(), cost]])
  } catch (error) {
    throw new InvalidArgumentError(`${(error as Error).message}.`)
  }
}

function toleranceArgument(text: string): string {
  try {
    parsePercent(text)
    return text
  } catch (error) {
    throw new InvalidArgumentError(`${(error as Error).message}.`)
  }
}

function jsonOf(result: Reconciliation): object {
  const side = (each: Side) => ({
    requests: each.requests,
    input_tokens: each.inputTokens,
    cached_input_tokens: each.cachedInputTokens,
    output_tokens: each.outputTokens,
    cost: each.costNanodollars === null ? null : formatDollars(each.costNanodollars),
  })
  return {
    exceeded: result.exceeded,
    zone_hours: result.zoneHours,
    data: result.lines.map(line => ({ ...line, ours: side(line.ours), theirs: side(line.theirs) })),
  }
}

function tableOf(session: Session, result: Reconciliation, theirs: readonly ProviderUsage[]): string {
  const rows = result.lines.flatMap(line => [
    { day: line.day, model: line.model, name: 'ours', side: line.ours, exceeded: false },
    { day: '', model: '', name: 'theirs', side: line.theirs, exceeded: false },
    ...(line.causes.length === 0
      ? []
      : [{ day: '', model: '', name: 'gap', side: gapOf(line.theirs, line.ours), exceeded: line.exceeded }]),
  ])
  const number = (value: number | null) => (value === null ? '-' : formatCount(value))
  const table = session.table(
    [
      { title: 'DAY (UTC)', text: row => row.day },
      { title: 'MODEL', text: row => row.model, shrink: true },
      {
        title: '',
        text: row => row.name,
        paint: (cell, row) => (row.exceeded ? session.style.yellow(cell) : session.style.dim(cell)),
      },
      { title: 'REQUESTS', text: row => number(row.side.requests), right: true },
      { title: 'INPUT', text: row => number(row.side.inputTokens), right: true },
      { title: 'CACHED', text: row => number(row.side.cachedInputTokens), right: true },
      { title: 'OUTPUT', text: row => number(row.side.outputTokens), right: true },
      {
        title: 'COST',
        text: row => (row.side.costNanodollars === null ? '-' : formatMoney(formatDollars(row.side.costNanodollars))),
        right: true,
      },
    ],
    rows,
  )
  const causes = result.lines.flatMap(line =>
    line.causes.map(each => `${line.day}  ${printable(line.model)}  ${session.style.bold(each.cause)}: ${each.text}\n`),
  )
  const keys = new Set(theirs.map(each => each.key))
  const note = keys.size > 1 ? session.style.dim(`The file has ${keys.size} keys, all summed; --key takes one.\n`) : ''
  const end = result.exceeded
    ? session.style.yellow('There are gaps above the tolerance.\n')
    : session.style.green('They agree within the tolerance.\n')
  return `${table}${causes.length === 0 ? '' : `\n${causes.join('')}`}\n${note}${end}`
}

function gapOf(theirs: Side, ours: Side): Side {
  const minus = (a: number | null, b: number | null) => (a === null || b === null ? null : a - b)
  return {
    requests: minus(theirs.requests, ours.requests),
    inputTokens: theirs.inputTokens - ours.inputTokens,
    cachedInputTokens: minus(theirs.cachedInputTokens, ours.cachedInputTokens),
    outputTokens: theirs.outputTokens - ours.outputTokens,
    costNanodollars:
      theirs.costNanodollars === null || ours.costNanodollars === null
        ? null
        : theirs.costNanodollars - ours.costNanodollars,
  }
}
