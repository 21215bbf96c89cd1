import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream as NodeReadableStream } from 'node:stream/web'
import { Busboy } from '@fastify/busboy'
import { ApiError } from '../errors.ts'
import type { Upload } from '../files/upload.ts'

/** What a form has beside the bytes of its file: boundaries, headers and a few short fields. */
export const FORM_BYTES_MAX = 16 * 1024

const FIELDS_MAX = 16
const FIELD_BYTES_MAX = 1024
const FILENAME_CHARS_MAX = 255

/** A form that came whole. */
export interface ReceivedForm {
  /** The bytes of the part `file`; whoever takes them ends the upload. */
  readonly upload: Upload
  readonly filename: string
  /** The other parts. */
  readonly fields: ReadonlyMap<string, string>
}

/**
 * Reads a form with one file, whose bytes go to where `begin` says as they come. Where anything goes wrong the upload is abandoned.
 *
 * @throws ApiError 400 without a file or when the form is none, 415 for another kind of body, and what `begin` and the upload throw.
 */
export async function readUpload(request: Request, begin: () => Promise<Upload>): Promise<ReceivedForm> {
  const type = request.headers.get('content-type') ?? ''
  if (!/^multipart\/form-data\s*;.*boundary=/i.test(type) || request.body === null)
    throw new ApiError('unsupported_media_type', 'Send the file as a form: "Content-Type: multipart/form-data".')
  const parser = new Busboy({
    headers: { 'content-type': type },
    limits: { files: 1, fields: FIELDS_MAX, parts: FIELDS_MAX + 1, fieldSize: FIELD_BYTES_MAX, headerPairs: 32 },
  })
  const fields = new Map<string, string>()
  const failed = new AbortController()
  let upload: Upload | null = null
  let filename = ''
  let receiving: Promise<void> | null = null
  parser.on('field', (name, value) => fields.set(name, value))
  parser.on('file', (name, stream, given) => {
    filename = given.slice(0, FILENAME_CHARS_MAX)
    const receive = async () => {
      if (name !== 'file')
        throw new ApiError('invalid_value', 'The part with the file has to be named "file".', { param: 'file' })
      upload = await begin()
      for await (const chunk of stream) await upload.write(chunk)
    }
    receiving = receive()
    receiving.catch(error => failed.abort(error))
  })
  try {
    await pipeline(Readable.fromWeb(request.body as NodeReadableStream), parser, { signal: failed.signal })
    await receiving
    if (upload === null)
      throw new ApiError('missing_required_parameter', 'file: is required; add it as a part of the form.', {
        param: 'file',
      })
    return { upload, filename, fields }
  } catch (error) {
    // What is still being written ends first, so that nothing writes into what was abandoned.
    await (receiving as Promise<void> | null)?.catch(() => undefined)
    await (upload as Upload | null)?.abandon()
    if (failed.signal.aborted) throw failed.signal.reason
    if (error instanceof ApiError) throw error
    throw new ApiError('invalid_value', 'The form is not whole, or not as multipart/form-data is to be.', {
      cause: error,
    })
  }
}
