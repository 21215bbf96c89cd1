import { randomFillSync } from 'node:crypto'

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const POOL_BYTES = 4096

/**
 * Makes ids of a prefix and 26 characters of Crockford's base 32: 48 bits of the time in milliseconds, so that ids sort by
 * time, then 80 random bits (the layout of ULID).
 */
export function createIdMaker(
  nowMs: () => number,
  fill: (bytes: Uint8Array) => void = bytes => void randomFillSync(bytes),
): (prefix: string) => string {
  // Random bytes are drawn in bulk: one draw an id costs more than all the rest.
  const pool = new Uint8Array(POOL_BYTES)
  let used = POOL_BYTES
  let lastMs = -1
  let timePart = ''
  return prefix => {
    const now = nowMs()
    if (now !== lastMs) {
      lastMs = now
      timePart = encodeTime(now)
    }
    if (used + 16 > POOL_BYTES) {
      fill(pool)
      used = 0
    }
    let random = ''
    for (let i = 0; i < 16; i++) random += ALPHABET[(pool[used + i] as number) & 31]
    used += 16
    return prefix + timePart + random
  }
}

/** How ids of a prefix begin that were made at a time: no earlier one sorts behind it. */
export function idStart(prefix: string, atMs: number): string {
  return prefix + encodeTime(Math.max(0, Math.floor(atMs)))
}

function encodeTime(ms: number): string {
  let rest = ms
  let text = ''
  for (let i = 0; i < 10; i++) {
    text = ALPHABET[rest % 32] + text
    rest = Math.floor(rest / 32)
  }
  return text
}
