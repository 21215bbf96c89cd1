import type { Command } from 'commander'
import { allRows, type ControlClient } from '../control/client.ts'
import { type CatalogueEntry, licenseText, loadCatalogue } from '../models/catalogue.ts'
import { listModelFiles } from '../models/model-files.ts'
import { dollarsArgument, marginArgument, priceArgument, tierArgument, timeFrom, windowArgument } from './arguments.ts'
import { CliError, EXIT } from './cli-error.ts'
import type { Io } from './io.ts'
import { renderFields } from './output/table.ts'
import { formatBytes, formatCount, formatMoney, formatTime } from './output/units.ts'
import { readExact } from './price-file.ts'
import { priceTable, termsText } from './price-text.ts'
import { openSession, type Session } from './session.ts'

type Model = Awaited<ReturnType<ControlClient['getModel']>>
type Price = Awaited<ReturnType<ControlClient['setPrice']>>
type Status = Awaited<ReturnType<ControlClient['status']>>

type PriceBody = Parameters<ControlClient['setPrice']>[1]

interface PriceFlags {
  readonly input?: string
  readonly cached?: string
  readonly cacheWrite?: string
  readonly output?: string
  readonly reasoning?: string
  readonly request?: string
  readonly window?: NonNullable<PriceBody['windows']>
  readonly tier?: NonNullable<PriceBody['tiers']>
  readonly overCost?: NonNullable<PriceBody['margin']>
  readonly file?: string
  readonly group?: string
  readonly from?: string
  readonly to?: string
}

/** `headrace models [list | show | price | remove]`. */
export function register(program: Command, io: Io): void {
  const group = program
    .command('models')
    .summary('list, price and remove models')
    .description('Lists, prices and removes the models on offer. Prices are dollars per million tokens.')
    .addHelpText(
      'after',
      `
Examples:
  npx headrace models
  npx headrace models catalogue                     what can be pulled by name
  npx headrace models price my-model --input 0.10 --cached 0.02 --output 0.40
  npx headrace models price my-model --input 0.20 --cached 0.04 --output 0.80 --from 2027-01-01
  npx headrace models price my-model --input 0.10 --output 0.40 --window "mon-fri 01:00-04:00 2"`,
    )

  group
    .command('list', { isDefault: true })
    .description('List the models on offer.')
    .action(async (_: object, command: Command) => {
      const session = openSession(io, command)
      const { models, status } = await session.control(async client => ({
        models: await collect(client),
        status: await client.status(),
      }))
      session.show(
        models.map(model => ({ ...model, state: stateOf(model, status) })),
        () => modelTable(session, models, status),
      )
    })

  group
    .command('catalogue')
    .description('List the models that "pull" knows by name.')
    .action(async (_: object, command: Command) => {
      const session = openSession(io, command)
      const { config } = session.configuration()
      const entries = loadCatalogue(config.home, config.models.catalogueFile).entries
      const files = await listModelFiles(config.home)
      const rows = entries.map(entry => ({ ...entry, here: files.some(file => file.name === entry.file.name) }))
      session.show(rows, () => catalogueTable(session, rows))
    })

  group
    .command('show')
    .description('Show a model and its price list.')
    .argument('<model>', 'id of the model')
    .action(async (id: string, _: object, command: Command) => {
      const session = openSession(io, command)
      const { model, prices, status } = await session.control(async client => {
        const prices: Price[] = []
        for await (const price of allRows(query => client.listPrices(id, query), {})) prices.push(price)
        return { model: await client.getModel(id), prices, status: await client.status() }
      })
      session.show({ ...model, state: stateOf(model, status), prices }, () => modelText(session, model, prices, status))
    })

  group
    .command('price')
    .description(
      'Set the price of a model, from now or a later time on. Requests admitted before keep the price before.',
    )
    .argument('<model>', 'id of the model')
    .option('--input <price>', 'dollars per million input tokens', priceArgument)
    .option('--cached <price>', 'dollars per million cached input tokens; as input when left out', priceArgument)
    .option('--cache-write <price>', 'dollars per million tokens written to a cache; as input', priceArgument)
    .option('--output <price>', 'dollars per million output tokens', priceArgument)
    .option('--reasoning <price>', 'dollars per million reasoning tokens; as output', priceArgument)
    .option('--request <dollars>', 'dollars per request', dollarsArgument)
    .option(
      '--window <window>',
      'times another multiplier: "mon-fri 01:00-04:00 2", "16:30-00:30 0.5" (UTC); repeatable',
      (text: string, before: NonNullable<PriceFlags['window']> = []) => [...before, windowArgument(text)],
    )
    .option(
      '--tier <tier=multiplier>',
      'sell a service tier: priority=2, flex=0.5, batch=0.5; repeatable',
      (text: string, before: NonNullable<PriceFlags['tier']> = {}) => ({ ...before, ...tierArgument(text) }),
    )
    .option(
      '--over-cost <upstream=multiplier>',
      'what the upstream takes, times the multiplier, in place of prices',
      marginArgument,
    )
    .option('--file <file>', 'the whole price as YAML or JSON, in place of the flags above')
    .option('--group <group>', 'for the orgs of a price group alone')
    .option('--from <time>', 'when it begins: 2027-01-01, 2027-01-01T00:00:00Z, or in 12h, 7d', (text: string) =>
      timeFrom(text, io.nowMs(), 1),
    )
    .option('--to <time>', 'when it ends; then another has to begin, or the model is not sold', (text: string) =>
      timeFrom(text, io.nowMs(), 1),
    )
    .action(async (id: string, flags: PriceFlags, command: Command) => {
      const session = openSession(io, command)
      const body = priceBody(io, flags)
      const price = await session.control(client => client.setPrice(id, body))
      session.show(
        price,
        () =>
          `Price of ${price.model} from ${formatTime(price.from)} UTC:\n${priceTable(session, [price])}${termsText(price)}`,
      )
    })

  group
    .command('remove')
    .description('Take a model off the list. Its file, its prices and the usage of the past stay.')
    .argument('<model>', 'id of the model')
    .action(async (id: string, _: object, command: Command) => {
      const session = openSession(io, command)
      const model = await session.control(client => client.removeModel(id))
      session.show(model, () => `Removed ${model.id}. Offer it again: npx headrace pull ${model.id}\n`)
    })
}

async function collect(client: ControlClient): Promise<Model[]> {
  const models: Model[] = []
  for await (const model of allRows(client.listModels, {})) models.push(model)
  return models
}

/** Without a server nothing runs, so only the price can be told. */
function stateOf(model: Model, status: Status): string {
  if (status.listening.length === 0) return model.price === null ? 'no_price' : 'offline'
  return status.models.find(each => each.id === model.id)?.state ?? 'unknown'
}

function modelTable(session: Session, models: readonly Model[], status: Status): string {
  if (models.length === 0) return 'There are no models. "npx headrace models catalogue" lists what can be fetched.\n'
  const price = (title: string, name: 'input' | 'cached_input' | 'output') => ({
    title,
    text: (model: Model) => (model.price === null ? '-' : formatMoney(model.price[name])),
    right: true,
  })
  return session.table<Model>(
    [
      { title: 'MODEL', text: model => model.id },
      { title: 'CONTEXT', text: model => formatCount(model.context_tokens), right: true },
      price('$/M INPUT', 'input'),
      price('$/M CACHED', 'cached_input'),
      price('$/M OUTPUT', 'output'),
      {
        title: 'STATE',
        text: model => stateOf(model, status),
        paint: cell => (cell.trim() === 'ready' ? session.style.green(cell) : session.style.yellow(cell)),
      },
      { title: 'RUNS ON', text: model => model.targets.map(target => target.upstream).join(', '), shrink: true },
    ],
    models,
  )
}

function modelText(session: Session, model: Model, prices: readonly Price[], status: Status): string {
  const abilities = Object.entries(model.capabilities).flatMap(([name, able]) =>
    able ? [name.replaceAll('_', ' ')] : [],
  )
  const detail = status.models.find(each => each.id === model.id)?.detail ?? ''
  const fields: [string, string][] = [
    ['Model', session.style.bold(model.id)],
    ['Name', model.name],
    ['Aliases', model.aliases.join(', ') || 'none'],
    ['Owner', model.owned_by],
    ['Licence', model.license || 'unknown'],
    ['Context', `${formatCount(model.context_tokens)} tokens, output at most ${formatCount(model.output_tokens_max)}`],
    ['First hold', `${formatCount(model.tranche_tokens)} output tokens`],
    ['Can', abilities.join(', ') || 'nothing'],
    ['Runs on', model.targets.map(target => `${target.upstream} as ${target.upstream_model}`).join(', ')],
    ['State', [stateOf(model, status), detail].filter(text => text !== '').join(': ')],
  ]
  const list =
    prices.length === 0
      ? `No price yet: npx headrace models price ${model.id} --input … --cached … --output …\n`
      : `${priceTable(session, prices)}${prices.map(termsText).join('')}`
  return `${renderFields(fields, session.style)}\n${list}`
}

function catalogueTable(session: Session, rows: readonly (CatalogueEntry & { here: boolean })[]): string {
  return session.table(
    [
      { title: 'MODEL', text: entry => entry.id },
      { title: 'PARAMETERS', text: entry => formatCount(entry.parameters), right: true },
      { title: 'CONTEXT', text: entry => formatCount(entry.contextTokens), right: true },
      { title: 'FILE', text: entry => formatBytes(entry.file.bytes), right: true },
      { title: 'LICENCE', text: entry => licenseText(entry.license), shrink: true },
      { title: 'HERE', text: entry => (entry.here ? 'yes' : 'no') },
    ],
    rows,
  )
}

function priceBody(io: Io, flags: PriceFlags): PriceBody {
  const { file, group, from, to, cached, cacheWrite, window, tier, overCost, ...rates } = flags
  const when = { group, from, to }
  const said = [rates.input, rates.output, cached, cacheWrite, rates.reasoning, rates.request, window, tier, overCost]
  if (file !== undefined) {
    if (said.some(each => each !== undefined))
      throw new CliError('--file holds the whole price; leave the other prices out.', { exitCode: EXIT.usage })
    const text = io.readFile(file)
    if (text === null) throw new CliError(`There is no file ${file}.`, { exitCode: EXIT.usage })
    const written = readExact(text, file)
    if (typeof written !== 'object' || written === null || Array.isArray(written))
      throw new CliError(`${file} holds no price.`, {
        cure: 'Write "input: 0.10" and so on; docs/guides/prices.md shows how.',
        exitCode: EXIT.usage,
      })
    const given = Object.entries(when).filter(([, value]) => value !== undefined)
    return { ...(written as PriceBody), ...Object.fromEntries(given) }
  }
  if (overCost === undefined && (rates.input === undefined || rates.output === undefined))
    throw new CliError('A price needs --input and --output, or --over-cost, or --file.', {
      cure: 'What costs nothing has to be said: --input 0.',
      exitCode: EXIT.usage,
    })
  return {
    ...when,
    ...rates,
    cached_input: cached,
    cache_write: cacheWrite,
    windows: window,
    tiers: tier,
    margin: overCost,
  }
}
