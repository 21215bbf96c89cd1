import type { ChunkScan } from './chunk-scan.ts'

const REASONING_CONTENT_KEY = Buffer.from(',"reasoning_content":')
const REASONING_KEY = Buffer.from(',"reasoning":')

/**
 * The frame `start..end` with the public model's id in place of the upstream's, and with reasoning under both names that
 * clients look for. Null when it is right as it is, which costs no copy.
 */
export function rewriteFrame(
  bytes: Buffer,
  start: number,
  end: number,
  scan: ChunkScan,
  publicModel: Buffer,
): Buffer | null {
  const parts: Buffer[] = []
  let copied = start
  const replace = (from: number, to: number, ...by: Buffer[]) => {
    parts.push(bytes.subarray(copied, from), ...by)
    copied = to
  }
  if (scan.modelStart >= 0 && !sameBytes(bytes, scan.modelStart, scan.modelEnd, publicModel)) {
    replace(scan.modelStart, scan.modelEnd, publicModel)
  }
  addOtherName(bytes, scan, replace, copied)
  if (copied === start) return null
  parts.push(bytes.subarray(copied, end))
  return Buffer.concat(parts)
}

type Replace = (from: number, to: number, ...by: Buffer[]) => void

function addOtherName(bytes: Buffer, scan: ChunkScan, replace: Replace, copied: number): void {
  const {
    reasoningContentStart: longStart,
    reasoningContentEnd: longEnd,
    reasoningStart: shortStart,
    reasoningEnd: shortEnd,
  } = scan
  if (longStart < 0 && shortStart < 0) return
  const long = isText(bytes, longStart)
  if (long === isText(bytes, shortStart)) return
  const [from, to] = long ? [longStart, longEnd] : [shortStart, shortEnd]
  const [otherStart, otherEnd] = long ? [shortStart, shortEnd] : [longStart, longEnd]
  const value = bytes.subarray(from, to)
  // A model id that stands after the reasoning would need the edits in the other order; nobody writes it so.
  if (Math.min(from, otherStart < 0 ? from : otherStart) < copied) return
  if (otherStart >= 0) replace(otherStart, otherEnd, value)
  else replace(to, to, long ? REASONING_KEY : REASONING_CONTENT_KEY, value)
}

function isText(bytes: Buffer, at: number): boolean {
  return at >= 0 && bytes[at] === 0x22
}

function sameBytes(bytes: Buffer, start: number, end: number, other: Buffer): boolean {
  if (end - start !== other.length) return false
  for (let i = 0; i < other.length; i++) if (bytes[start + i] !== other[i]) return false
  return true
}
