import {
  API_KEY_BODY_LENGTH,
  API_KEY_PREFIX,
  apiKeyChecksum,
  encodeBase62,
  hashSecret,
  isWellFormed,
} from '../inference/api-key-format.ts'

export { hashSecret, isWellFormed }

/** Gives `byteCount` bytes that nobody can predict. Handed in, so that tests can choose them. */
export type RandomBytes = (byteCount: number) => Uint8Array

const SECRET_BYTES = 20
const HINT_LENGTH = 4
const ID_BYTES = 10
const ID_LENGTH = 14

/** A new API key: `sk-hr-`, 160 random bits in base 62, and the checksum of those digits. */
export function createSecret(random: RandomBytes): string {
  const body = encodeBase62(toInteger(random(SECRET_BYTES)), API_KEY_BODY_LENGTH)
  return `${API_KEY_PREFIX}${body}${apiKeyChecksum(body)}`
}

/** The last characters of a key, by which its owner recognises it in a list. They are part of the checksum. */
export function hintOf(secret: string): string {
  return secret.slice(-HINT_LENGTH)
}

/** A new id such as `org_0aB3dE5gH7jK9m`: the prefix and 80 random bits in base 62. */
export function createId(prefix: 'org' | 'key' | 'price' | 'credit' | 'proj' | 'limit', random: RandomBytes): string {
  return `${prefix}_${encodeBase62(toInteger(random(ID_BYTES)), ID_LENGTH)}`
}

function toInteger(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
}
