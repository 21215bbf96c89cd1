import { Command, CommanderError } from 'commander'
import { nearest } from '../config/nearest.ts'
import { CliError, EXIT } from './cli-error.ts'
import { COMMANDS, type CommandEntry } from './commands.ts'
import { exitCodeOf } from './exit-code.ts'
import type { Io } from './io.ts'
import { createStyle, wantsColour } from './output/style.ts'
import { renderError, reportOf } from './report-error.ts'
import { versionText } from './version-text.ts'

const VALUE_FLAGS = new Set(['--home', '--config', '--set'])

const EXIT_CODES = `
Exit codes:
  0  it worked
  1  it failed, or something is broken
  2  the command line or the configuration is wrong
  3  the server cannot be reached, or another process uses the home or the port
  130  interrupted

Examples:
  npx headrace serve                    start; the first start prints an API key and a curl line
  npx headrace chat                     talk to the model
  npx headrace usage --group-by model   what was used, and what it cost
  npx headrace doctor                   find out what is wrong`

/** Runs the command line and gives the exit code. Never throws. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const [first = null, second = null] = words(argv)
  // "help keys" shows what "keys --help" does.
  const name = first === 'help' ? second : first
  const entry = COMMANDS.find(each => each.name === name)
  try {
    const program = await buildProgram(io, entry ?? null)
    if (name === null) {
      if (argv.length === 0) {
        program.outputHelp()
        return EXIT.ok
      }
    } else if (entry === undefined) {
      const near = nearest(
        name,
        COMMANDS.map(each => each.name),
      )
      throw new CliError(`There is no command "${name}"${near === null ? '' : `; did you mean ${near}?`}`, {
        cure: 'See: npx headrace --help',
        exitCode: EXIT.usage,
      })
    }
    const codes: number[] = []
    program.hook('postAction', (_, action) => void codes.push(exitCodeOf(action)))
    await program.parseAsync([...argv], { from: 'user' })
    return codes[0] ?? EXIT.ok
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok
    // A group without a subcommand has shown its help already.
    if (error instanceof CommanderError && error.code === 'commander.help') return EXIT.usage
    const report = reportOf(error, entry === undefined ? '' : `${entry.name} `)
    if (argv.includes('--json')) {
      const { message, cure, code } = report
      io.stderr.write(`${JSON.stringify({ error: { message, cure, code } })}\n`)
    } else {
      const colour = wantsColour(io.stderr.isTTY === true, io.env, argv.includes('--no-color') ? false : undefined)
      io.stderr.write(renderError(report, createStyle(colour)))
    }
    if ((io.env.HEADRACE_DEBUG ?? '') !== '') io.stderr.write(`${(error as Error).stack ?? error}\n`)
    return report.exitCode
  }
}

/** The program with one subcommand in full, and the names of the others. */
export async function buildProgram(io: Io, wanted: CommandEntry | null): Promise<Command> {
  const program = new Command('headrace')
  program
    .description('An inference cloud that anyone can run.')
    .usage('<command> [options]')
    .version(versionText(), '-V, --version', 'tell the version')
    .option('--home <folder>', 'folder of this installation (HEADRACE_HOME; default ~/.headrace)')
    .option('--config <file>', 'configuration file (HEADRACE_CONFIG; default config.yaml in the home)')
    .option(
      '--set <setting=value>',
      'change one setting, such as server.port=8081; repeatable',
      (value: string, before: string[] = []) => [...before, value],
    )
    .option('--json', 'print JSON')
    .option('--no-color', 'no colours (as NO_COLOR)')
    .helpOption('-h, --help', 'show help')
    .addHelpText('after', EXIT_CODES)
    .exitOverride()
    .configureHelp({ showGlobalOptions: true, helpWidth: Math.min(io.stdout.columns || 100, 100) })
    .configureOutput({
      writeOut: text => void io.stdout.write(text),
      writeErr: text => void io.stderr.write(text),
      // Errors are told by `run`, all in one form.
      outputError: () => {},
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
  const module = wanted === null ? null : await wanted.load()
  for (const entry of COMMANDS) {
    if (entry === wanted && module !== null) module.register(program, io)
    else program.command(entry.name).summary(entry.summary).description(entry.summary)
  }
  return program
}

/** The words that are neither flags nor values of the global ones; the first is the subcommand. */
function words(argv: readonly string[]): string[] {
  return argv.filter((word, index) => !word.startsWith('-') && !VALUE_FLAGS.has(argv[index - 1] ?? ''))
}
