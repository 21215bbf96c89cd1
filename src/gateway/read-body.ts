import type { IncomingMessage } from 'node:http'
import { ApiError } from '../errors.ts'

/**
 * Reads a request's body whole.
 *
 * @throws ApiError 413 when it is longer than `bytesMax` (at once when its length was announced), 415 for a compressed
 * body, 400 when the client stopped in the middle.
 */
export function readBody(request: IncomingMessage, bytesMax: number): Promise<Uint8Array> {
  const announced = request.headers['content-length']
  if (announced !== undefined && Number(announced) > bytesMax) return Promise.reject(tooLarge(bytesMax))
  const encoding = request.headers['content-encoding']
  if (encoding !== undefined && encoding !== 'identity') {
    return Promise.reject(
      new ApiError(
        'unsupported_media_type',
        `Content-Encoding "${encoding}" is not supported; send the body uncompressed.`,
      ),
    )
  }
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] | null = null
    let only: Buffer | null = null
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > bytesMax) {
        request.removeAllListeners('data')
        request.resume()
        reject(tooLarge(bytesMax))
      } else if (only === null) only = chunk
      else if (chunks === null) chunks = [only, chunk]
      else chunks.push(chunk)
    })
    let whole = false
    request.on('end', () => {
      whole = true
      resolve(chunks === null ? (only ?? new Uint8Array()) : Buffer.concat(chunks, bytes))
    })
    request.on('error', cause =>
      reject(new ApiError('invalid_json', 'The connection broke in the middle of the body.', { cause })),
    )
    request.on('close', () => {
      // Every request closes; making an error, with its stack, for each that went well would cost more than reading it.
      if (!whole) reject(new ApiError('invalid_json', 'The connection closed in the middle of the body.'))
    })
  })
}

/** The error for a body beyond the bound. */
export function tooLarge(bytesMax: number): ApiError {
  return new ApiError('request_too_large', `The body is larger than ${bytesMax} bytes.`)
}
