import { createHmac } from 'node:crypto'
import { crc32 } from 'node:zlib'

/** What every API key begins with, so that people and secret scanners know one when they see it. */
export const API_KEY_PREFIX = 'sk-hr-'
/** Base62 digits that carry the randomness: 62^27 > 2^160. */
export const API_KEY_BODY_LENGTH = 27
/** Base62 digits that carry the CRC-32 of the body: 62^6 > 2^32. */
export const API_KEY_CHECKSUM_LENGTH = 6

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const WELL_FORMED = new RegExp(`^${API_KEY_PREFIX}[0-9A-Za-z]{${API_KEY_BODY_LENGTH + API_KEY_CHECKSUM_LENGTH}}$`)

/** `value` (0 or more) in base 62, padded with zeros on the left to `length` digits, which must be enough. */
export function encodeBase62(value: bigint, length: number): string {
  let digits = ''
  for (let rest = value; rest > 0n; rest /= 62n) digits = BASE62[Number(rest % 62n)] + digits
  return digits.padStart(length, '0')
}

/** The checksum of a key's body: CRC-32 (the one of zlib and gzip) of its ASCII bytes, in six base62 digits. */
export function apiKeyChecksum(body: string): string {
  // Plain numbers: this runs for every request, and 32 bits need no bigint.
  let digits = ''
  for (let rest = crc32(body); digits.length < API_KEY_CHECKSUM_LENGTH; rest = Math.floor(rest / 62)) {
    digits = BASE62[rest % 62] + digits
  }
  return digits
}

/**
 * Whether `secret` can be one of our keys at all: prefix, length, alphabet and checksum. Garbage and typing errors are
 * refused by this without a keyed hash; any single wrong character is caught (CRC-32 finds every burst of 32 bits).
 */
export function isWellFormed(secret: string): boolean {
  if (!WELL_FORMED.test(secret)) return false
  const checksumAt = API_KEY_PREFIX.length + API_KEY_BODY_LENGTH
  return apiKeyChecksum(secret.slice(API_KEY_PREFIX.length, checksumAt)) === secret.slice(checksumAt)
}

/**
 * What is kept of a key: the hex of HMAC-SHA-256(pepper, secret). A copy of the database without the pepper cannot be
 * used to test guesses. Looking the hash up in a map leaks nothing useful through time, as nobody can steer its bytes
 * without the pepper.
 */
export function hashSecret(pepper: Uint8Array, secret: string): string {
  return createHmac('sha256', pepper).update(secret).digest('hex')
}
