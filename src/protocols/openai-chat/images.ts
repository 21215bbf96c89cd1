import type { JsonObject } from '../../inference/request.ts'
import { isObject } from '../../wire/json-object.ts'
import { invalid, missing } from '../fields.ts'

/** Largest image in a request, decoded; the bound of OpenAI and Anthropic is 20 MB and 5 MB. */
const IMAGE_BYTES_MAX = 20 * 1024 * 1024
/** The types that all models take which read images. */
const DATA_URL = /^data:image\/(?:png|jpe?g|webp|gif);base64,/i

/**
 * Checks a part of the type `image_url`, whose URL is an address on the web or holds the image itself.
 *
 * @throws ApiError that names what of it is wrong.
 */
export function checkImagePart(part: JsonObject, path: string): void {
  const image = part.image_url
  if (image === undefined || image === null) throw missing(`${path}.image_url`)
  if (!isObject(image)) throw invalid(`${path}.image_url`, 'an object with a url', image)
  const { url } = image
  const urlPath = `${path}.image_url.url`
  if (url === undefined || url === null) throw missing(urlPath)
  if (typeof url !== 'string') throw invalid(urlPath, 'a URL', url)
  if (/^https?:/i.test(url)) {
    if (!URL.canParse(url)) throw invalid(urlPath, 'a whole http or https URL', url)
    return
  }
  const head = DATA_URL.exec(url)?.[0]
  if (head === undefined)
    throw invalid(urlPath, 'an http or https URL, or data:image/png, jpeg, webp or gif in base64', url)
  const bytes = Math.floor(((url.length - head.length) * 3) / 4)
  if (bytes === 0 || bytes > IMAGE_BYTES_MAX) throw invalid(urlPath, `an image of 1 to ${IMAGE_BYTES_MAX} bytes`, bytes)
}
