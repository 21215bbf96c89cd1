import { lookup as dnsLookup, type LookupAddress } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { ipv4OfGroups, ipv6Groups } from './ip-address.ts'

/** IPv4 addresses that are inside somebody's network, or special: IANA's special-purpose registry. */
const INSIDE_V4 = new BlockList()
for (const [net, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const) {
  INSIDE_V4.addSubnet(net, prefix, 'ipv4')
}

/** An address was refused before anything was sent to it. */
export class EgressRefused extends Error {
  override name = 'EgressRefused'
  readonly code = 'EGRESS_REFUSED'
}

/** Says of an address literal whether it lies inside. */
export type AddressJudge = (address: string) => boolean

/**
 * Whether an address literal lies inside: loopback, private, link-local, carrier-grade, multicast, documentation or reserved. An IPv6
 * address that stands for an IPv4 one (mapped, compatible, translated, NAT64, 6to4) is judged by that. False for what is no address.
 */
export const isInsideAddress: AddressJudge = address => {
  const groups = ipv6Groups(address)
  if (groups !== undefined) return isInsideV6(groups)
  return isIP(address) === 4 && INSIDE_V4.check(address, 'ipv4')
}

function isInsideV6(groups: readonly number[]): boolean {
  const [first = 0, second = 0, third = 0, fourth = 0, fifth = 0, sixth = 0, seventh = 0, eighth = 0] = groups
  const within = (high: number, low: number) => INSIDE_V4.check(ipv4OfGroups(high, low), 'ipv4')
  if (first === 0 && second === 0 && third === 0 && fourth === 0) {
    const carries =
      (fifth === 0 && (sixth === 0 || sixth === 0xffff)) || // compatible, mapped
      (fifth === 0xffff && sixth === 0) // translated (RFC 2765)
    return !carries || within(seventh, eighth)
  }
  // NAT64 (RFC 6052); its local form, 64:ff9b:1::/48, is somebody's own.
  if (first === 0x64 && second === 0xff9b) {
    const wellKnown = third === 0 && fourth === 0 && fifth === 0 && sixth === 0
    return !wellKnown || within(seventh, eighth)
  }
  if (first === 0x2002) return within(second, third)
  // Protocol assignments, Teredo among them, and documentation.
  if (first === 0x2001 && (second < 0x200 || second === 0xdb8)) return true
  if (first === 0x3fff && second < 0x1000) return true
  // Of all else only 2000::/3 was ever given to anybody.
  return first >> 13 !== 1
}

/**
 * The guard for a URL's host given as an address literal, for which no name is looked up.
 *
 * @throws EgressRefused for an inside address.
 */
export function refuseInsideLiteral(hostname: string, isInside: AddressJudge = isInsideAddress): void {
  const literal = hostname.replace(/^\[|\]$/g, '')
  if (isInside(literal)) throw new EgressRefused(`${hostname} is an inside address; allowPrivate permits it`)
}

/** Finds the addresses of a name. */
export type Resolver = (
  hostname: string,
  options: Parameters<LookupFunction>[1],
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void

const SYSTEM_RESOLVER: Resolver = (hostname, options, callback) =>
  dnsLookup(hostname, { ...options, all: true }, callback)

/**
 * A `lookup` for sockets that refuses names which resolve to an inside address. It judges the very addresses that the socket
 * will connect to, so a name that resolves differently the second time (DNS rebinding) gains nothing.
 */
export function guardedLookup(isInside: AddressJudge, resolve: Resolver = SYSTEM_RESOLVER): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, options, (error, addresses) => {
      if (error !== null) return callback(error, '', 0)
      const inside = addresses.find(({ address }) => isInside(address))
      if (inside !== undefined) {
        return callback(
          new EgressRefused(`${hostname} resolves to the inside address ${inside.address}; allowPrivate permits it`),
          '',
          0,
        )
      }
      if (options.all === true) return callback(null, addresses)
      const [first] = addresses
      if (first === undefined) return callback(new EgressRefused(`${hostname} has no address`), '', 0)
      callback(null, first.address, first.family)
    })
  }
}

/** `guardedLookup` for the addresses that everybody has inside. */
export const outsideLookup: LookupFunction = guardedLookup(isInsideAddress)
