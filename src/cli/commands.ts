import type { Command } from 'commander'
import type { Io } from './io.ts'

/** What a subcommand's file exports: it adds itself, with options, help and action, to the program. */
export interface CommandModule {
  register(program: Command, io: Io): void
}

/** A line of the help, and where the rest is. Only the file of the subcommand that runs is loaded, since loading takes time. */
export interface CommandEntry {
  readonly name: string
  readonly summary: string
  load(): Promise<CommandModule>
}

/** All subcommands, in the order of the help: as a newcomer meets them. */
export const COMMANDS: readonly CommandEntry[] = [
  { name: 'serve', summary: 'start the server', load: () => import('./serve.ts') },
  { name: 'chat', summary: 'chat with a model in the terminal', load: () => import('./chat.ts') },
  { name: 'usage', summary: 'what requests used and cost', load: () => import('./usage.ts') },
  { name: 'pull', summary: 'fetch a model and offer it', load: () => import('./pull.ts') },
  { name: 'models', summary: 'list, price and remove models', load: () => import('./models.ts') },
  { name: 'prices', summary: 'list, import, export and try out price lists', load: () => import('./prices.ts') },
  { name: 'keys', summary: 'create, list and revoke API keys', load: () => import('./keys.ts') },
  {
    name: 'limits',
    summary: 'budgets and rate limits of orgs, projects, keys, users',
    load: () => import('./limits.ts'),
  },
  { name: 'projects', summary: 'group the keys of an org', load: () => import('./projects.ts') },
  { name: 'credit', summary: 'add, grant, take back and show prepaid credit', load: () => import('./credit.ts') },
  {
    name: 'statement',
    summary: 'a month of an account, as statement or invoice',
    load: () => import('./statement.ts'),
  },
  {
    name: 'reconcile',
    summary: "compare a provider's usage file with ours",
    load: () => import('./reconcile.ts'),
  },
  { name: 'ledger', summary: 'check the books, show the story of a charge', load: () => import('./ledger.ts') },
  {
    name: 'prove',
    summary: 'prove on this machine that the books cannot go wrong',
    load: () => import('./prove.ts'),
  },
  {
    name: 'webhooks',
    summary: 'endpoints that are told of events, and deliveries',
    load: () => import('./webhooks.ts'),
  },
  { name: 'backup', summary: 'copy the books while the server runs', load: () => import('./backup.ts') },
  { name: 'restore', summary: 'put a backup in place of the books', load: () => import('./restore.ts') },
  { name: 'doctor', summary: 'look for what is wrong with this machine and home', load: () => import('./doctor.ts') },
  { name: 'config', summary: 'show and check the configuration', load: () => import('./config.ts') },
  { name: 'version', summary: 'tell versions', load: () => import('./version.ts') },
]
