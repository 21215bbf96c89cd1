import { ApiError } from '../../errors.ts'
import type { InferenceRequest, JsonObject, ResponseFormat } from '../../inference/request.ts'
import { parseJsonBody } from '../../wire/json.ts'
import { decodeCommon, decodeSampling } from '../common-request.ts'
import {
  invalid,
  missing,
  optionalArray,
  optionalBoolean,
  optionalInteger,
  optionalObject,
  optionalString,
  unsupported,
} from '../fields.ts'
import { chatInputTokensBound } from './input-bound.ts'
import { decodeMessages } from './messages.ts'
import { decodeToolUse } from './tools.ts'

/**
 * Reads the body of `POST /v1/chat/completions`. Fields that we do not know are ignored here and stay in `body`, because
 * clients add whatever their usual provider takes. A `max_tokens` beyond the model is no error: several clients send
 * 32,000 always. Throws `ApiError` with `param`.
 */
export function decodeChat(bytes: Uint8Array, requestId: string): InferenceRequest {
  const body = parseJsonBody(bytes)
  const common = decodeCommon(body)
  const messages = decodeMessages(body)
  const { tools, toolChoice } = decodeToolUse(body)
  if (optionalArray(body, 'modalities')?.includes('audio'))
    throw unsupported('modalities', 'asks for audio, which is not supported.')
  const input = {
    kind: 'chat',
    messages,
    tools,
    toolChoice,
    parallelToolCalls: optionalBoolean(body, 'parallel_tool_calls'),
    responseFormat: decodeResponseFormat(body),
    reasoningEffort: decodeReasoningEffort(body),
    chatTemplateKwargs: optionalObject(body, 'chat_template_kwargs'),
  } as const
  const outputTokensMax = optionalInteger(body, 'max_completion_tokens', 1) ?? optionalInteger(body, 'max_tokens', 1)
  return {
    id: requestId,
    protocol: 'openai-chat',
    model: common.model,
    stream: common.stream,
    includeUsage: common.includeUsage,
    input,
    sampling: decodeSampling(body, decodeTopLogprobs(body)),
    n: common.n,
    outputTokensMax,
    serviceTier: common.serviceTier,
    cacheKey: common.cacheKey,
    endUserId: common.endUserId,
    body,
    inputTokensBound: chatInputTokensBound(bytes.byteLength, input),
  }
}

function decodeTopLogprobs(body: JsonObject): number | undefined {
  const top = optionalInteger(body, 'top_logprobs', 0, 20)
  if (optionalBoolean(body, 'logprobs') === true) return top ?? 0
  if (top !== undefined && top > 0) {
    throw new ApiError('invalid_value', "'top_logprobs' needs 'logprobs' to be true.", { param: 'top_logprobs' })
  }
  return undefined
}

const TEXT: ResponseFormat = Object.freeze({ type: 'text' })
const JSON_OBJECT: ResponseFormat = Object.freeze({ type: 'json_object' })

function decodeResponseFormat(body: JsonObject): ResponseFormat {
  const format = optionalObject(body, 'response_format')
  if (format === undefined || format.type === 'text') return TEXT
  if (format.type === 'json_object') return JSON_OBJECT
  if (format.type === undefined) throw missing('response_format.type')
  if (format.type !== 'json_schema')
    throw unsupported('response_format.type', 'has to be text, json_object or json_schema.')
  const path = 'response_format.json_schema'
  const declared = optionalObject(format, 'json_schema', path)
  if (declared === undefined) throw missing(path)
  const strict = optionalBoolean(declared, 'strict', `${path}.strict`)
  const name = optionalString(declared, 'name', `${path}.name`)
  // The schema is optional in OpenAI's types; without one any object will do.
  const schema = optionalObject(declared, 'schema', `${path}.schema`) ?? { type: 'object' }
  return { type: 'json_schema', json_schema: { name, schema, strict } }
}

/**
 * One effort out of the three ways to ask for it: `reasoning_effort` (OpenAI), `reasoning` (OpenRouter, DeepInfra) and
 * `thinking` (DeepSeek, whose default effort is high). Any word passes: what a level means is the model's own affair.
 */
function decodeReasoningEffort(body: JsonObject): string | undefined {
  const said = optionalString(body, 'reasoning_effort')
  const reasoning = optionalObject(body, 'reasoning')
  const thinking = optionalObject(body, 'thinking')
  const effort = reasoning && optionalString(reasoning, 'effort', 'reasoning.effort')
  const enabled = reasoning && optionalBoolean(reasoning, 'enabled', 'reasoning.enabled')
  const type = thinking && optionalString(thinking, 'type', 'thinking.type')
  if (said) return said
  if (enabled === false) return 'none'
  if (effort) return effort
  if (enabled === true) return 'medium'
  if (type === 'disabled') return 'none'
  if (type === 'enabled') return 'high'
  if (type !== undefined && type !== 'adaptive') throw invalid('thinking.type', 'enabled, disabled or adaptive', type)
  return undefined
}
