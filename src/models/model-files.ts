import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import { ModelError, messageOf, throwIfCancelled } from './model-error.ts'

/** A model file in the models folder, and what was recorded of it. */
export interface ModelFile {
  readonly name: string
  readonly path: string
  readonly bytes: number
  /** SHA-256 of the content, as recorded when it was last hashed; null when it never was or the file changed since. */
  readonly sha256: string | null
  /** Model that it was fetched for; null for a file that somebody put into the folder. */
  readonly modelId: string | null
  /** Where it came from; null when unknown. */
  readonly source: string | null
  /** When it was recorded, milliseconds since 1970; null when it was not. */
  readonly recordedMs: number | null
}

/** The result of hashing a file again. */
export interface VerifiedFile {
  readonly file: ModelFile
  /** SHA-256 of what is on the disk now. */
  readonly sha256: string
  /** `ok`: as recorded; `changed`: the content differs; `unrecorded`: there was nothing to compare with. */
  readonly state: 'ok' | 'changed' | 'unrecorded'
}

/** Told how far reading has come, in bytes. */
export type ByteProgress = (bytesDone: number, bytesTotal: number) => void

const recordSchema = z.object({
  version: z.literal(1),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  bytes: z.number(),
  mtimeMs: z.number(),
  modelId: z.string().nullable(),
  source: z.string().nullable(),
  recordedMs: z.number(),
})

type FileRecord = z.infer<typeof recordSchema>

/** Where an installation keeps model files. */
export function modelsFolder(home: string): string {
  return path.join(home, 'models')
}

/** All model files, by name. */
export async function listModelFiles(home: string): Promise<ModelFile[]> {
  const folder = modelsFolder(home)
  const names = await readdir(folder).catch(error => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  })
  const files = await Promise.all(
    names
      .filter(name => name.endsWith('.gguf'))
      .sort()
      .map(name => modelFile(home, name)),
  )
  return files.filter(file => file !== null)
}

/** The file of that name with its record; null when it is not there. */
export async function modelFile(home: string, name: string): Promise<ModelFile | null> {
  const file = path.join(modelsFolder(home), checkedName(name))
  const stats = await stat(file).catch(() => null)
  if (stats === null || !stats.isFile()) return null
  const record = await readRecord(file)
  const current = record !== null && record.bytes === stats.size && record.mtimeMs === stats.mtimeMs
  return {
    name,
    path: file,
    bytes: stats.size,
    sha256: current ? record.sha256 : null,
    modelId: record?.modelId ?? null,
    source: record?.source ?? null,
    recordedMs: record?.recordedMs ?? null,
  }
}

/**
 * The file of a model if it is there whole: same size and hash. The hash is taken from the record when size and
 * modification time are still those recorded, else the file is hashed once (a gigabyte a second or so) and recorded.
 */
export async function findModelFile(
  home: string,
  wanted: { readonly modelId: string; readonly name: string; readonly bytes: number; readonly sha256: string },
  options: { readonly onProgress?: ByteProgress; readonly signal?: AbortSignal } = {},
): Promise<ModelFile | null> {
  const file = await modelFile(home, wanted.name)
  if (file === null || file.bytes !== wanted.bytes) return null
  if (file.sha256 !== null) return file.sha256 === wanted.sha256 ? file : null
  const sha256 = await hashFile(file.path, options.onProgress, options.signal)
  if (sha256 !== wanted.sha256) return null
  return recordModelFile(home, wanted.name, { sha256, modelId: wanted.modelId, source: file.source })
}

/** Writes down the hash of a file as it is now, so that later starts need not hash it again. */
export async function recordModelFile(
  home: string,
  name: string,
  known: { readonly sha256: string; readonly modelId: string | null; readonly source: string | null },
): Promise<ModelFile> {
  const file = path.join(modelsFolder(home), checkedName(name))
  const { size, mtimeMs } = await stat(file)
  const record: FileRecord = { version: 1, ...known, bytes: size, mtimeMs, recordedMs: Date.now() }
  const draft = `${recordPath(file)}.${process.pid}.new`
  await writeFile(draft, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 })
  await rename(draft, recordPath(file))
  return { name, path: file, bytes: size, ...known, recordedMs: record.recordedMs }
}

/** Hashes a file again and compares it with its record. A file without one is recorded. */
export async function verifyModelFile(
  home: string,
  name: string,
  options: { readonly onProgress?: ByteProgress; readonly signal?: AbortSignal } = {},
): Promise<VerifiedFile> {
  const file = await modelFile(home, name)
  if (file === null) throw new ModelError('not_found', `there is no ${name} in ${modelsFolder(home)}`)
  const record = await readRecord(file.path)
  const sha256 = await hashFile(file.path, options.onProgress, options.signal)
  if (record !== null && record.sha256 !== sha256) return { file, sha256, state: 'changed' }
  const recorded = await recordModelFile(home, name, { sha256, modelId: file.modelId, source: file.source })
  return { file: recorded, sha256, state: record === null ? 'unrecorded' : 'ok' }
}

/** Deletes a file and its record. False when there was none. */
export async function removeModelFile(home: string, name: string): Promise<boolean> {
  const file = await modelFile(home, name)
  if (file === null) return false
  await rm(file.path)
  await rm(recordPath(file.path), { force: true })
  return true
}

/** SHA-256 of a file, hexadecimal. */
export async function hashFile(file: string, onProgress?: ByteProgress, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256')
  const { size } = await stat(file)
  let done = 0
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) {
    throwIfCancelled(signal)
    hash.update(chunk)
    done += chunk.length
    onProgress?.(done, size)
  }
  return hash.digest('hex')
}

/** Refuses names that would leave the folder. */
function checkedName(name: string): string {
  if (name !== path.basename(name) || name.includes('\\') || !name.endsWith('.gguf') || name.startsWith('.')) {
    throw new ModelError(
      'bad_spec',
      `"${name}" is not the name of a model file; it has to be a plain name that ends in .gguf`,
    )
  }
  return name
}

function recordPath(file: string): string {
  return `${file}.json`
}

/** An unreadable record counts as none: the file is hashed again. */
async function readRecord(file: string): Promise<FileRecord | null> {
  try {
    return recordSchema.parse(JSON.parse(await readFile(recordPath(file), 'utf8')))
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError || isAbsent(error)) return null
    throw new ModelError('bad_spec', `${recordPath(file)} cannot be read: ${messageOf(error)}`, error)
  }
}

function isAbsent(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT'
}
