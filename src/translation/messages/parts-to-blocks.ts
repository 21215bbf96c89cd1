import { ApiError } from '../../errors.ts'
import type { JsonObject } from '../../inference/request.ts'
import { isObject } from '../../wire/json-object.ts'
import { UNTITLED_FILE } from './blocks-to-parts.ts'
import { put } from './translated.ts'

/** What the Messages API takes on a block beside the content: anything else it refuses. */
const EXTRAS = ['cache_control', 'citations', 'context', 'transformations'] as const
const KNOWN = new Set<string>(['type', 'text', 'image_url', 'file', 'refusal', ...EXTRAS])

/**
 * The content of a chat message as content blocks of the Messages API, without empty texts.
 *
 * @throws ApiError for parts that have no form there.
 */
export function blocksOfContent(content: unknown, path: string, dropped: string[]): JsonObject[] {
  if (typeof content === 'string') return content === '' ? [] : [{ type: 'text', text: content }]
  if (!Array.isArray(content)) return []
  return content.filter(isObject).flatMap((part, i) => {
    const block = blockOfPart(part, `${path}[${i}]`, dropped)
    if (block === undefined) return []
    for (const key of EXTRAS) put(block, key, part[key])
    for (const key of Object.keys(part)) if (!KNOWN.has(key)) dropped.push(`${path}[${i}].${key}`)
    return [block]
  })
}

function blockOfPart(part: JsonObject, path: string, dropped: string[]): JsonObject | undefined {
  switch (part.type) {
    case 'text':
      return part.text === '' ? undefined : { type: 'text', text: part.text }
    case 'refusal':
      return part.refusal === '' ? undefined : { type: 'text', text: part.refusal }
    case 'image_url': {
      const image = isObject(part.image_url) ? part.image_url : { url: part.image_url }
      const { detail } = image
      if (detail !== undefined && detail !== null && detail !== 'auto') dropped.push(`${path}.image_url.detail`)
      return { type: 'image', source: sourceOf(image.url as string) }
    }
    case 'file': {
      const file = isObject(part.file) ? part.file : {}
      if (typeof file.file_data !== 'string') break
      const block: JsonObject = { type: 'document', source: documentSource(file.file_data) }
      if (file.filename !== UNTITLED_FILE) put(block, 'title', file.filename)
      return block
    }
  }
  throw new ApiError(
    'unsupported_parameter',
    `'${path}' is of type ${JSON.stringify(part.type)}, which the server of this model does not take.`,
    { param: path },
  )
}

function sourceOf(url: string): JsonObject {
  const data = /^data:([^;,]*);base64,/.exec(url)
  return data === null ? { type: 'url', url } : { type: 'base64', media_type: data[1], data: url.slice(data[0].length) }
}

/** Text in a file is told apart, because base64 there is for PDFs only. */
function documentSource(url: string): JsonObject {
  const source = sourceOf(url)
  if (typeof source.media_type !== 'string' || !source.media_type.startsWith('text/')) return source
  return { type: 'text', media_type: 'text/plain', data: Buffer.from(source.data as string, 'base64').toString('utf8') }
}
