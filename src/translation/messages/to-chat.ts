import type { JsonObject } from '../../inference/request.ts'
import { isObject } from '../../wire/json-object.ts'
import { readThinking } from './thinking.ts'
import { toolsToChat } from './tools-to-chat.ts'
import { put, type Translated } from './translated.ts'
import { turnsToChat } from './turns-to-chat.ts'

/** A schema of an answer has a name in chat, and none in the Messages API. */
export const FORMAT_NAME = 'response'
/** Fields that go over, under their own name or another. */
const CARRIED = new Set([
  ...['model', 'max_tokens', 'system', 'messages', 'stream', 'stop_sequences', 'temperature', 'top_p', 'top_k'],
  ...[
    'tools',
    'tool_choice',
    'thinking',
    'output_config',
    'output_format',
    'metadata',
    'service_tier',
    'cache_control',
  ],
])

/**
 * A request of the Messages API, already validated, in OpenAI's chat form (a superset: see `ChatMessage`). Fields without a place there
 * are left out and named. `cache_control` stays on what it marks: parts, tool messages, calls, tools.
 *
 * @throws ApiError for sources of images and documents that cannot be read here.
 */
export function messagesToChat(request: JsonObject): Translated {
  const dropped: string[] = []
  const body: JsonObject = { model: request.model, messages: turnsToChat(request, dropped) }
  put(body, 'max_tokens', request.max_tokens)
  for (const key of ['stream', 'temperature', 'top_p', 'top_k', 'cache_control']) put(body, key, request[key])
  const stop = request.stop_sequences as readonly string[] | null | undefined
  if (stop && stop.length > 0) body.stop = stop
  toolsToChat(request, body, dropped)
  readThinking(request, body, dropped)
  readFormat(request, body, dropped)
  readMetadata(request.metadata, body, dropped)
  // Anthropic's `auto` may use capacity that was paid for ahead; there is none here, so that it means the same as on OpenAI's wire.
  put(body, 'service_tier', request.service_tier === 'standard_only' ? 'default' : request.service_tier)
  for (const [key, value] of Object.entries(request))
    if (!CARRIED.has(key) && value !== null && value !== undefined) dropped.push(key)
  return { body, dropped }
}

/** `output_format` is the name that `output_config.format` had in its beta. */
function readFormat(request: JsonObject, body: JsonObject, dropped: string[]): void {
  const config = isObject(request.output_config) ? request.output_config : {}
  const format = config.format ?? request.output_format
  if (isObject(format))
    body.response_format = {
      type: 'json_schema',
      json_schema: { name: FORMAT_NAME, schema: format.schema, strict: true },
    }
  for (const [key, value] of Object.entries(config))
    if (key !== 'format' && key !== 'effort' && value !== null) dropped.push(`output_config.${key}`)
}

function readMetadata(metadata: unknown, body: JsonObject, dropped: string[]): void {
  if (!isObject(metadata)) return
  put(body, 'user', metadata.user_id)
  for (const [key, value] of Object.entries(metadata))
    if (key !== 'user_id' && value !== null) dropped.push(`metadata.${key}`)
}
