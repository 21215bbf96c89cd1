import type { OutsideClient, OutsideWish } from '../egress/outside-client.ts'
import { OutsideFailure } from '../egress/outside-failure.ts'
import { ApiError } from '../errors.ts'
import { type ImagePlace, remoteImages, withImageUrls } from '../inference/image-parts.ts'
import type { InferenceRequest, JsonObject } from '../inference/request.ts'
import type { ByteRoom } from '../std/byte-room.ts'

/** Images that are fetched for one request; more can come with the request itself. */
const FETCHED_MAX = 20
/** All of them together, each as often as it is named: that often it stands in what an upstream gets. */
const FETCHED_BYTES_MAX = 32 * 1024 * 1024
const FULL_RETRY_MS = 5_000

/** What images are fetched with. */
export interface ImageFetching {
  readonly outside: Pick<OutsideClient, 'fetch'>
  /** What the fetched images of all running requests take together. */
  readonly room: ByteRoom
}

/** A request with all that it needs. */
export interface WholeRequest {
  readonly request: InferenceRequest
  /** To be called once, when the request is over and its images are needed no more. */
  readonly release: () => void
}

/** How an image begins, by its type: what a server says of it is often wrong. */
const SIGNATURES: readonly (readonly [type: string, hasIt: (bytes: Buffer) => boolean])[] = [
  ['image/png', bytes => bytes.subarray(0, 8).equals(Buffer.from('89504e470d0a1a0a', 'hex'))],
  ['image/jpeg', bytes => bytes.subarray(0, 3).equals(Buffer.from('ffd8ff', 'hex'))],
  ['image/gif', bytes => /^GIF8[79]a$/.test(bytes.toString('latin1', 0, 6))],
  ['image/webp', bytes => /^RIFF....WEBP$/s.test(bytes.toString('latin1', 0, 12))],
]

/** An image by the first place that names it. */
interface NamedImage extends ImagePlace {
  readonly times: number
}

/**
 * A chat whose images from elsewhere were fetched, and stand in it as `data:` URLs, in what upstreams get as well. An address that is named
 * twice is fetched once. `payer` is whose turns the fetching takes.
 *
 * @throws ApiError 400 that names the image that could not be had. Rejects with the signal's reason when that is aborted.
 */
export async function withImages(
  request: InferenceRequest,
  fetching: ImageFetching,
  payer: string,
  signal: AbortSignal,
): Promise<WholeRequest> {
  const { input, body } = request
  if (input.kind !== 'chat') return { request, release: () => undefined }
  const places = remoteImages(input.messages)
  const byUrl = new Map<string, NamedImage>()
  for (const place of places)
    byUrl.set(place.url, { ...place, ...byUrl.get(place.url), times: (byUrl.get(place.url)?.times ?? 0) + 1 })
  if (byUrl.size > FETCHED_MAX) {
    throw new ApiError('invalid_value', `At most ${FETCHED_MAX} images are fetched for a request, not ${byUrl.size}.`, {
      param: 'messages',
    })
  }
  const { fetched, release } = await allOf([...byUrl.values()], fetching, payer, signal)
  const urls = new Map(fetched)
  return {
    request: {
      ...request,
      input: { ...input, messages: withImageUrls(input.messages, urls) },
      body: Array.isArray(body.messages)
        ? { ...body, messages: withImageUrls(body.messages as readonly JsonObject[], urls) }
        : body,
    },
    release,
  }
}

async function allOf(
  places: readonly NamedImage[],
  { outside, room }: ImageFetching,
  payer: string,
  signal: AbortSignal,
): Promise<{ fetched: readonly (readonly [url: string, dataUrl: string])[]; release: () => void }> {
  // The first that fails ends the others.
  const failing = new AbortController()
  const either = AbortSignal.any([signal, failing.signal])
  let bytes = 0
  let taken = 0
  let over = false
  const release = () => {
    over = true
    room.giveBack(taken)
    taken = 0
  }
  try {
    const fetched = await Promise.all(
      places.map(async place => {
        const image = await fetchOne(place, outside, { payer, signal: either })
        const more = image.bytes.length * place.times
        bytes += more
        if (bytes > FETCHED_BYTES_MAX) {
          throw new ApiError('invalid_value', `The images have more than ${FETCHED_BYTES_MAX} bytes together.`, {
            param: 'messages',
          })
        }
        // One that comes when another has failed is dropped.
        if (!over && !room.take(more)) {
          throw new ApiError('engine_overloaded', 'The images of other requests take all the memory for them.', {
            retryAfterMs: FULL_RETRY_MS,
          })
        }
        if (!over) taken += more
        return [place.url, `data:${image.type};base64,${image.bytes.toString('base64')}`] as const
      }),
    )
    return { fetched, release }
  } catch (error) {
    release()
    throw error
  } finally {
    failing.abort()
  }
}

async function fetchOne(
  { url, path }: ImagePlace,
  outside: Pick<OutsideClient, 'fetch'>,
  options: Pick<OutsideWish, 'payer' | 'signal'>,
) {
  try {
    const { bytes } = await outside.fetch(url, { accept: 'image/*', accepts: mayBeImage, ...options })
    const type = SIGNATURES.find(([, hasIt]) => hasIt(bytes))?.[0]
    if (type !== undefined) return { type, bytes }
  } catch (error) {
    if (!(error instanceof OutsideFailure)) throw error
    throw unfetched(path, error.message)
  }
  throw unfetched(path, 'it is no PNG, JPEG, GIF or WebP image.')
}

function unfetched(path: string, why: string): ApiError {
  return new ApiError('invalid_value', `The image at '${path}' cannot be used: ${why}`, { param: path })
}

function mayBeImage(mediaType: string): boolean {
  return mediaType.startsWith('image/') || mediaType === 'application/octet-stream' || mediaType === ''
}
