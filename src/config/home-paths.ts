import { createHash } from 'node:crypto'
import { join } from 'node:path'

/** macOS allows 104 bytes for the path of a Unix socket with its final zero; Linux 108. */
const SOCKET_PATH_BYTES_MAX = 103

/** Where the server that runs on a home takes control requests: a Unix socket in the home, a named pipe on Windows. */
export function controlSocketPath(home: string, platform: NodeJS.Platform = process.platform): string {
  if (platform !== 'win32') return join(home, 'control.sock')
  return `\\\\.\\pipe\\headrace-${createHash('sha256').update(home.toLowerCase()).digest('hex').slice(0, 24)}`
}

/** The file with the operator token. */
export function operatorTokenPath(home: string): string {
  return join(home, 'operator-token')
}

/** Why a home cannot hold a control socket, or null. */
export function homeTooLong(home: string, platform: NodeJS.Platform = process.platform): string | null {
  const bytes = Buffer.byteLength(controlSocketPath(home, platform))
  if (platform === 'win32' || bytes <= SOCKET_PATH_BYTES_MAX) return null
  return `is ${home}: with "/control.sock" it has ${bytes} bytes, and the system allows ${SOCKET_PATH_BYTES_MAX} for a socket; choose a shorter path`
}
