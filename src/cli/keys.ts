import type { Command } from 'commander'
import { allRows, type ControlClient } from '../control/client.ts'
import { dollarsArgument, listArgument, timeFrom } from './arguments.ts'
import { CliError } from './cli-error.ts'
import type { Io } from './io.ts'
import { formatMoney, formatTime } from './output/units.ts'
import { pickOrg } from './pick-org.ts'
import { openSession } from './session.ts'

type Key = Awaited<ReturnType<ControlClient['getKey']>>

/** `headrace keys create | list | revoke`. */
export function register(program: Command, io: Io): void {
  const group = program
    .command('keys')
    .summary('create, list and revoke API keys')
    .description(
      'Creates, lists and revokes API keys. A key acts for an org; its secret is shown once, when it is created.',
    )
    .addHelpText(
      'after',
      `
Examples:
  npx headrace keys create laptop
  npx headrace keys create ci --cap 2.50 --expires 30d    never spends more than $2.50, ends in 30 days
  npx headrace keys create app --models qwen3-0.6b        may use no other model
  npx headrace keys revoke laptop`,
    )

  group
    .command('create')
    .description('Create an API key and show its secret, this one time.')
    .argument('[name]', 'to know it again by', 'unnamed')
    .option('--org <org>', 'id or name of the org; not needed while there is one')
    .option('--project <id>', 'project of the org that it belongs to')
    .option('--cap <dollars>', 'most that may ever be spent through it', dollarsArgument)
    .option('--models <ids>', 'the only models that it may use, with commas between them', listArgument)
    .option('--expires <time>', 'when it ends: 30d, 12h, 2026-12-31', (text: string) => timeFrom(text, io.nowMs(), 1))
    .action(
      async (
        name: string,
        options: { org?: string; project?: string; cap?: string; models?: string[]; expires?: string },
        command: Command,
      ) => {
        const session = openSession(io, command)
        const key = await session.control(async client => {
          const org = await pickOrg(client, options.org)
          return await client.createKey({
            org: org.id,
            name,
            project: options.project ?? null,
            cap: options.cap ?? null,
            models: options.models ?? null,
            expires_at: options.expires ?? null,
          })
        })
        session.show(key, () => {
          const { bold, dim } = session.style
          const bounds = [
            key.cap === null ? '' : `spends at most ${formatMoney(key.cap)}`,
            key.models === null ? '' : `only ${key.models.join(' and ')}`,
            key.expires_at === null ? '' : `ends ${formatTime(key.expires_at)} UTC`,
          ].filter(text => text !== '')
          return `${bold(key.secret)}\n${dim(`Shown once; keep it. ${key.id}, ${[`for ${key.org}`, ...bounds].join(', ')}.`)}\n`
        })
      },
    )

  group
    .command('list')
    .description('List API keys, without their secrets.')
    .option('--org <org>', 'only of this org (id or name)')
    .option('--all', 'revoked and expired ones too')
    .action(async (options: { org?: string; all?: boolean }, command: Command) => {
      const session = openSession(io, command)
      const keys = await session.control(async client => {
        const org = options.org === undefined ? undefined : (await pickOrg(client, options.org)).id
        return await collect(client, org)
      })
      const shown = keys.filter(key => options.all === true || key.state === 'active')
      session.show(shown, () => {
        if (shown.length === 0) return 'There are no keys. Create one: npx headrace keys create\n'
        const table = session.table<Key>(
          [
            { title: 'ID', text: key => key.id },
            { title: 'NAME', text: key => key.name, shrink: true },
            { title: 'KEY', text: key => `…${key.hint}` },
            { title: 'ORG', text: key => key.org, shrink: true },
            {
              title: 'STATE',
              text: key => key.state,
              paint: (cell, key) => (key.state === 'active' ? session.style.green(cell) : session.style.dim(cell)),
            },
            { title: 'SPENT', text: key => formatMoney(key.spent), right: true },
            { title: 'CAP', text: key => (key.cap === null ? 'none' : formatMoney(key.cap)), right: true },
            { title: 'EXPIRES (UTC)', text: key => (key.expires_at === null ? 'never' : formatTime(key.expires_at)) },
          ],
          shown,
        )
        const hidden = keys.length - shown.length
        return hidden === 0
          ? table
          : `${table}${session.style.dim(`${hidden} revoked or expired; --all shows them.`)}\n`
      })
    })

  group
    .command('revoke')
    .description('Revoke an API key, at once and for good. Requests that run go on.')
    .argument('<key>', 'id of the key, or its name where only one active key has it')
    .action(async (named: string, _: object, command: Command) => {
      const session = openSession(io, command)
      const key = await session.control(async client => client.revokeKey(await findKey(client, named)))
      session.show(key, () => `Revoked ${key.id} (${key.name}).\n`)
    })
}

async function collect(client: ControlClient, org: string | undefined): Promise<Key[]> {
  const keys: Key[] = []
  for await (const key of allRows(query => client.listKeys({ ...query, org }), {})) keys.push(key)
  return keys
}

async function findKey(client: ControlClient, named: string): Promise<string> {
  const keys = await collect(client, undefined)
  if (keys.some(key => key.id === named)) return named
  const [first, ...others] = keys.filter(key => key.name === named && key.state === 'active')
  if (first === undefined)
    throw new CliError(`There is no active key "${named}".`, { cure: 'See: npx headrace keys list' })
  if (others.length > 0) {
    throw new CliError(`${others.length + 1} active keys are called "${named}".`, {
      cure: `Say which by its id: ${[first, ...others].map(key => key.id).join(', ')}`,
    })
  }
  return first.id
}
