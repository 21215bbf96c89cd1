import type { Command } from 'commander'
import { stringify } from 'yaml'
import { renderExample, renderReference } from '../config/example.ts'
import { SETTINGS } from '../config/settings.ts'
import type { Io } from './io.ts'
import { openSession } from './session.ts'

/** `headrace config show | check | example | reference`. */
export function register(program: Command, io: Io): void {
  const group = program
    .command('config')
    .summary('show and check the configuration')
    .description('Shows and checks the configuration: defaults, then the file, then the environment, then flags.')
    .addHelpText(
      'after',
      `
Examples:
  npx headrace config show                          what is in force, and where each value was written
  npx headrace config check --config new.yaml       is this file right?
  npx headrace config example > config.yaml         every setting at its default, explained`,
    )

  group
    .command('show')
    .description('Print the configuration in force, and where each value that is no default was written.')
    .action((_, command: Command) => {
      const session = openSession(io, command)
      const { config, file, origins } = session.configuration()
      const written = Object.fromEntries(
        [...SETTINGS.keys()].flatMap(path => (origins.has(path) ? [[path, origins.get(path) as string]] : [])),
      )
      session.show({ file, config, written }, () => {
        const lines = Object.entries(written).map(([path, where]) => session.style.dim(`# ${path}: ${where}`))
        return `${[session.style.dim(file === null ? '# No file was read.' : `# File: ${file}`), ...lines].join('\n')}\n${stringify(config)}`
      })
    })

  group
    .command('check')
    .description('Check the configuration and say what is wrong, with file and line. Exit code 2 when something is.')
    .action((_, command: Command) => {
      const session = openSession(io, command)
      const { file, warnings } = session.configuration()
      session.show(
        { ok: true, file, warnings },
        () => `The configuration is right${file === null ? ' (no file was read)' : `: ${file}`}.\n`,
      )
    })

  group
    .command('example')
    .description('Print a configuration file with every setting at its default, explained.')
    .action(() => void io.stdout.write(renderExample()))

  group
    .command('reference')
    .description('Print the settings as a Markdown page.')
    .action(() => void io.stdout.write(renderReference()))
}
