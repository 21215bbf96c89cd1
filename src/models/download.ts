import { open, readFile, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { fetch as undiciFetch } from 'undici'
import { asSpaceError } from './disk-space.ts'
import { KIND_SAMPLE_BYTES, refuseOtherKinds } from './file-kind.ts'
import { ModelError, messageOf, throwIfCancelled } from './model-error.ts'
import { isLoopbackHost, parseHttpUrl, withoutSecrets } from './pull-spec.ts'

/** undici's fetch, or one that behaves alike. */
export type Fetch = typeof undiciFetch

/** How patient a download is. */
export interface DownloadTiming {
  /** Longest silence of a server before the attempt is given up, milliseconds. */
  readonly stallTimeoutMs: number
  /** Wait before the next attempt, doubled each time, milliseconds. */
  readonly retryDelayMs: number
  /** Attempts in a row that may end without having brought a byte. */
  readonly attemptsMax: number
}

export const DOWNLOAD_TIMING: DownloadTiming = { stallTimeoutMs: 30_000, retryDelayMs: 1_000, attemptsMax: 4 }

/** One file to fetch over HTTP into a part file, which stays for a later attempt when this one fails. */
export interface Download {
  readonly url: URL
  /** File name for messages. */
  readonly name: string
  readonly partFile: string
  /** Exact size if it is known beforehand; a server that promises another is refused before the body. */
  readonly bytes: number | null
  /** Whether the content will be compared with a known hash, so that a resume without a validator is safe. */
  readonly hashKnown: boolean
  /** Sent to the first host only; redirects to another host do not get it. */
  readonly authorization: string | null
  /** What to do about 401, 403 and 404, in one sentence. */
  readonly cure: string
  readonly fetch: Fetch
  readonly timing: DownloadTiming
  readonly signal: AbortSignal | undefined
  /** Called before the body with the bytes that are still to come, if the server said; may refuse. */
  requireSpace(bytesToCome: number): Promise<void>
  onProgress(bytesDone: number, bytesTotal: number | null, bytesReceived: number): void
}

/** What a finished download brought. */
export interface Downloaded {
  /** Whether a part of an earlier attempt was continued. */
  readonly resumed: boolean
  /** SHA-256 that the server promised (Hugging Face's `x-linked-etag`), or null. */
  readonly promisedSha256: string | null
}

/** What is kept beside a part file, to know whether it may be continued. */
interface PartState {
  readonly etag: string | null
  readonly lastModified: string | null
  readonly bytesTotal: number | null
}

/** An attempt that ended early in a way that the next may not. */
class Interrupted extends Error {
  override name = 'Interrupted'
}

const REDIRECTS_MAX = 10
const REDIRECTS = new Set([301, 302, 303, 307, 308])
const TRANSIENT = new Set([408, 425, 429, 500, 502, 503, 504])

/** Fetches a file whole, continuing where earlier attempts broke off (RFC 9110 section 14, `Range` with `If-Range`). */
export async function download(task: Download): Promise<Downloaded> {
  let barren = 0
  let resumed = false
  for (;;) {
    throwIfCancelled(task.signal)
    const start = await partSize(task.partFile)
    try {
      const result = await attempt(task, start)
      return { resumed: resumed || result.resumed, promisedSha256: result.promisedSha256 }
    } catch (error) {
      throwIfCancelled(task.signal)
      if (!(error instanceof Interrupted)) throw asSpaceError(error, path.dirname(task.partFile))
      const brought = (await partSize(task.partFile)) > start
      barren = brought ? 0 : barren + 1
      resumed ||= brought
      if (barren >= task.timing.attemptsMax) {
        throw new ModelError('unreachable', `${error.message}, ${barren} times in a row`, error)
      }
      await sleep(task.timing.retryDelayMs * 2 ** barren, undefined, { signal: task.signal }).catch(() => undefined)
    }
  }
}

/** Deletes a part file and what is known of it. */
export async function discardPart(partFile: string): Promise<void> {
  await rm(partFile, { force: true })
  await rm(stateFile(partFile), { force: true })
}

async function attempt(task: Download, partBytes: number): Promise<Downloaded> {
  const stall = new AbortController()
  const signal = task.signal === undefined ? stall.signal : AbortSignal.any([task.signal, stall.signal])
  const watchdog = setTimeout(() => stall.abort(), task.timing.stallTimeoutMs)
  try {
    const state = partBytes > 0 ? await readState(task.partFile) : null
    const range = state === null ? {} : rangeHeaders(task, state, partBytes)
    const { response, promisedSha256 } = await request(task, range, signal)
    watchdog.refresh()
    if (response.status === 416) {
      await discard(response)
      // Everything was there already, only the end of the attempt was not seen.
      if (state?.bytesTotal === partBytes) return { resumed: true, promisedSha256 }
      await discardPart(task.partFile)
      throw new Interrupted('the server could not continue the download')
    }
    const { start, total } = await bodyRange(task, response, partBytes, state)
    if (total !== null) await task.requireSpace(total - start)
    await writeFile(
      stateFile(task.partFile),
      JSON.stringify({
        etag: response.headers.get('etag'),
        lastModified: response.headers.get('last-modified'),
        bytesTotal: total,
      } satisfies PartState),
    )
    await writeBody(task, response, start, total, () => watchdog.refresh())
    return { resumed: start > 0, promisedSha256 }
  } catch (error) {
    if (stall.signal.aborted) throw new Interrupted(`the server fell silent for ${task.timing.stallTimeoutMs / 1000} s`)
    throw error
  } finally {
    clearTimeout(watchdog)
  }
}

type FetchResponse = Awaited<ReturnType<Fetch>>

/** Asks, following redirects by hand: each hop is checked, and credentials go to the first host alone. */
async function request(
  task: Download,
  range: Record<string, string>,
  signal: AbortSignal,
): Promise<{ response: FetchResponse; promisedSha256: string | null }> {
  let url = task.url
  let promisedSha256: string | null = null
  for (let hop = 0; hop <= REDIRECTS_MAX; hop++) {
    const authorization =
      task.authorization !== null && url.origin === task.url.origin ? { authorization: task.authorization } : {}
    // Compressed, a range would count other bytes than the file's.
    const headers = { 'accept-encoding': 'identity', 'user-agent': 'headrace', ...range, ...authorization }
    const response = await task.fetch(url, { headers, redirect: 'manual', signal }).catch(error => {
      throw connectFailure(task, error)
    })
    promisedSha256 ??= sha256Of(response.headers.get('x-linked-etag'))
    if (!REDIRECTS.has(response.status)) return { response: await checkStatus(task, response, url), promisedSha256 }
    await discard(response)
    url = redirectTarget(response, url)
  }
  throw new ModelError('unreachable', `${withoutSecrets(task.url)} redirects more than ${REDIRECTS_MAX} times`)
}

/** A failed connection is final at once when nothing was ever received: another source may do better, sooner. */
function connectFailure(task: Download, error: unknown): Error {
  const reason = messageOf(error)
  if (task.signal?.aborted) return new ModelError('cancelled', reason, error)
  const code = (error as { cause?: { code?: string } }).cause?.code ?? ''
  const brokenOff =
    code === 'ECONNRESET' || code === 'UND_ERR_SOCKET' || code === 'EPIPE' || code === 'UND_ERR_HEADERS_TIMEOUT'
  return brokenOff ? new Interrupted(reason) : new ModelError('unreachable', reason, error)
}

async function checkStatus(task: Download, response: FetchResponse, url: URL): Promise<FetchResponse> {
  const { status } = response
  if (status === 200 || status === 206 || status === 416) return response
  await discard(response)
  const said = `${url.host} answered ${status}`
  if (TRANSIENT.has(status)) throw new Interrupted(said)
  if (status === 401 || status === 403) throw new ModelError('denied', `${said} (not permitted): ${task.cure}`)
  if (status === 404 || status === 410) throw new ModelError('not_found', `${said} (no such file): ${task.cure}`)
  throw new ModelError('unreachable', said)
}

function redirectTarget(response: FetchResponse, from: URL): URL {
  const location = response.headers.get('location')
  const target = location === null ? null : URL.parse(location, from)
  if (target === null)
    throw new ModelError('unreachable', `${from.host} answered ${response.status} without a usable address`)
  // A remote server must not send us to a service of this machine.
  if (isLoopbackHost(target.hostname) && !isLoopbackHost(from.hostname)) {
    throw new ModelError('denied', `${from.host} redirects to ${target.host}, which is this machine`)
  }
  return parseHttpUrl(target.href)
}

function rangeHeaders(task: Download, state: PartState, partBytes: number): Record<string, string> {
  const range = { range: `bytes=${partBytes}-` }
  // If-Range takes only a strong validator (RFC 9110 section 13.1.5).
  if (state.etag !== null && !state.etag.startsWith('W/')) return { ...range, 'if-range': state.etag }
  if (state.lastModified !== null) return { ...range, 'if-range': state.lastModified }
  return task.hashKnown ? range : {}
}

/** Where the body starts in the file, and the whole file's size. */
async function bodyRange(
  task: Download,
  response: FetchResponse,
  partBytes: number,
  state: PartState | null,
): Promise<{ start: number; total: number | null }> {
  let start = 0
  let total: number | null
  if (response.status === 206) {
    const match = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get('content-range') ?? '')
    start = Number(match?.[1] ?? -1)
    total = Number(match?.[2] ?? -1)
    if (start !== partBytes || (state?.bytesTotal ?? total) !== total) {
      await discard(response)
      await discardPart(task.partFile)
      throw new Interrupted('the server continued the download at another place')
    }
  } else {
    const length = response.headers.get('content-length')
    total = length === null ? null : Number(length)
  }
  if (task.bytes !== null && total !== null && total !== task.bytes) {
    await discard(response)
    throw new ModelError(
      'wrong_bytes',
      `it offers a file of ${total} bytes where ${task.bytes} are expected: another version`,
    )
  }
  return { start, total }
}

async function writeBody(
  task: Download,
  response: FetchResponse,
  start: number,
  total: number | null,
  onAlive: () => void,
): Promise<void> {
  const file = await open(task.partFile, start === 0 ? 'w' : 'r+')
  let position = start
  let sample = Buffer.alloc(0)
  let sampled = start > 0
  try {
    const body = (response.body ?? []) as AsyncIterable<Uint8Array>
    for await (const chunk of interruptible(body)) {
      onAlive()
      if (!sampled) {
        sample = Buffer.concat([sample, chunk])
        sampled = sample.length >= KIND_SAMPLE_BYTES
        if (sampled) refuseOtherKinds(sample, task.name)
      }
      if (position + chunk.length > (total ?? task.bytes ?? Number.MAX_SAFE_INTEGER)) {
        throw new ModelError('wrong_bytes', 'the server sends more than it announced')
      }
      await file.writev([chunk], position)
      position += chunk.length
      task.onProgress(position, total, chunk.length)
    }
    if (position < (total ?? task.bytes ?? 0)) throw new Interrupted(`the server broke off after ${position} bytes`)
    if (!sampled) refuseOtherKinds(sample, task.name)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** A connection that breaks while the body flows is an interruption; what the loop's own body throws is not. */
async function* interruptible(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* body
  } catch (error) {
    throw new Interrupted(`the connection broke: ${messageOf(error)}`)
  }
}

async function discard(response: FetchResponse): Promise<void> {
  await response.body?.cancel().catch(() => undefined)
}

async function partSize(partFile: string): Promise<number> {
  return stat(partFile).then(
    stats => stats.size,
    () => 0,
  )
}

function stateFile(partFile: string): string {
  return `${partFile}.json`
}

/** What is known of a part; null when nothing is, then it is fetched from the start. */
async function readState(partFile: string): Promise<PartState | null> {
  try {
    return JSON.parse(await readFile(stateFile(partFile), 'utf8')) as PartState
  } catch {
    return null
  }
}

function sha256Of(etag: string | null): string | null {
  const value = etag?.replaceAll('"', '') ?? ''
  return /^[0-9a-f]{64}$/.test(value) ? value : null
}
