import type { ChatMessage, GenerationInput, JsonObject } from './request.ts'

/** Where an image stands in a chat, and its URL: `http`, `https` or `data`. */
export interface ImagePlace {
  /** As an error names it: `messages[0].content[1].image_url.url`. */
  readonly path: string
  readonly url: string
}

/** The URLs of the images in a message. */
export function imageUrlsOf({ content }: ChatMessage): readonly string[] {
  if (!Array.isArray(content)) return NONE
  return content.flatMap(part => imageUrlOf(part) ?? [])
}

const NONE: readonly string[] = Object.freeze([])

/** Whether a chat has images. */
export function hasImages(input: GenerationInput): boolean {
  return input.kind === 'chat' && input.messages.some(message => imageUrlsOf(message).length > 0)
}

/** Whether a chat has images that are somewhere else. */
export function hasRemoteImages(input: GenerationInput): boolean {
  return input.kind === 'chat' && input.messages.some(message => imageUrlsOf(message).some(isRemote))
}

/** The images of a chat that are somewhere else, in order. */
export function remoteImages(messages: readonly ChatMessage[]): ImagePlace[] {
  return messages.flatMap(({ content }, i) =>
    Array.isArray(content)
      ? content.flatMap((part: JsonObject, j) => {
          const url = imageUrlOf(part)
          return url === undefined || !isRemote(url)
            ? []
            : [{ path: `messages[${i}].content[${j}].image_url.url`, url }]
        })
      : [],
  )
}

/** Messages with other URLs in the place of those that are named; all else is the same. */
export function withImageUrls<Message extends JsonObject>(
  messages: readonly Message[],
  urls: ReadonlyMap<string, string>,
): Message[] {
  return messages.map(message => {
    const { content } = message
    if (!Array.isArray(content)) return message
    return { ...message, content: content.map((part: JsonObject) => replaced(part, urls)) }
  })
}

function replaced(part: JsonObject, urls: ReadonlyMap<string, string>): JsonObject {
  const url = imageUrlOf(part)
  const other = url === undefined ? undefined : urls.get(url)
  return other === undefined ? part : { ...part, image_url: { ...(part.image_url as JsonObject), url: other } }
}

function imageUrlOf(part: unknown): string | undefined {
  if (typeof part !== 'object' || part === null) return undefined
  const { type, image_url: image } = part as JsonObject
  if (type !== 'image_url' || typeof image !== 'object' || image === null) return undefined
  const { url } = image as JsonObject
  return typeof url === 'string' ? url : undefined
}

function isRemote(url: string): boolean {
  return /^https?:/i.test(url)
}
