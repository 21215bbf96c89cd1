import { isIP } from 'node:net'

/** Names by which a machine calls itself. */
const LOOPBACK_NAMES = new Set(['localhost', '127.0.0.1', '::1'])

/**
 * Whether a request's Host header names us: loopback names, the address listened on, any address literal (a web page cannot
 * rebind those), or a name the operator listed; `*.example.com` covers every name under it. A browser page that had its own
 * name resolve to this machine (DNS rebinding) sends its own name, and is refused.
 */
export function hostAllowed(header: string | undefined, listenHost: string, allowedHosts: readonly string[]): boolean {
  // HTTP/1.0 clients send none; no browser does that.
  if (header === undefined) return true
  const name = hostName(header)
  if (LOOPBACK_NAMES.has(name) || name === listenHost.toLowerCase() || isIP(name) !== 0) return true
  return allowedHosts.some(allowed => nameMatches(name, allowed.toLowerCase()))
}

/** Whether a page of this origin may call us from a browser. */
export function originAllowed(origin: string, allowed: readonly string[]): boolean {
  return allowed.includes('*') || allowed.includes(origin)
}

function hostName(header: string): string {
  const bracketed = /^\[([^\]]*)\]/.exec(header)
  return (bracketed?.[1] ?? header.replace(/:\d*$/, '')).toLowerCase()
}

function nameMatches(name: string, pattern: string): boolean {
  return pattern.startsWith('*.')
    ? name.endsWith(pattern.slice(1)) && name.length > pattern.length - 1
    : name === pattern
}
