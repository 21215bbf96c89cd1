import { Busboy, type BusboyFileStream, type BusboyInstance } from '@fastify/busboy'
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
  const parser = newParser(type)
  const fields = new Map<string, string>()
  const failed = Promise.withResolvers<never>()
  let upload: Upload | null = null
  let filename = ''
  let file: BusboyFileStream | null = null
  let receiving: Promise<void> = Promise.resolve()
  const broken = (cause: unknown) =>
    failed.reject(new ApiError('invalid_value', 'The form is not whole, or not as such forms are to be.', { cause }))
  const receive = async (name: string, stream: BusboyFileStream) => {
    if (name !== 'file')
      throw new ApiError('invalid_value', 'The part with the file has to be named "file".', { param: 'file' })
    upload = await begin()
    for await (const chunk of stream) await upload.write(chunk)
  }
  parser.on('field', (name, value) => fields.set(name, value))
  parser.on('file', (name, stream, given) => {
    // Absent where the part is a file by its type alone; and the cut may fall into the middle of a character.
    filename = ((given as string | undefined) ?? '').slice(0, FILENAME_CHARS_MAX).toWellFormed()
    file = stream
    // Also told of what is wrong with the form when nobody reads the file any more; unheard, that would end the process.
    stream.on('error', broken)
    receiving = receive(name, stream)
    receiving.catch(failed.reject)
  })
  parser.on('error', broken)
  const body = request.body.getReader()
  try {
    await Promise.race([feed(body, parser), failed.promise])
    await receiving
    if (upload === null) {
      const message = 'file: is required; add it as a part of the form.'
      throw new ApiError('missing_required_parameter', message, { param: 'file' })
    }
    return { upload, filename, fields }
  } catch (error) {
    await body.cancel().catch(() => undefined)
    // What is being written ends before it is taken away.
    ;(file as BusboyFileStream | null)?.destroy()
    await receiving.catch(() => undefined)
    await (upload as Upload | null)?.abandon()
    throw error
  }
}

function newParser(type: string): BusboyInstance {
  const limits = { files: 1, fields: FIELDS_MAX, parts: FIELDS_MAX + 1, fieldSize: FIELD_BYTES_MAX, headerPairs: 32 }
  try {
    return new Busboy({ headers: { 'content-type': type }, limits })
  } catch (cause) {
    const message = 'The Content-Type names no boundary that the parts of the form could have.'
    throw new ApiError('unsupported_media_type', message, { cause })
  }
}

// Not `pipeline`: that waits for the parser to end, which waits for somebody to read the file, who may have given up.
async function feed(body: ReadableStreamDefaultReader<Uint8Array>, parser: BusboyInstance): Promise<void> {
  for (;;) {
    const { done, value } = await body.read()
    if (done) break
    if (!parser.write(value)) await new Promise<void>(resolve => parser.once('drain', resolve))
  }
  const finished = new Promise<void>(resolve => parser.once('finish', resolve))
  parser.end()
  await finished
}
