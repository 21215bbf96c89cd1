import { resolve } from 'node:path'
import type { Command } from 'commander'
import { formatDollars } from '../ledger/money.ts'
import { checkedBody, counted, newestText, rowsText } from './backup.ts'
import type { Io } from './io.ts'
import { formatMoney } from './output/units.ts'
import type { RestoredBackup } from './serve-types.ts'
import { openSession } from './session.ts'

/** `headrace restore`. */
export function register(program: Command, io: Io): void {
  program
    .command('restore')
    .summary('put a backup in place of the books')
    .description(
      'Puts a backup in place of the database of the home (--home), which it creates if there is none. The server has to be stopped. The backup is checked first; what was there stays beside it.',
    )
    .argument('<file>', 'what "headrace backup" has written: a file, or a folder made with --whole')
    .addHelpText(
      'after',
      `
Examples:
  npx headrace restore /backup/headrace-2026-11-26.db
  npx headrace restore /backup/2026-11-26 --home /srv/headrace`,
    )
    .action(async (file: string, _: object, command: Command) => {
      const session = openSession(io, command)
      const { config } = session.configuration()
      const { restore } = await io.compose()
      const restored = restore(config, resolve(io.cwd, file))
      const { replacedPath, loss, pepper } = restored
      const body = {
        home: config.home,
        ...checkedBody(restored),
        replaced: replacedPath,
        lost:
          loss === null
            ? null
            : {
                settlements: loss.settlements,
                charge: formatDollars(loss.chargeNanodollars),
                transfers: loss.transfers,
              },
        pepper,
      }
      session.show(body, () => {
        const { green, yellow } = session.style
        const warning = PEPPER_WARNINGS[pepper]
        return [
          `${green('Restored')} ${config.home}: ${rowsText(restored)}. The books balance.`,
          newestText(restored),
          replacedPath === null ? 'There was no database before.' : `What was there is now ${replacedPath}.`,
          ...(replacedPath === null ? [] : [lossText(loss)]),
          ...(warning === '' ? [] : [yellow(warning)]),
          '',
        ].join('\n')
      })
    })
}

function lossText(loss: RestoredBackup['loss']): string {
  if (loss === null)
    return 'It could not be compared with the backup: what settled after the backup is not in the books any more.'
  if (loss.settlements === 0 && loss.transfers === 0) return 'Nothing in it is missing from the backup.'
  const charge = formatMoney(formatDollars(loss.chargeNanodollars))
  return `Lost, as it came after the backup: ${counted(loss.settlements, 'settlement')} of ${charge} in all, ${counted(loss.transfers, 'transfer')} of credit.`
}

const PEPPER_WARNINGS: Readonly<Record<RestoredBackup['pepper'], string>> = {
  restored: '',
  kept: 'The backup has no pepper; that of the home stays. If it is not the one of the backup’s home, no API key works.',
  none: 'Neither the backup nor the home has a pepper: no API key of it will work. Copy the file "pepper" of the old home here first.',
}
