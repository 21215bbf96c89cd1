import type { JsonObject } from '../../inference/request.ts'
import { isObject } from '../../wire/json-object.ts'
import { chatToTurns } from './chat-to-turns.ts'
import { writeThinking } from './thinking.ts'
import { FORMAT_NAME } from './to-chat.ts'
import { chatToTools } from './tools-from-chat.ts'
import { put, type Translated } from './translated.ts'

/** Fields that go over, under their own name or another, or that say nothing beyond the Messages API's own behaviour. */
const CARRIED = new Set([
  ...['model', 'messages', 'max_tokens', 'max_completion_tokens', 'stream', 'stream_options', 'stop', 'temperature'],
  ...['top_p', 'top_k', 'tools', 'tool_choice', 'parallel_tool_calls', 'reasoning_effort', 'reasoning', 'thinking'],
  ...['response_format', 'user', 'safety_identifier', 'metadata', 'service_tier', 'cache_control'],
])
/** The Messages API has temperatures from 0 to 1. */
const TEMPERATURE_MAX = 1

/**
 * A chat request in OpenAI's form (the inner form of all chats) as a request of the Messages API. `outputTokensMax` stands where the
 * request names no limit, since that API demands one. The order of keys within arguments may change.
 *
 * @throws ApiError for content that has no form there (audio, video), because an answer without it would be wrong.
 */
export function chatToMessages(body: JsonObject, outputTokensMax: number): Translated {
  const dropped: string[] = []
  const maxTokens = (body.max_completion_tokens ?? body.max_tokens ?? outputTokensMax) as number
  const { system, turns } = chatToTurns(body.messages as readonly JsonObject[], dropped)
  const request: JsonObject = { model: body.model, max_tokens: maxTokens }
  put(request, 'system', system)
  request.messages = turns
  for (const key of ['stream', 'top_p', 'top_k', 'cache_control']) put(request, key, body[key])
  writeTemperature(body.temperature, request, dropped)
  const stop = typeof body.stop === 'string' ? [body.stop] : ((body.stop ?? []) as readonly string[])
  const sequences = stop.filter(text => text !== '')
  if (sequences.length > 0) request.stop_sequences = sequences
  chatToTools(body, request, dropped)
  writeThinking(body, request, maxTokens, dropped)
  writeFormat(body.response_format, request, dropped)
  writeMetadata(body, request, dropped)
  if (body.service_tier === 'auto') request.service_tier = 'auto'
  else if (body.service_tier === 'default') request.service_tier = 'standard_only'
  else if (body.service_tier !== undefined && body.service_tier !== null) dropped.push('service_tier')
  for (const [key, value] of Object.entries(body))
    if (!CARRIED.has(key) && value !== null && value !== undefined) dropped.push(key)
  return { body: request, dropped }
}

function writeTemperature(temperature: unknown, request: JsonObject, dropped: string[]): void {
  if (typeof temperature !== 'number') return
  request.temperature = Math.min(temperature, TEMPERATURE_MAX)
  if (temperature > TEMPERATURE_MAX) dropped.push('temperature')
}

function writeFormat(format: unknown, request: JsonObject, dropped: string[]): void {
  if (!isObject(format) || format.type === 'text') return
  const declared = isObject(format.json_schema) ? format.json_schema : {}
  if (declared.description !== undefined && declared.description !== null)
    dropped.push('response_format.json_schema.description')
  if (typeof declared.name === 'string' && declared.name !== FORMAT_NAME)
    dropped.push('response_format.json_schema.name')
  const schema = isObject(declared.schema) ? declared.schema : { type: 'object' }
  request.output_config = {
    ...(isObject(request.output_config) ? request.output_config : {}),
    format: { type: 'json_schema', schema },
  }
}

function writeMetadata(body: JsonObject, request: JsonObject, dropped: string[]): void {
  const metadata = isObject(body.metadata) ? body.metadata : {}
  const user = body.safety_identifier ?? body.user ?? metadata.user_id
  if (typeof user === 'string' && user !== '') request.metadata = { user_id: user }
  for (const key of Object.keys(metadata)) if (key !== 'user_id') dropped.push(`metadata.${key}`)
}
