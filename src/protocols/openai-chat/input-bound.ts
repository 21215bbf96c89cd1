import { imageUrlsOf } from '../../inference/image-parts.ts'
import type { ChatMessage, GenerationInput } from '../../inference/request.ts'
import { isObject } from '../../wire/json-object.ts'

/**
 * Tokens that a chat template adds around one message: role headers and end marks are 3 to 8 tokens in the templates of
 * Llama, Qwen, Gemma, DeepSeek and gpt-oss; a tool result is wrapped in up to 20 more.
 */
const MESSAGE_OVERHEAD_TOKENS = 32
/** Begin mark, default system prompt, dates, thinking switches, generation prompt: at most about 120 tokens (gpt-oss). */
const REQUEST_OVERHEAD_TOKENS = 256
/** The instructions how to call tools that a template writes before their declarations: about 600 tokens in the longest. */
const TOOLS_OVERHEAD_TOKENS = 1024
/** Wrapper of one tool declaration or one past tool call. */
const TOOL_OVERHEAD_TOKENS = 64

/**
 * What one image is at most, as the models count that read images: 16,384 where a model takes them at full size (Qwen2-VL and its
 * successors, whose default bound on pixels makes so many), 4,096 (Pixtral) and less in all others.
 */
const IMAGE_TOKENS_MAX = 16_384

type ChatInput = Extract<GenerationInput, { kind: 'chat' }>

/**
 * Safe upper bound of a chat's input tokens. Byte-level and byte-fallback tokenizers make no more tokens than bytes, and
 * JSON never writes a text in fewer bytes than it has in UTF-8, so the body's own size bounds all that the client wrote.
 * Tools, schemas and past calls are counted a second time: templates write them as JSON again, with spaces after
 * separators or with non-ASCII escaped, which can double them. An image counts as what models make of it at most.
 */
export function chatInputTokensBound(bodyBytes: number, input: ChatInput): number {
  let bound = bodyBytes + REQUEST_OVERHEAD_TOKENS + input.messages.length * MESSAGE_OVERHEAD_TOKENS
  if (input.tools.length > 0) {
    bound += TOOLS_OVERHEAD_TOKENS + input.tools.length * TOOL_OVERHEAD_TOKENS + jsonBytes(input.tools)
  }
  if (input.responseFormat.type === 'json_schema') bound += jsonBytes(input.responseFormat.json_schema)
  for (const message of input.messages) {
    bound += toolCallsBound(message)
    // The bytes of an image are not read as text.
    for (const url of imageUrlsOf(message)) bound += IMAGE_TOKENS_MAX - (url.startsWith('data:') ? url.length : 0)
  }
  return bound
}

function toolCallsBound(message: ChatMessage): number {
  if (!Array.isArray(message.tool_calls)) return 0
  let bound = 0
  for (const call of message.tool_calls) bound += TOOL_OVERHEAD_TOKENS + (isObject(call) ? jsonBytes(call) : 0)
  return bound
}

function jsonBytes(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value))
}
