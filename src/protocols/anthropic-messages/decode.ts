import type {
  GenerationInput,
  InferenceRequest,
  JsonObject,
  ToolChoice,
  ToolDeclaration,
} from '../../inference/request.ts'
import { messagesToChat } from '../../translation/messages/to-chat.ts'
import { parseJsonBody } from '../../wire/json.ts'
import { checkBody } from '../check-body.ts'
import { type CommonBody, decodeCommon, decodeSampling } from '../common-request.ts'
import { missing } from '../fields.ts'
import { chatInputTokensBound } from '../openai-chat/input-bound.ts'
import type { DecodeContext } from '../protocol.ts'
import { CountTokensRequest, LenientMessagesRequest, MessagesRequest } from './schema.ts'
import { sessionOf } from './session.ts'

type ChatInput = Extract<GenerationInput, { kind: 'chat' }>

/** The base of DeepInfra's and DeepSeek's clients, where `max_tokens` may be left out. */
const LENIENT_BASE = '/anthropic/'
/**
 * Most tokens that a model makes of one image or file beyond the bytes it is sent in: an image of few bytes, or one that is only named by
 * its address, may be large. Qwen's vision models take up to 16,384 an image, which is the most among the open ones.
 */
const MEDIA_TOKENS_MAX = 16_384

/**
 * Reads the body of `POST /v1/messages` into the inner form, OpenAI's chat. Fields that we do not know are ignored and named in
 * `dropped`. Throws `ApiError` with `param` in the words of the Messages API.
 */
export function decodeMessages(bytes: Uint8Array, context: DecodeContext): InferenceRequest {
  const request = parseJsonBody(bytes)
  const lenient = context.path?.startsWith(LENIENT_BASE) === true
  checkBody(lenient ? LenientMessagesRequest : MessagesRequest, request)
  return requestOf(request, bytes.byteLength, context)
}

/** Reads the body of `POST /v1/messages/count_tokens`: the same without what concerns the answer. */
export function decodeCountTokens(request: JsonObject, bodyBytes: number, context: DecodeContext): InferenceRequest {
  checkBody(CountTokensRequest, request)
  return requestOf({ ...request, stream: false }, bodyBytes, context)
}

function requestOf(request: JsonObject, bodyBytes: number, context: DecodeContext): InferenceRequest {
  const { body, dropped } = messagesToChat(request)
  const session = sessionOf(body.user, context.headers)
  const messages = body.messages as ChatInput['messages']
  if (messages.length === 0) throw missing('messages[0].content')
  // Every field was checked under the name that it had.
  const chat = { ...body, user: session.user } as unknown as CommonBody
  const common = decodeCommon(chat, context.surface)
  const tools = (body.tools ?? []) as readonly ToolDeclaration[]
  const input: ChatInput = {
    kind: 'chat',
    messages,
    tools,
    toolChoice: (body.tool_choice ?? (tools.length > 0 ? 'auto' : 'none')) as ToolChoice,
    parallelToolCalls: body.parallel_tool_calls as boolean | undefined,
    responseFormat: (body.response_format ?? { type: 'text' }) as ChatInput['responseFormat'],
    reasoningEffort: body.reasoning_effort as string | undefined,
    ...(beginsAnswer(messages) && { continuesLast: true }),
  }
  return {
    ...common,
    id: context.requestId,
    protocol: 'anthropic-messages',
    surface: context.surface,
    input,
    sampling: decodeSampling(chat, undefined),
    outputTokensMax: body.max_tokens as number | undefined,
    cacheKey: session.cacheKey,
    body,
    dropped,
    inputTokensBound: inputBound(bodyBytes, body, input),
  }
}

/** A last turn of the assistant's begins its answer, as that API has it; what calls tools is over. */
function beginsAnswer(messages: ChatInput['messages']): boolean {
  const last = messages.at(-1)
  return last?.role === 'assistant' && last.tool_calls === undefined
}

// What the translation writes out (tags around documents, input of tools as text) is in the chat's own bytes, and in the client's what
// it left out; the larger bounds both.
function inputBound(bodyBytes: number, body: JsonObject, input: ChatInput): number {
  const bytes = Math.max(bodyBytes, Buffer.byteLength(JSON.stringify(body)))
  let media = 0
  for (const { content } of input.messages)
    if (Array.isArray(content)) for (const part of content) if (part.type !== 'text') media++
  return chatInputTokensBound(bytes, input) + media * MEDIA_TOKENS_MAX
}
