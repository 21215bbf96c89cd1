import type { JsonObject } from '../inference/request.ts'
import { isObject } from '../wire/json-object.ts'

/*
 * Parts of a message's content. What a part says beside its type and its known fields, such as a mark for the prompt cache, travels
 * with it. Parts of a type that is not known here are the same on both sides.
 */

/** The content of a Responses item as chat has it: one plain text as a string, else a list of parts. */
export function contentToChat(content: unknown): unknown {
  if (!Array.isArray(content)) return content
  const parts = content.map(part => (isObject(part) ? partToChat(part) : part))
  const [only] = parts
  if (parts.length !== 1 || !isObject(only) || only.type !== 'text' || typeof only.text !== 'string') return parts
  return Object.keys(only).length === 2 ? only.text : parts
}

function partToChat(part: JsonObject): JsonObject {
  const { type, ...fields } = part
  switch (type) {
    case 'input_text':
    case 'output_text': {
      // What the model's text was said to come from is not read again.
      const { annotations: _, logprobs: __, ...rest } = fields
      return { type: 'text', ...rest }
    }
    case 'input_image': {
      const { image_url: url, detail, file_id: id, ...rest } = fields
      return { type: 'image_url', image_url: defined({ url, detail, file_id: id }), ...rest }
    }
    case 'input_file': {
      const { file_data: data, filename, file_id: id, file_url: url, ...rest } = fields
      return { type: 'file', file: defined({ file_data: data, filename, file_id: id, file_url: url }), ...rest }
    }
    default:
      return part
  }
}

/** The content of a chat message as a Responses item has it; the text of an assistant is output. */
export function contentToResponses(content: unknown, role: string): unknown {
  if (!Array.isArray(content)) return content
  return content.map(part => (isObject(part) ? partToResponses(part, role) : part))
}

function partToResponses(part: JsonObject, role: string): JsonObject {
  const { type, ...fields } = part
  switch (type) {
    case 'text':
      return role === 'assistant'
        ? { type: 'output_text', annotations: [], ...fields }
        : { type: 'input_text', ...fields }
    case 'image_url': {
      const { image_url: image, ...rest } = fields
      const { url, ...more } = isObject(image) ? image : { url: image }
      return { type: 'input_image', image_url: url, ...more, ...rest }
    }
    case 'file': {
      const { file, ...rest } = fields
      return { type: 'input_file', ...(isObject(file) ? file : {}), ...rest }
    }
    default:
      return part
  }
}

/** The fields that are there: JSON has no undefined. */
export function defined(fields: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null))
}
