import { chmodSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import { UPLOAD_PATHS } from '../api/files.ts'
import { FORM_BYTES_MAX } from '../api/read-upload.ts'
import { controlSocketPath } from '../config/home-paths.ts'
import type { Config } from '../config/schema.ts'
import { clientAddressReader } from '../gateway/client-address.ts'
import type { ListenerSettings } from '../gateway/listener.ts'

/** What the public listener is to keep to. */
export function listenerSettings(config: Config): ListenerSettings {
  const { server } = config
  const uploads = {
    paths: UPLOAD_PATHS,
    fileBytesMax: config.files.bytesMax,
    formBytesMax: FORM_BYTES_MAX,
    timeoutMs: server.requestDeadlineMs,
  }
  const tls =
    server.tls === null ? null : { cert: readFileSync(server.tls.certFile), key: readFileSync(server.tls.keyFile) }
  const clientAddress = clientAddressReader(server.trustedProxies)
  return { ...server, tls, uploads, corsOrigins: server.cors.origins, clientAddress }
}

/** The command line's door: a socket that only the operator's user can open. */
export async function listenPrivately(home: string, listener: RequestListener): Promise<Server> {
  const path = controlSocketPath(home)
  // We hold the home's lock, so a socket that is there was left behind by a server that was killed.
  if (process.platform !== 'win32') rmSync(path, { force: true })
  const server = createServer(listener)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
  if (process.platform !== 'win32') chmodSync(path, 0o600)
  return server
}

/** Closes that door, with whoever stands in it. */
export async function closeSocket(server: Server, home: string): Promise<void> {
  server.closeAllConnections()
  await new Promise<void>(resolve => server.close(() => resolve()))
  if (process.platform !== 'win32') rmSync(controlSocketPath(home), { force: true })
}

/** Where clients on this machine find the public listener. */
export function urlOf(config: Config, port: number): string {
  const { host, tls } = config.server
  const shown = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
  return `${tls === null ? 'http' : 'https'}://${shown.includes(':') ? `[${shown}]` : shown}:${port}`
}
