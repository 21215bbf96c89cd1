import type { Command } from 'commander'
import { EXIT, type ExitCode } from './cli-error.ts'

const exitCodes = new WeakMap<Command, ExitCode>()

/** Says that a command did its work and yet the exit code is not 0, as when a check found something. */
export function setExitCode(command: Command, code: ExitCode): void {
  exitCodes.set(command, code)
}

/** What the command said, else 0. */
export function exitCodeOf(command: Command): ExitCode {
  return exitCodes.get(command) ?? EXIT.ok
}
