import { type AddressJudge, EgressRefused, isInsideAddress, refuseInsideLiteral } from '../std/egress.ts'
import { OutsideFailure } from './outside-failure.ts'

/** Where requests for clients may go, and how much of an answer is taken; the section `egress` of the configuration. */
export interface EgressRules {
  /** Inside addresses are refused, names that resolve to one included, unless this is on. */
  readonly allowPrivate: boolean
  /** Hosts that may be asked, `.example.com` for all below it; none: any. */
  readonly allowedHosts: readonly string[]
  readonly ports: 'all' | readonly number[]
  /** Longest answer. */
  readonly bytesMax: number
  /** Longest time for all of it, redirects and body included. */
  readonly timeoutMs: number
}

/** Longest URL that is looked at. */
const URL_CHARS_MAX = 8_192

/**
 * Checks a URL that a client supplied. Whatever way an address is written, decimal, octal, hexadecimal, the URL parser makes one of it, and
 * that is judged. Names are judged later, by the addresses that are connected to.
 *
 * @throws OutsideFailure `refused`.
 */
export function checkOutsideUrl(text: string, rules: EgressRules, isInside: AddressJudge = isInsideAddress): URL {
  const url = text.length <= URL_CHARS_MAX ? URL.parse(text) : null
  if (url === null) throw refused('This is no URL that can be fetched.')
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw refused('A URL has to begin with http or https.')
  const { hostname } = url
  if (url.username !== '' || url.password !== '') throw refused(`The URL at ${hostname} may not carry credentials.`)
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
  if (rules.ports !== 'all' && !rules.ports.includes(port))
    throw refused(
      `Port ${port} of ${hostname} is not one that may be asked; the operator allows ${rules.ports.join(', ')}.`,
    )
  if (!isAllowedHost(hostname, rules.allowedHosts))
    throw refused(`${hostname} is not one of the hosts that the operator allows.`)
  if (!rules.allowPrivate) {
    try {
      refuseInsideLiteral(hostname, isInside)
    } catch (error) {
      if (!(error instanceof EgressRefused)) throw error
      throw refused(notPublic(hostname), error)
    }
  }
  return url
}

/** What is said of a host that lies inside, or resolves to what does. */
export function notPublic(hostname: string): string {
  return `${hostname} is not a public address.`
}

function isAllowedHost(hostname: string, allowed: readonly string[]): boolean {
  if (allowed.length === 0) return true
  const host = hostname.toLowerCase().replace(/\.$/, '')
  return allowed.some(each => (each.startsWith('.') ? host.endsWith(each.toLowerCase()) : host === each.toLowerCase()))
}

function refused(message: string, cause?: unknown): OutsideFailure {
  return new OutsideFailure('refused', message, cause)
}
