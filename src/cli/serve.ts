import { type Command, Option } from 'commander'
import type { Config } from '../config/schema.ts'
import { renderBanner, type StartReport } from './banner.ts'
import { CliError, EXIT, type ExitCode } from './cli-error.ts'
import { setExitCode } from './exit-code.ts'
import type { Io } from './io.ts'
import { createProgress } from './output/progress.ts'
import { printable } from './output/style.ts'
import type { RunningServer } from './serve-types.ts'
import { openSession, type Session } from './session.ts'
import { type StartTimes, type StartView, watchStart } from './start-watch.ts'
import { versionText } from './version-text.ts'

/**
 * One Ctrl-C often arrives as several signals: the terminal tells every process of the group, and npm and our own
 * launcher pass it on. Signals this close together count as one.
 */
const SAME_SIGNAL_MS = 500

/** `headrace serve`. */
export function register(program: Command, io: Io): void {
  program
    .command('serve')
    .summary('start the server')
    .description(
      'Starts the server. The first start of a home creates an org with some credit and an API key, which is shown once, and fetches the default model. ' +
        'What it says goes to standard output, the log to standard error. Ctrl-C lets running requests end, up to server.drainTimeoutMs; a second one stops at once.',
    )
    .addOption(new Option('--host <address>', 'address to listen on (HEADRACE_HOST; default 127.0.0.1)'))
    .addOption(new Option('--port <port>', 'port to listen on (HEADRACE_PORT; default 8080)'))
    .option('--quiet', 'say nothing but the API key of a first start')
    .addHelpText(
      'after',
      `
Examples:
  npx headrace serve
  npx headrace serve --port 9000 --home ./data
  npx headrace serve --set models.default=null       start without a model`,
    )
    .action(async (flags: { quiet?: boolean }, command: Command) => {
      const session = openSession(io, command)
      const { config } = session.configuration()
      setExitCode(command, await serve(session, config, flags.quiet === true))
    })
}

async function serve(session: Session, config: Config, quiet: boolean): Promise<ExitCode> {
  const { io } = session
  const talk = !quiet && !session.json
  const view = talk ? startView(session) : null
  const watch = watchStart(io.monotonicMs, view)
  const stopping = stopOnSignal(session, talk)
  try {
    const { serve: start } = await io.compose()
    const server = await start(config, { signal: stopping.startSignal, onProgress: event => watch.onEvent(event) })
    if (stopping.startSignal.aborted) {
      await server.stop()
      return EXIT.interrupted
    }
    stopping.running(server)
    const times = watch.finish()
    view?.clear()
    announce(session, config, server, times, quiet)
    await server.closed
    if (talk) session.print('Stopped.\n')
    return stopping.forced() ? EXIT.interrupted : EXIT.ok
  } catch (error) {
    view?.progress.end()
    view?.clear()
    if (stopping.startSignal.aborted) return EXIT.interrupted
    throw portError(error, config)
  } finally {
    stopping.release()
  }
}

function announce(session: Session, config: Config, server: RunningServer, times: StartTimes, quiet: boolean): void {
  const ready = server.models.filter(model => model.state === 'ready')
  const offered = ready.find(model => model.id === config.models.default) ?? ready[0]
  const report: StartReport = {
    version: versionText(),
    home: config.home,
    urls: server.urls,
    firstRun: server.firstRun,
    models: server.models,
    exampleModel: offered?.id ?? null,
    ...times,
  }
  if (session.json) session.printJson(report)
  else if (!quiet) session.print(renderBanner(report, session.style))
  // Nobody could learn the key later.
  else if (server.firstRun !== null) session.print(`${server.firstRun.secret}\n`)
}

/** On a terminal one line tells what is being done, and goes away; elsewhere only downloads and notes are told. */
function startView(session: Session): StartView & { clear(): void } {
  const { io, style } = session
  const isTerminal = io.stdout.isTTY === true
  const columns = io.stdout.columns || 80
  const clear = () => {
    if (isTerminal) session.print('\r\x1b[K')
  }
  return {
    clear,
    phase(text) {
      if (isTerminal) session.print(`\r\x1b[K${style.dim(printable(text).slice(0, columns - 1))}`)
    },
    note(text) {
      clear()
      session.print(`${style.yellow('note:')} ${text.split('\n').map(printable).join('\n      ')}\n`)
    },
    progress: createProgress({ write: session.print, isTerminal, columns, monotonicMs: io.monotonicMs, style }),
  }
}

interface Stopping {
  /** Aborted when the operator gave up before the server ran. */
  readonly startSignal: AbortSignal
  /** From now on a signal stops this server. */
  running(server: RunningServer): void
  /** Whether the operator did not wait for running requests. */
  forced(): boolean
  release(): void
}

/** First signal: stop starting, or drain. Second: stop at once. Third: the process dies the plain way. */
function stopOnSignal(session: Session, talk: boolean): Stopping {
  const { io } = session
  const abort = new AbortController()
  let server: RunningServer | null = null
  let signals = 0
  let lastMs = Number.NEGATIVE_INFINITY
  const release = io.onSignal(() => {
    const nowMs = io.monotonicMs()
    const same = nowMs - lastMs < SAME_SIGNAL_MS
    lastMs = nowMs
    if (same) return
    signals++
    if (signals >= 2) release()
    if (server === null) {
      abort.abort()
      if (talk) session.print('\nStopping. Once more kills it.\n')
      return
    }
    if (talk && signals === 1)
      session.print('\nStopping once running requests have ended. Ctrl-C again stops at once.\n')
    // `closed` tells how it went, to the one who waits for it.
    server.stop().catch(() => {})
  })
  return {
    startSignal: abort.signal,
    running: started => {
      server = started
    },
    forced: () => server !== null && signals >= 2,
    release,
  }
}

/** The commonest reason for not starting deserves a cure. */
function portError(error: unknown, config: Config): unknown {
  const { code } = error as NodeJS.ErrnoException
  const address = `${config.server.host}:${config.server.port}`
  if (code === 'EADDRINUSE') {
    return new CliError(`Another process listens on ${address}.`, {
      cure: 'Choose another port with --port, or find the process with: npx headrace doctor',
      exitCode: EXIT.unreachable,
      cause: error,
    })
  }
  if (code === 'EACCES' && config.server.port < 1024) {
    return new CliError(`The system does not let this user listen on ${address}.`, {
      cure: 'Choose a port from 1024 on with --port.',
      cause: error,
    })
  }
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    return new CliError(`This machine has no address ${config.server.host}.`, {
      cure: 'Set server.host to an address of this machine, such as 127.0.0.1 or 0.0.0.0.',
      exitCode: EXIT.usage,
      cause: error,
    })
  }
  return error
}
