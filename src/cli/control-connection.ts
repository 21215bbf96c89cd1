import { existsSync, readFileSync, statSync } from 'node:fs'
import { controlSocketPath, operatorTokenPath } from '../config/home-paths.ts'
import type { Config } from '../config/schema.ts'
import { CliError, EXIT } from './cli-error.ts'
import type { ControlMode } from './io.ts'
import type { Composition } from './serve-types.ts'

/** A way to call the control plane of a home. */
export interface ControlChannel {
  /** `server`: of the server that runs on the home. `offline`: in this process, which holds the home's lock until `close`. */
  readonly via: 'server' | 'offline'
  send(request: Request): Promise<Response>
  /** What authorises requests; read when asked, since opening a new home creates it. */
  operatorToken(): string
  close(): Promise<void>
}

/** Longest wait for an answer over the socket; verifying a large ledger takes a while. */
const ANSWER_TIMEOUT_MS = 10 * 60_000

/**
 * The control plane of the server that runs on the home, found by its socket; else the home's store, opened here under
 * the home's lock. Throws CliError with exit code 3 when neither can be had.
 */
export async function openControlChannel(
  config: Config,
  mode: ControlMode,
  compose: () => Promise<Pick<Composition, 'openOffline'>>,
): Promise<ControlChannel> {
  const online = await connectSocket(config.home)
  if (online !== null) return online
  if (mode === 'server') {
    throw new CliError(`No server runs on the home ${config.home}.`, {
      cure: 'Start one: npx headrace serve',
      exitCode: EXIT.unreachable,
    })
  }
  if (mode === 'any' && !existsSync(config.home)) {
    throw new CliError(`There is no Headrace home at ${config.home}.`, {
      cure: 'Create it by starting the server: npx headrace serve. Or name another home with --home.',
    })
  }
  const { openOffline } = await compose()
  const offline = await openOffline(config)
  return {
    via: 'offline',
    send: request => offline.send(request),
    operatorToken: () => readOperatorToken(config.home),
    close: () => offline.close(),
  }
}

/** Null when nobody listens. */
async function connectSocket(home: string): Promise<ControlChannel | null> {
  const socketPath = controlSocketPath(home)
  if (process.platform !== 'win32' && !existsSync(socketPath)) return null
  // Loaded late: it takes longer to load than all else that a command needs.
  const { Agent, request: send } = await import('undici')
  const agent = new Agent({
    connect: { socketPath },
    headersTimeout: ANSWER_TIMEOUT_MS,
    bodyTimeout: ANSWER_TIMEOUT_MS,
  })
  const channel: ControlChannel = {
    via: 'server',
    async send(request) {
      const url = new URL(request.url)
      const body = request.body === null ? undefined : Buffer.from(await request.arrayBuffer())
      const headers = Object.fromEntries(request.headers)
      const answer = await send(`http://localhost${url.pathname}${url.search}`, {
        dispatcher: agent,
        method: request.method as 'GET',
        headers,
        body,
      })
      const bytes = await answer.body.arrayBuffer()
      const answerHeaders = new Headers()
      for (const [name, value] of Object.entries(answer.headers)) answerHeaders.set(name, String(value))
      return new Response(bytes.byteLength === 0 ? null : bytes, { status: answer.statusCode, headers: answerHeaders })
    },
    operatorToken: () => readOperatorToken(home),
    close: () => agent.close(),
  }
  try {
    // Any answer will do, a refusal for want of the token too: it shows that somebody listens.
    await channel.send(new Request('http://localhost/control/v1/status'))
    return channel
  } catch (error) {
    await agent.destroy()
    // A server that was killed leaves its socket file behind, on which nobody listens.
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ECONNREFUSED' || code === 'ENOENT') return null
    if (error instanceof CliError) throw error
    throw new CliError(
      `The server on the home ${home} cannot be reached over ${socketPath}: ${(error as Error).message}`,
      {
        cure:
          code === 'EACCES'
            ? 'Run this as the user that runs the server.'
            : 'Look at the log of the server, or restart it.',
        exitCode: EXIT.unreachable,
        cause: error,
      },
    )
  }
}

function readOperatorToken(home: string): string {
  const path = operatorTokenPath(home)
  try {
    if (process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0) {
      throw new CliError(`${path} may be read by others.`, { cure: `Run: chmod 600 ${path}` })
    }
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    if (error instanceof CliError) throw error
    throw new CliError(`The operator token cannot be read: ${(error as Error).message}`, {
      cure: 'Run this as the user that runs the server.',
      exitCode: EXIT.unreachable,
      cause: error,
    })
  }
}
