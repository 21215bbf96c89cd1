/** What the program's exit code says; documented in the help. */
export const EXIT = Object.freeze({
  ok: 0,
  /** It did not work, or something is broken. */
  failed: 1,
  /** The command line or the configuration is wrong. */
  usage: 2,
  /** The server cannot be reached, or another process uses the home or the port. */
  unreachable: 3,
  /** Ctrl-C, as shells count it: 128 + SIGINT. */
  interrupted: 130,
})

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** An error to be told in two lines: what was wrong, and what to do. */
export class CliError extends Error {
  override name = 'CliError'
  /** One sentence on what to do; empty when the message says it. */
  readonly cure: string
  readonly exitCode: ExitCode

  constructor(message: string, options: { cure?: string; exitCode?: ExitCode; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.cure = options.cure ?? ''
    this.exitCode = options.exitCode ?? EXIT.failed
  }
}
