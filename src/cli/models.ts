import type { Command } from 'commander'
import { allRows, type ControlClient } from '../control/client.ts'
import { type CatalogueEntry, licenseText, loadCatalogue } from '../models/catalogue.ts'
import { listModelFiles } from '../models/model-files.ts'
import { dollarsArgument, priceArgument, timeFrom } from './arguments.ts'
import type { Io } from './io.ts'
import { renderFields } from './output/table.ts'
import { formatBytes, formatCount, formatMoney, formatTime } from './output/units.ts'
import { openSession, type Session } from './session.ts'

type Model = Awaited<ReturnType<ControlClient['getModel']>>
type Price = Awaited<ReturnType<ControlClient['setPrice']>>
type Status = Awaited<ReturnType<ControlClient['status']>>

interface PriceFlags {
  readonly input: string
  readonly cached: string
  readonly output: string
  readonly request?: string
  readonly from?: string
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
  npx headrace models price my-model --input 0.20 --cached 0.04 --output 0.80 --from 2027-01-01`,
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
    .requiredOption('--input <price>', 'dollars per million input tokens', priceArgument)
    .requiredOption('--cached <price>', 'dollars per million cached input tokens', priceArgument)
    .requiredOption('--output <price>', 'dollars per million output tokens', priceArgument)
    .option('--request <dollars>', 'dollars per request', dollarsArgument)
    .option('--from <time>', 'when it begins: 2027-01-01, 2027-01-01T00:00:00Z, or in 12h, 7d', (text: string) =>
      timeFrom(text, io.nowMs(), 1),
    )
    .action(async (id: string, flags: PriceFlags, command: Command) => {
      const session = openSession(io, command)
      const price = await session.control(client =>
        client.setPrice(id, {
          input: flags.input,
          cached_input: flags.cached,
          output: flags.output,
          request: flags.request,
          from: flags.from,
        }),
      )
      session.show(
        price,
        () => `Price of ${price.model} from ${formatTime(price.from)} UTC:\n${priceTable(session, [price])}`,
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
      : priceTable(session, prices)
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

function priceTable(session: Session, prices: readonly Price[]): string {
  const money = (title: string, name: 'input' | 'cached_input' | 'output' | 'request') => ({
    title,
    text: (price: Price) => formatMoney(price[name]),
    right: true,
  })
  return session.table<Price>(
    [
      { title: 'FROM (UTC)', text: price => formatTime(price.from) },
      { title: 'TO (UTC)', text: price => (price.to === null ? 'further notice' : formatTime(price.to)) },
      money('$/M INPUT', 'input'),
      money('$/M CACHED', 'cached_input'),
      money('$/M OUTPUT', 'output'),
      money('$/REQUEST', 'request'),
      { title: 'ID', text: price => price.id },
    ],
    prices,
  )
}
