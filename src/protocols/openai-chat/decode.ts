import type { z } from '@hono/zod-openapi'
import { ApiError } from '../../errors.ts'
import type { ChatMessage, InferenceRequest, JsonObject, ResponseFormat, Surface } from '../../inference/request.ts'
import { parseJsonBody } from '../../wire/json.ts'
import { checkBody } from '../check-body.ts'
import { decodeCommon, decodeSampling } from '../common-request.ts'
import { unsupported } from '../fields.ts'
import { withFirstModel, withoutRouting } from '../routing.ts'
import { withFunctions } from './custom-tools.ts'
import { withTools } from './deprecated-functions.ts'
import { chatInputTokensBound } from './input-bound.ts'
import { decodeMessages } from './messages.ts'
import { ChatBody } from './schema.ts'
import { decodeToolUse } from './tools.ts'

type Checked = z.output<typeof ChatBody>

/**
 * Reads the body of `POST /v1/chat/completions`. Fields that we do not know are ignored here and stay in `body`, because
 * clients add whatever their usual provider takes. A `max_tokens` beyond the model is no error: several clients send
 * 32,000 always. Throws `ApiError` with `param`.
 */
export function decodeChat(bytes: Uint8Array, requestId: string, surface: Surface = 'openai'): InferenceRequest {
  return chatRequest(parseJsonBody(bytes), bytes.byteLength, requestId, surface)
}

/** The request that a parsed body of so many bytes makes; for protocols too that translate theirs to chat. */
export function chatRequest(
  parsed: JsonObject,
  bodyBytes: number,
  requestId: string,
  surface: Surface = 'openai',
): InferenceRequest {
  const said = withFirstModel(parsed)
  const checked = checkBody(ChatBody, said)
  const sent = withoutRouting(said)
  const body = inTools(sent)
  const common = decodeCommon(checked, surface)
  const messages = decodeMessages(body)
  const { tools, toolChoice } = decodeToolUse(body)
  if (checked.modalities?.includes('audio')) throw unsupported('modalities', 'asks for audio, which is not supported.')
  const input = {
    kind: 'chat',
    messages,
    tools,
    toolChoice,
    parallelToolCalls: checked.parallel_tool_calls ?? undefined,
    responseFormat: responseFormatOf(checked.response_format),
    reasoningEffort: reasoningEffortOf(checked),
    chatTemplateKwargs: checked.chat_template_kwargs ?? undefined,
    ...(continuesLast(messages, surface) && { continuesLast: true }),
  } as const
  return {
    id: requestId,
    protocol: 'openai-chat',
    ...common,
    input,
    sampling: decodeSampling(checked, topLogprobsOf(checked)),
    outputTokensMax: checked.max_completion_tokens ?? checked.max_tokens ?? undefined,
    ...(hidesReasoning(checked) && { hidesReasoning: true }),
    body,
    sent: body === sent ? undefined : sent,
    inputTokensBound: chatInputTokensBound(bodyBytes, input),
  }
}

/** The body as upstreams know it: with function tools in place of custom ones, and of the deprecated functions. */
function inTools(sent: JsonObject): JsonObject {
  return withTools(withFunctions(sent))
}

/**
 * Whether the last message begins the answer: DeepSeek's clients say so with `prefix`, DeepInfra's by ending with the assistant. What calls
 * tools is over.
 */
function continuesLast(messages: readonly ChatMessage[], surface: Surface): boolean {
  const last = messages.at(-1)
  if (last?.role !== 'assistant' || (Array.isArray(last.tool_calls) && last.tool_calls.length > 0)) return false
  return surface === 'deepinfra' || last.prefix === true
}

/** `reasoning.exclude` and its older form `include_reasoning: false` (OpenRouter). */
function hidesReasoning({ reasoning, include_reasoning: included }: Checked): boolean {
  return reasoning?.exclude ?? included === false
}

function topLogprobsOf({ logprobs, top_logprobs: top }: Checked): number | undefined {
  if (logprobs === true) return top ?? 0
  if ((top ?? 0) > 0) {
    throw new ApiError('invalid_value', "'top_logprobs' needs 'logprobs' to be true.", { param: 'top_logprobs' })
  }
  return undefined
}

const TEXT: ResponseFormat = Object.freeze({ type: 'text' })
const JSON_OBJECT: ResponseFormat = Object.freeze({ type: 'json_object' })

function responseFormatOf(format: Checked['response_format']): ResponseFormat {
  if (format === undefined || format === null || format.type === 'text') return TEXT
  if (format.type === 'json_object') return JSON_OBJECT
  const { name, schema, strict } = format.json_schema
  // The schema is optional in OpenAI's types; without one any object will do.
  return { type: 'json_schema', json_schema: { name: name ?? undefined, schema: schema ?? { type: 'object' }, strict } }
}

/**
 * One effort out of the three ways to ask for it: `reasoning_effort` (OpenAI), `reasoning` (OpenRouter, DeepInfra) and
 * `thinking` (DeepSeek, whose default effort is high). Any word passes: what a level means is the model's own affair.
 */
function reasoningEffortOf({ reasoning_effort: said, reasoning, thinking }: Checked): string | undefined {
  if (said) return said
  if (reasoning?.enabled === false) return 'none'
  if (reasoning?.effort) return reasoning.effort
  if (reasoning?.enabled === true) return 'medium'
  if (thinking?.type === 'disabled') return 'none'
  return thinking?.type === 'enabled' ? 'high' : undefined
}
