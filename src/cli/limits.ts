import { type Command, InvalidArgumentError, Option } from 'commander'
import { allRows, type ControlClient } from '../control/client.ts'
import { dollarsArgument } from './arguments.ts'
import { CliError, EXIT } from './cli-error.ts'
import type { Io } from './io.ts'
import { formatMoney, formatTime } from './output/units.ts'
import { pickOrg } from './pick-org.ts'
import { openSession, type Session } from './session.ts'

type Limit = Awaited<ReturnType<ControlClient['createLimit']>>
type Window = Limit['window']

const UNITS = ['minute', 'hour', 'day', 'week', 'month'] as const
const WINDOWS: readonly Window[] = ['ever', ...UNITS, ...UNITS.map(unit => `rolling_${unit}` as const)]
/** Options that say how much of what; one of them has to be given. */
const MEASURES = [
  'dollars',
  'requests',
  'tokens',
  'uncached_tokens',
  'input_tokens',
  'output_tokens',
  'concurrency',
] as const

interface SetOptions extends Partial<Record<'dollars' | 'requests' | 'tokens' | 'concurrency', string>> {
  readonly uncachedTokens?: string
  readonly inputTokens?: string
  readonly outputTokens?: string
  readonly org?: string
  readonly project?: string
  readonly key?: string
  readonly user?: string
  readonly model?: string
  readonly installation?: boolean
  readonly window: Window
  readonly warn?: boolean
  readonly notify?: readonly number[]
}

/** `headrace limits list | set | change | remove`. */
export function register(program: Command, io: Io): void {
  const group = program
    .command('limits')
    .summary('budgets and rate limits of orgs, projects, keys, users')
    .description(
      'Sets and shows budgets and rate limits. A request is let in under all of them together with its hold, or not at all, and counts in the window in which it was let in.',
    )
    .addHelpText(
      'after',
      `
Examples:
  npx headrace limits set --dollars 50.00 --window month                  the org, each month
  npx headrace limits set --key key_0aB3dE5gH7jK9m --requests 60 --window minute
  npx headrace limits set --user each --dollars 1.00 --window rolling_day  every end user for itself
  npx headrace limits set --model my-model --concurrency 8 --installation
  npx headrace limits set --dollars 40.00 --window month --warn            nothing is refused, only told
  npx headrace limits list`,
    )

  const set = group
    .command('set')
    .description('Set a limit. Name one measure and the scope; what was used before in its window counts.')
    .option('--dollars <amount>', 'money', dollarsArgument)
  for (const measure of MEASURES.slice(1)) {
    set.option(
      `--${measure.replace('_', '-')} <count>`,
      measure === 'concurrency' ? 'requests that run at a time' : measure.replace('_', ' '),
      wholeNumber,
    )
  }
  set
    .option('--org <org>', 'id or name of the org; not needed while there is one')
    .option('--project <id>', 'only requests of its keys')
    .option('--key <id>', 'only requests of this key')
    .option('--user <id>', 'only requests for this end user; "each": every one has the limit for itself')
    .option('--model <id>', 'only requests of this model')
    .option('--installation', 'all orgs together')
    .addOption(new Option('--window <window>', 'since when it counts, in UTC').choices(WINDOWS).default('ever'))
    .option('--warn', 'refuse nothing, only tell')
    .option('--notify <percents>', 'when to tell, such as 50,80,100', percents)
    .action(async (options: SetOptions, command: Command) => {
      const session = openSession(io, command)
      const { measure, amount } = measureOf(options)
      const limit = await session.control(async client =>
        client.createLimit({
          org: options.installation === true ? null : (await pickOrg(client, options.org)).id,
          project: options.project ?? null,
          key: options.key ?? null,
          end_user: options.user ?? null,
          model: options.model ?? null,
          measure,
          amount,
          window: options.window,
          hard: options.warn !== true,
          ...(options.notify !== undefined && { notify_percents: [...options.notify] }),
        }),
      )
      session.show(limit, () => `Set.\n${limitTable(session, [limit])}`)
    })

  group
    .command('list')
    .description('List limits, with what counts under each.')
    .option('--org <org>', 'only of this org (id or name)')
    .action(async (options: { org?: string }, command: Command) => {
      const session = openSession(io, command)
      const limits = await session.control(async client => {
        const org = options.org === undefined ? undefined : (await pickOrg(client, options.org)).id
        const all: Limit[] = []
        for await (const limit of allRows(query => client.listLimits({ ...query, org }), {})) all.push(limit)
        return all
      })
      session.show(limits, () =>
        limits.length === 0
          ? 'There are no limits. Set one: npx headrace limits set --help\n'
          : limitTable(session, limits),
      )
    })

  group
    .command('change')
    .description('Change how much a limit lets through. Its scope, measure and window stay.')
    .argument('<limit>', 'id of the limit')
    .option('--amount <amount>', 'dollars such as 20.00, or a whole number')
    .addOption(new Option('--mode <mode>', 'whether it refuses').choices(['refuse', 'warn']))
    .action(async (id: string, options: { amount?: string; mode?: 'refuse' | 'warn' }, command: Command) => {
      const session = openSession(io, command)
      const limit = await session.control(client =>
        client.updateLimit(id, {
          ...(options.amount !== undefined && { amount: options.amount }),
          ...(options.mode !== undefined && { hard: options.mode === 'refuse' }),
        }),
      )
      session.show(limit, () => limitTable(session, [limit]))
    })

  group
    .command('remove')
    .description('Remove a limit.')
    .argument('<limit>', 'id of the limit')
    .action(async (id: string, _: object, command: Command) => {
      const session = openSession(io, command)
      const limit = await session.control(client => client.removeLimit(id))
      session.show(limit, () => `Removed ${limit.id}.\n`)
    })
}

function measureOf(options: SetOptions): { measure: Limit['measure']; amount: string } {
  const given: readonly (readonly [Limit['measure'], string | undefined])[] = [
    ['dollars', options.dollars],
    ['requests', options.requests],
    ['tokens', options.tokens],
    ['uncached_tokens', options.uncachedTokens],
    ['input_tokens', options.inputTokens],
    ['output_tokens', options.outputTokens],
    ['concurrency', options.concurrency],
  ]
  const [first, ...others] = given.filter(([, amount]) => amount !== undefined)
  if (first === undefined || others.length > 0) {
    throw new CliError(first === undefined ? 'Nothing says what is limited.' : 'A limit counts one thing.', {
      cure: `Give one of ${MEASURES.map(measure => `--${measure.replace('_', '-')}`).join(', ')}.`,
      exitCode: EXIT.usage,
    })
  }
  return { measure: first[0], amount: first[1] as string }
}

function limitTable(session: Session, limits: readonly Limit[]): string {
  const amount = (limit: Limit, text: string) => (limit.measure === 'dollars' ? formatMoney(text) : text)
  return session.table<Limit>(
    [
      { title: 'ID', text: limit => limit.id },
      { title: 'WHO', text: scopeText, shrink: true },
      { title: 'WHAT', text: limit => limit.measure.replace('_', ' ') },
      { title: 'WINDOW', text: limit => limit.window.replace('_', ' ') },
      { title: 'USED', text: limit => (limit.used === null ? 'each' : amount(limit, limit.used)), right: true },
      { title: 'HELD', text: limit => (limit.held === null ? '' : amount(limit, limit.held)), right: true },
      { title: 'OF', text: limit => amount(limit, limit.amount), right: true },
      { title: 'THEN', text: limit => (limit.hard ? 'refuse' : 'warn') },
      { title: 'RESETS (UTC)', text: limit => (limit.resets_at === null ? '' : formatTime(limit.resets_at)) },
    ],
    limits,
  )
}

function scopeText(limit: Limit): string {
  const parts = [
    limit.key ?? limit.project ?? limit.org ?? 'installation',
    ...(limit.end_user === null ? [] : [limit.end_user === 'each' ? 'each end user' : `user ${limit.end_user}`]),
    ...(limit.model === null ? [] : [limit.model]),
  ]
  return parts.join(', ')
}

function wholeNumber(text: string): string {
  if (!/^[1-9]\d{0,15}$/.test(text)) throw new InvalidArgumentError('A whole number from 1 is wanted.')
  return text
}

function percents(text: string): readonly number[] {
  const numbers = text.split(',').map(Number)
  if (numbers.some(number => !Number.isInteger(number) || number < 1 || number > 100))
    throw new InvalidArgumentError('Whole numbers from 1 to 100, with commas between them, are wanted.')
  return numbers
}
