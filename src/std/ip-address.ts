import { isIPv6 } from 'node:net'

/** An IPv6 literal as its eight groups of 16 bits, a zone (`%eth0`) left out; undefined for what is none. */
export function ipv6Groups(literal: string): readonly number[] | undefined {
  const [address = ''] = literal.split('%', 1)
  if (!isIPv6(address)) return undefined
  const [head = '', tail] = address.split('::')
  const before = groupsOf(head)
  if (tail === undefined) return before
  const after = groupsOf(tail)
  return [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after]
}

function groupsOf(text: string): number[] {
  if (text === '') return []
  return text.split(':').flatMap(group => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)]
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number)
    return [a * 256 + b, c * 256 + d]
  })
}

/** The IPv4 address that two groups hold. */
export function ipv4OfGroups(high: number, low: number): string {
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}
