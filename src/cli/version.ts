import type { Command } from 'commander'
import { engineVersion } from './doctor/engine-builds.ts'
import type { Io } from './io.ts'
import { renderFields } from './output/table.ts'
import { openSession } from './session.ts'
import { versionText } from './version-text.ts'

/** `headrace version`. */
export function register(program: Command, io: Io): void {
  program
    .command('version')
    .summary('tell versions')
    .description('Tells the versions of Headrace, Node and the embedded engine, as a report of a fault should.')
    .action((_, command: Command) => {
      const session = openSession(io, command)
      const facts = {
        headrace: versionText(),
        node: process.versions.node,
        sqlite: process.versions.sqlite ?? 'none',
        engine: engineVersion() ?? 'none',
        platform: `${process.platform} ${process.arch}`,
      }
      session.show(facts, () => renderFields(Object.entries(facts), session.style))
    })
}
