import { lookup as dnsLookup } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'

/** Addresses that are inside somebody's network, or special: IANA's special-purpose registries. */
const INSIDE = new BlockList()
for (const [net, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const) {
  INSIDE.addSubnet(net, prefix, 'ipv4')
}
for (const [net, prefix] of [
  ['::', 127],
  ['64:ff9b:1::', 48],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
] as const) {
  INSIDE.addSubnet(net, prefix, 'ipv6')
}

/** An address was refused before anything was sent to it. */
export class EgressRefused extends Error {
  override name = 'EgressRefused'
  readonly code = 'EGRESS_REFUSED'
}

/** Whether an address literal lies inside: loopback, private, link-local, carrier-grade, multicast or reserved. */
export function isInsideAddress(address: string): boolean {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (mapped !== undefined) return INSIDE.check(mapped, 'ipv4')
  const family = isIP(address)
  return family !== 0 && INSIDE.check(address, family === 6 ? 'ipv6' : 'ipv4')
}

/**
 * The guard for a URL's host given as an address literal, for which no name is looked up.
 *
 * @throws EgressRefused for an inside address.
 */
export function refuseInsideLiteral(hostname: string): void {
  const literal = hostname.replace(/^\[|\]$/g, '')
  if (isInsideAddress(literal)) throw new EgressRefused(`${hostname} is an inside address; allowPrivate permits it`)
}

/**
 * A `lookup` for sockets that refuses names which resolve to an inside address. It judges the very addresses that the socket
 * will connect to, so a name that resolves differently the second time (DNS rebinding) gains nothing.
 */
export const outsideLookup: LookupFunction = (hostname, options, callback) => {
  dnsLookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return callback(error, '', 0)
    const inside = addresses.find(({ address }) => isInsideAddress(address))
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
