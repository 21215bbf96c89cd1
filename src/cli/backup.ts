import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { Io } from './io.ts'
import { formatBytes, formatCount, formatDuration, formatTime } from './output/units.ts'
import type { CheckedBackup } from './serve-types.ts'
import { openSession } from './session.ts'

/** `headrace backup`. */
export function register(program: Command, io: Io): void {
  program
    .command('backup')
    .summary('copy the books while the server runs')
    .description(
      'Copies the database to a file, while a server runs or not, and checks the copy as "ledger verify" does before it gets its name. It holds orgs, hashes of keys, models, prices, usage and the ledger: keep it as you keep the home.',
    )
    .argument('<file>', 'the file to write; it must not exist')
    .option('--whole', 'a folder with the pepper beside the database, without which no API key works elsewhere')
    .addHelpText(
      'after',
      `
Examples:
  npx headrace backup /backup/headrace-2026-11-26.db
  npx headrace backup /backup/2026-11-26 --whole
  npx headrace restore /backup/headrace-2026-11-26.db`,
    )
    .action(async (file: string, options: { whole?: boolean }, command: Command) => {
      const session = openSession(io, command)
      const { config } = session.configuration()
      const { backUp } = await io.compose()
      const whole = options.whole === true
      const startedMs = io.monotonicMs()
      const made = backUp(config, resolve(io.cwd, file), { whole })
      const durationMs = Math.round(io.monotonicMs() - startedMs)
      session.show({ path: made.path, whole, bytes: made.bytes, ...checkedBody(made), duration_ms: durationMs }, () => {
        const { green, dim } = session.style
        const size = `${formatBytes(made.bytes)}, ${rowsText(made)}, ${formatDuration(durationMs)}`
        const hint = whole
          ? 'It holds the pepper: whoever has it and the keys’ hashes can try keys. Keep it as you keep the home.'
          : 'The pepper is not in it: without the one of this home no API key of it works. --whole adds it.'
        return `${green('Backed up')} to ${made.path}: ${size}.\nThe books in it balance. ${newestText(made)}\n${dim(hint)}\n`
      })
    })
}

/** What a backup holds, as JSON. */
export function checkedBody({ schema, verification, newest }: CheckedBackup) {
  return {
    schema,
    settlements: verification.settlements,
    transfers: verification.transfers,
    newest_request: newest === null ? null : newest.requestId,
    newest_settled_at: newest === null ? null : new Date(newest.settledMs).toISOString(),
  }
}

/** `1 transfer`, `1,204 transfers`. */
export function counted(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`
}

/** Its rows, for people. */
export function rowsText({ verification }: CheckedBackup): string {
  const { settlements, transfers } = verification
  return `${counted(settlements, 'settlement')}, ${counted(transfers, 'transfer')}`
}

/** Its last request, for people. */
export function newestText({ newest }: CheckedBackup): string {
  if (newest === null) return 'There is no request in it.'
  return `The newest request in it is ${newest.requestId}, settled ${formatTime(new Date(newest.settledMs).toISOString())} UTC.`
}
