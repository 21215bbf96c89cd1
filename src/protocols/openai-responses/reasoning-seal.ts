import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from 'node:crypto'

/** Seals reasoning for clients that keep their conversations themselves, and opens it when they send it back. */
export interface ReasoningSeal {
  /** An opaque text that holds the reasoning and cannot be altered. Equal texts make equal seals, so that prompt caches hit. */
  seal(text: string): string
  /** The reasoning; null for what no server of ours sealed, undefined for what was sealed with another key or altered. */
  open(sealed: string): string | null | undefined
}

const PREFIX = 'hr1.'
const NONCE_BYTES = 12
const TAG_BYTES = 16

/**
 * A seal of AES-256-GCM under keys derived from a secret of the home. The nonce is a keyed hash of the text: two texts that share one would
 * be a collision of 96 bits, and one text sealed twice tells nothing but that it is the same.
 */
export function createReasoningSeal(secret: Uint8Array): ReasoningSeal {
  const derived = (what: string) => Buffer.from(hkdfSync('sha256', secret, '', `headrace reasoning ${what}`, 32))
  const key = derived('encryption')
  const nonceKey = derived('nonce')
  return {
    seal(text) {
      const nonce = createHmac('sha256', nonceKey).update(text).digest().subarray(0, NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', key, nonce)
      const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
      return PREFIX + Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64url')
    },
    open(sealed) {
      if (!sealed.startsWith(PREFIX)) return null
      const bytes = Buffer.from(sealed.slice(PREFIX.length), 'base64url')
      if (bytes.length < NONCE_BYTES + TAG_BYTES) return undefined
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES))
      decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES))
      try {
        return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]).toString(
          'utf8',
        )
      } catch {
        return undefined
      }
    },
  }
}
