import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { createServer } from 'node:net'

/** Null when the address is free; else the system's error code, such as EADDRINUSE. */
export function portTrouble(host: string, port: number): Promise<string | null> {
  return new Promise(resolve => {
    const probe = createServer()
    probe.once('error', error => resolve((error as NodeJS.ErrnoException).code ?? 'unknown'))
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve(null)))
  })
}

/** Which process listens on a port, as Linux tells it for processes of this user; null when it cannot be told. */
export function portHolder(port: number, procPath = '/proc'): { pid: number; command: string } | null {
  try {
    const inodes = new Set([
      ...listeningInodes(`${procPath}/net/tcp`, port),
      ...listeningInodes(`${procPath}/net/tcp6`, port),
    ])
    if (inodes.size === 0) return null
    for (const name of readdirSync(procPath)) {
      if (/^\d+$/.test(name) && holdsOne(`${procPath}/${name}/fd`, inodes)) {
        const command = readFileSync(`${procPath}/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
        return { pid: Number(name), command }
      }
    }
  } catch {
    // Not Linux, or not allowed to look.
  }
  return null
}

/** Lines of proc_pid_net(5): `sl local_address rem_address st ... inode`; state 0A listens; the port is hexadecimal. */
function listeningInodes(path: string, port: number): string[] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    return []
  }
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  return text.split('\n').flatMap(line => {
    const fields = line.trim().split(/\s+/)
    return fields[1]?.endsWith(wanted) && fields[3] === '0A' && fields[9] !== undefined ? [fields[9]] : []
  })
}

function holdsOne(folder: string, inodes: ReadonlySet<string>): boolean {
  try {
    return readdirSync(folder).some(descriptor => {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`${folder}/${descriptor}`))?.[1]
      return inode !== undefined && inodes.has(inode)
    })
  } catch {
    // Of another user, or gone meanwhile.
    return false
  }
}
