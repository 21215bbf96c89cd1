import { ApiError } from '../../errors.ts'
import type { JsonObject } from '../../inference/request.ts'
import { restOf } from './translated.ts'

/** Content of a chat message: the text where there is nothing but one plain text, since some servers read strings only. */
export type ChatContent = string | readonly JsonObject[]

const TEXT_KNOWN = new Set(['type', 'text'])
const IMAGE_KNOWN = new Set(['type', 'source'])
const DOCUMENT_KNOWN = new Set(['type', 'source', 'title', 'citations'])
const RESULT_KNOWN = new Set(['type', 'source', 'title', 'content', 'citations'])
const REFERENCE_KNOWN = new Set(['type', 'tool_name'])
/** The name that a file gets whose document has no title: OpenAI's wire wants one. */
export const UNTITLED_FILE = 'document.pdf'

/** Several blocks, as `partsOfBlock` does it. */
export function partsOfBlocks(blocks: readonly JsonObject[], path: string, dropped: string[]): JsonObject[] {
  return blocks.flatMap((block, i) => partsOfBlock(block, `${path}[${i}]`, dropped))
}

/**
 * A content block of the Messages API as parts of a chat message. Documents and search results of text become text in tags, as no chat
 * wire has a place for them; PDFs become files. What has no form there is left out and named in `dropped`.
 *
 * @throws ApiError for a source that only Anthropic's own Files API could read.
 */
export function partsOfBlock(block: JsonObject, path: string, dropped: string[]): JsonObject[] {
  switch (block.type) {
    case 'text':
      return block.text === '' ? [] : [{ type: 'text', text: block.text, ...restOf(block, TEXT_KNOWN) }]
    case 'image':
      return [imagePart(block, path)]
    case 'document':
      return documentParts(block, path, dropped)
    case 'search_result':
      dropCitations(block, path, dropped)
      return tagged('search_result', block, blocksOf(block.content), path, dropped, restOf(block, RESULT_KNOWN))
    case 'tool_reference':
      return [{ type: 'text', text: `The tool ${block.tool_name} can be called.`, ...restOf(block, REFERENCE_KNOWN) }]
    default:
      dropped.push(`${path} (${String(block.type)})`)
      return []
  }
}

/** Parts as the content of a message. */
export function contentOfParts(parts: readonly JsonObject[]): ChatContent {
  const [only] = parts
  if (parts.length === 1 && only?.type === 'text' && Object.keys(only).length === 2) return only.text as string
  return parts.length === 0 ? '' : parts
}

function imagePart(block: JsonObject, path: string): JsonObject {
  const source = block.source as JsonObject
  const url = urlOfSource(source, path)
  return { type: 'image_url', image_url: { url }, ...restOf(block, IMAGE_KNOWN) }
}

function documentParts(block: JsonObject, path: string, dropped: string[]): JsonObject[] {
  const source = block.source as JsonObject
  dropCitations(block, path, dropped)
  if (source.type === 'text' || source.type === 'content') {
    const inner = source.type === 'text' ? [{ type: 'text', text: source.data }] : blocksOf(source.content)
    const { context: _, ...rest } = restOf(block, DOCUMENT_KNOWN)
    return tagged('document', block, inner, path, dropped, rest)
  }
  const file = { filename: block.title ?? UNTITLED_FILE, file_data: urlOfSource(source, path) }
  return [{ type: 'file', file, ...restOf(block, DOCUMENT_KNOWN) }]
}

function dropCitations(block: JsonObject, path: string, dropped: string[]): void {
  if ((block.citations as JsonObject | null | undefined)?.enabled === true) dropped.push(`${path}.citations`)
}

/** Blocks between a tag that says where they come from and its end; what the block carries beside (a cache marker) goes to its end. */
function tagged(
  tag: string,
  { title, source, context }: JsonObject,
  inner: readonly JsonObject[],
  path: string,
  dropped: string[],
  rest: JsonObject,
): JsonObject[] {
  const attributes = Object.entries({ title, source, context })
    .map(([name, value]) => (typeof value === 'string' ? ` ${name}=${JSON.stringify(value)}` : ''))
    .join('')
  const parts = partsOfBlocks(inner, `${path}.content`, dropped)
  const [open, close] = [`<${tag}${attributes}>\n`, `\n</${tag}>`]
  if (parts.every(part => part.type === 'text'))
    return [{ type: 'text', text: `${open}${parts.map(part => part.text).join('\n')}${close}`, ...rest }]
  return [{ type: 'text', text: open }, ...parts, { type: 'text', text: close, ...rest }]
}

function blocksOf(content: unknown): readonly JsonObject[] {
  return typeof content === 'string' ? [{ type: 'text', text: content }] : (content as readonly JsonObject[])
}

function urlOfSource(source: JsonObject, path: string): string {
  if (source.type === 'base64') return `data:${source.media_type};base64,${source.data}`
  if (source.type === 'url') return source.url as string
  throw new ApiError(
    'unsupported_parameter',
    `'${path}.source.type' is ${JSON.stringify(source.type)}, which cannot be read here; send "base64" or "url".`,
    { param: `${path}.source.type` },
  )
}
