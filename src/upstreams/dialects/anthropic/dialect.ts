import { ApiError } from '../../../errors.ts'
import type { InferenceRequest, JsonObject } from '../../../inference/request.ts'
import type { Attempt } from '../../../inference/upstream.ts'
import { chatToMessages } from '../../../translation/messages/from-chat.ts'
import type { Translated } from '../../../translation/messages/translated.ts'
import type { HttpDialect } from '../../http-dialect.ts'
import { translateEffort } from '../openai/effort.ts'
import { failureOfStatus } from '../openai/failure.ts'
import { MessagesStreamDecoder } from './stream-decoder.ts'

/** The version that every server of this API knows; those who made it take its newer forms under it too. */
const VERSION = '2023-06-01'

/** Anthropic's Messages, for upstreams that speak nothing else. */
export const ANTHROPIC_DIALECT: HttpDialect = {
  // Servers read the key from one of the two: Anthropic's older versions and AI SDK's from `x-api-key`, vLLM only as bearer.
  headers: apiKey => ({
    'anthropic-version': VERSION,
    ...(apiKey !== null && { 'x-api-key': apiKey, authorization: `Bearer ${apiKey}` }),
  }),
  exchange(attempt, { efforts }) {
    const { request, upstreamModel } = attempt
    const { body } = translated(request, outputTokensMax(attempt), efforts?.get(upstreamModel))
    return { path: '/messages', body: { ...body, model: upstreamModel, stream: true } }
  },
  drops(request) {
    try {
      return translated(request, request.outputTokensMax ?? Number.MAX_SAFE_INTEGER).dropped
    } catch (error) {
      // What cannot be sent at all fails when it is tried.
      if (error instanceof ApiError) return []
      throw error
    }
  },
  decoder: () => new MessagesStreamDecoder(),
  failureOfStatus,
}

function outputTokensMax({ request, outputTokensMax: admitted, outputTokensFit }: Attempt): number {
  return Math.min(request.outputTokensMax ?? admitted, outputTokensFit ?? admitted)
}

/** The request as it was validated, so that deprecated forms of it have become what they stand for. */
function translated(
  request: InferenceRequest,
  maxTokens: number,
  efforts: Readonly<Record<string, string>> = {},
): Translated {
  const { input, n, sampling } = request
  if (input.kind !== 'chat') throw cannot('anything but chats', 'model')
  if (n > 1) throw cannot('several choices', 'n')
  if (sampling.topLogprobs !== undefined) throw cannot('log probabilities', 'logprobs')
  const body: JsonObject = { ...request.body, messages: input.messages, max_tokens: maxTokens, stop: sampling.stop }
  // Deprecated forms have become what they stand for, and choices and log probabilities were looked at above.
  for (const key of ['functions', 'function_call', 'max_completion_tokens', 'n', 'logprobs']) delete body[key]
  body.tools = input.tools
  body.tool_choice = input.toolChoice
  body.response_format = input.responseFormat
  if (input.reasoningEffort !== undefined) body.reasoning_effort = input.reasoningEffort
  translateEffort(body, efforts)
  return chatToMessages(body, maxTokens)
}

function cannot(what: string, param: string): ApiError {
  return new ApiError('unsupported_parameter', `The server of this model does not offer ${what}.`, { param })
}
