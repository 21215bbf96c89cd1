import { CommanderError } from 'commander'
import { ConfigError, issueLine } from '../config/config-error.ts'
import { CliError, EXIT, type ExitCode } from './cli-error.ts'
import { printable, type Style } from './output/style.ts'

/** An error as told to people and, with --json, to programs. */
export interface ErrorReport {
  readonly message: string
  readonly cure: string
  readonly exitCode: ExitCode
  /** The row of the table of errors, when the control plane answered one. */
  readonly code: string | null
}

/** The control plane's messages say what to do in its own terms; these are commands for the same. */
const CONTROL_CURES: Readonly<Record<string, string>> = {
  model_not_found: 'See: npx headrace models',
  request_not_found: 'See: npx headrace usage',
  invalid_operator_token: 'Restart the server: the operator token of the home was changed while it ran.',
}

/** What any error of a subcommand means to the one who typed it. */
export function reportOf(error: unknown, helpCommand: string): ErrorReport {
  const report = (message: string, cure: string, exitCode: ExitCode, code: string | null = null) => ({
    message,
    cure,
    exitCode,
    code,
  })
  if (error instanceof CliError) return report(error.message, error.cure, error.exitCode)
  if (error instanceof ConfigError) {
    return report(
      error.issues.map(issueLine).join('\n'),
      'Correct the configuration; "npx headrace config check" looks at it again.',
      EXIT.usage,
    )
  }
  if (error instanceof CommanderError) {
    return report(error.message.replace(/^error: /, ''), `See: npx headrace ${helpCommand}--help`, EXIT.usage)
  }
  if (!(error instanceof Error)) return report(String(error), '', EXIT.failed)
  // Told apart by name, so that a command that never needs them does not load the folders that declare them.
  if (error.name === 'HomeLockedError') return report(error.message, '', EXIT.unreachable)
  if (error.name === 'ControlError') {
    const code = (error as { code?: string }).code ?? ''
    return report(error.message, CONTROL_CURES[code] ?? '', EXIT.failed, code)
  }
  if (error.name === 'ProofError') return report(error.message, (error as { cure?: string }).cure ?? '', EXIT.failed)
  if (error.name === 'AbortError') return report('Interrupted.', '', EXIT.interrupted)
  return report(error.message, '', EXIT.failed)
}

/** `headrace: what was wrong`, and under it what to do. */
export function renderError(report: Pick<ErrorReport, 'message' | 'cure'>, style: Style): string {
  const [first = '', ...rest] = report.message.split('\n').map(printable)
  const cure = report.cure === '' || report.message.includes(report.cure) ? [] : [`  ${report.cure}`]
  return `${[`${style.red('headrace:')} ${first}`, ...rest.map(line => `  ${line}`), ...cure].join('\n')}\n`
}
