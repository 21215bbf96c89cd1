import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'

/** Tells who a request comes from: the peer, or whom a trusted proxy names. */
export type ClientAddress = (request: IncomingMessage) => string

/**
 * Reads `X-Forwarded-For` from right to left as far as the addresses are trusted proxies; the first that is not is the client.
 * What a client writes into the header itself stands further left and is not believed.
 *
 * @param trustedProxies addresses or CIDR ranges.
 */
export function clientAddressReader(trustedProxies: readonly string[]): ClientAddress {
  const trusted = new BlockList()
  for (const entry of trustedProxies) {
    const [address = '', prefix] = entry.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    if (prefix === undefined) trusted.addAddress(address, family)
    else trusted.addSubnet(address, Number(prefix), family)
  }
  const isTrusted = (address: string) => {
    const family = isIP(address)
    return family !== 0 && trusted.check(address, family === 6 ? 'ipv6' : 'ipv4')
  }
  return request => {
    let address = plain(request.socket.remoteAddress ?? '')
    const forwarded = request.headers['x-forwarded-for']
    if (typeof forwarded !== 'string') return address
    const hops = forwarded.split(',').map(hop => plain(hop.trim()))
    while (isTrusted(address) && hops.length > 0) address = hops.pop() as string
    return address
  }
}

// Node writes an IPv4 peer of a dual-stack socket as ::ffff:1.2.3.4.
function plain(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '')
}
