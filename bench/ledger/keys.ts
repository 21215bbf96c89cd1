import {
  API_KEY_BODY_LENGTH,
  API_KEY_PREFIX,
  apiKeyChecksum,
  encodeBase62,
} from '../../src/inference/api-key-format.ts'

/** The secret of the benchmark's key of a number: server and load make the same ones. */
export function secretOf(index: number): string {
  const body = encodeBase62(BigInt(index), API_KEY_BODY_LENGTH)
  return `${API_KEY_PREFIX}${body}${apiKeyChecksum(body)}`
}
