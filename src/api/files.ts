import type { FileHandle } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { createRoute, z } from '@hono/zod-openapi'
import { ApiError } from '../errors.ts'
import { type FileDescription, UPLOAD_PURPOSES } from '../files/file-description.ts'
import { answers, type ClientApiDeps, type ClientApp, OPENAI_BASES } from './context.ts'
import { listOf, listQuery, readPage } from './list-page.ts'
import { FORM_BYTES_MAX, type ReceivedForm, readUpload } from './read-upload.ts'

/** Where files are uploaded; their bodies have bounds of their own. */
export const UPLOAD_PATHS: ReadonlySet<string> = new Set(OPENAI_BASES.map(base => `${base}/files`))

const EXPIRES_S_MIN = 3_600
const EXPIRES_S_MAX = 30 * 86_400
const LIST_MAX = 10_000
const READ_BYTES = 256 * 1024

const FileObject = z
  .object({
    id: z.string(),
    object: z.literal('file'),
    bytes: z.int(),
    created_at: z.int().openapi({ description: 'Unix seconds.' }),
    filename: z.string(),
    purpose: z.string(),
    status: z.literal('processed'),
    expires_at: z.int().nullable().openapi({ description: 'Unix seconds; null: it stays until it is deleted.' }),
  })
  .openapi('File')

const FileDeleted = z.object({ id: z.string(), object: z.literal('file'), deleted: z.boolean() }).openapi('FileDeleted')

/** How long a file is kept, counted from when it was made; in a form, fields such as `expires_after[seconds]`. */
export const ExpiresAfter = z.object({
  anchor: z.literal('created_at'),
  seconds: z.coerce.number().int().min(EXPIRES_S_MIN).max(EXPIRES_S_MAX),
})

const FileForm = z.object({
  file: z.string().openapi({ format: 'binary' }),
  purpose: z.enum(UPLOAD_PURPOSES),
  expires_after: ExpiresAfter.optional(),
})

const FileId = z.object({ file: z.string() })
const ListFiles = listQuery(LIST_MAX, LIST_MAX).extend({ purpose: z.string().max(64).optional() })

/** Files: uploaded, listed, read and deleted by their org. */
export function filesRoutes(app: ClientApp, deps: ClientApiDeps): void {
  const { files } = deps
  for (const base of OPENAI_BASES) {
    // Described, but not checked by the framework, which would read the whole form into memory.
    app.openAPIRegistry.registerPath({
      tags: ['Files'],
      method: 'post',
      path: `${base}/files`,
      summary: 'Upload a file',
      request: { body: { required: true, content: { 'multipart/form-data': { schema: FileForm } } } },
      responses: answers('The file.', FileObject),
    })
    app.post(`${base}/files`, async context => {
      const { org, key } = context.var.caller
      const owner = { orgId: org.id, keyId: key.id }
      const announced = Number(context.req.header('content-length') ?? 0)
      const form = await readUpload(context.req.raw, () => files.begin(owner, Math.max(0, announced - FORM_BYTES_MAX)))
      try {
        return context.json(fileObject(await files.finish(form.upload, owner, termsOf(form))), 200)
      } catch (error) {
        await form.upload.abandon()
        throw error
      }
    })
    app.openapi(
      createRoute({
        tags: ['Files'],
        method: 'get',
        path: `${base}/files`,
        summary: 'List files',
        request: { query: ListFiles },
        responses: answers('A page of files.', listOf(FileObject)),
      }),
      async context => {
        const { purpose, ...query } = context.req.valid('query')
        const { id: orgId } = context.var.caller.org
        const list = (page: Parameters<typeof files.list>[2]) => files.list(orgId, purpose, page)
        return context.json(await readPage(query, list, fileObject, id => files.find(orgId, id)), 200)
      },
    )
    app.openapi(
      createRoute({
        tags: ['Files'],
        method: 'get',
        path: `${base}/files/{file}`,
        summary: 'Describe a file',
        request: { params: FileId },
        responses: answers('The file.', FileObject),
      }),
      async context =>
        context.json(fileObject(await files.find(context.var.caller.org.id, context.req.valid('param').file)), 200),
    )
    app.openapi(
      createRoute({
        tags: ['Files'],
        method: 'delete',
        path: `${base}/files/{file}`,
        summary: 'Delete a file',
        request: { params: FileId },
        responses: answers('What was deleted.', FileDeleted),
      }),
      async context => {
        const { file: id } = context.req.valid('param')
        const { id: orgId } = context.var.caller.org
        if (!(await files.remove(orgId, id))) await files.find(orgId, id)
        return context.json({ id, object: 'file' as const, deleted: true }, 200)
      },
    )
    app.openapi(
      createRoute({
        tags: ['Files'],
        method: 'get',
        path: `${base}/files/{file}/content`,
        summary: 'Read the bytes of a file',
        request: { params: FileId },
        responses: {
          200: {
            description: 'The bytes, as they were uploaded or written.',
            content: { 'application/octet-stream': { schema: z.string().openapi({ format: 'binary' }) } },
          },
          default: answers('', FileObject).default,
        },
      }),
      async context => {
        const file = await files.find(context.var.caller.org.id, context.req.valid('param').file)
        const handle = await files.read(file)
        if (file.bytes === 0) await handle.close()
        return new Response(file.bytes === 0 ? null : streamOf(handle), {
          headers: {
            'content-type': 'application/octet-stream',
            'content-length': String(file.bytes),
            'content-disposition': `attachment; filename*=UTF-8''${encodeURIComponent(file.filename)}`,
            'x-content-type-options': 'nosniff',
          },
        }) as never
      },
    )
  }
}

// Closes the file when it was read, or when the client leaves.
function streamOf(handle: FileHandle): ReadableStream<Uint8Array> {
  const bytes = handle.createReadStream({ highWaterMark: READ_BYTES })
  return Readable.toWeb(bytes) as unknown as ReadableStream<Uint8Array>
}

/** A file as OpenAI's clients read it. */
function fileObject({
  id,
  bytes,
  createdMs,
  filename,
  purpose,
  expiresMs,
}: FileDescription): z.output<typeof FileObject> {
  return {
    ...{ id, object: 'file', bytes, created_at: Math.floor(createdMs / 1000), filename, purpose, status: 'processed' },
    expires_at: expiresMs === null ? null : Math.floor(expiresMs / 1000),
  }
}

function termsOf({ filename, fields }: ReceivedForm) {
  const purpose = UPLOAD_PURPOSES.find(each => each === fields.get('purpose'))
  if (purpose === undefined) {
    const wanted = `purpose: has to be one of ${UPLOAD_PURPOSES.join(', ')}.`
    throw new ApiError(fields.has('purpose') ? 'invalid_value' : 'missing_required_parameter', wanted, {
      param: 'purpose',
    })
  }
  const [anchor, seconds] = [fields.get('expires_after[anchor]'), fields.get('expires_after[seconds]')]
  if (anchor === undefined && seconds === undefined) return { filename, purpose, expiresAfterS: null }
  const expires = ExpiresAfter.safeParse({ anchor, seconds })
  if (!expires.success) {
    const param = 'expires_after'
    const wanted = `[anchor] has to be "created_at", and [seconds] a whole number from ${EXPIRES_S_MIN} to ${EXPIRES_S_MAX}.`
    throw new ApiError('invalid_value', `${param}: ${wanted}`, { param })
  }
  return { filename, purpose, expiresAfterS: expires.data.seconds }
}
