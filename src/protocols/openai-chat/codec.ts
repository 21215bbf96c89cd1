import { formOf } from '../answer-form.ts'
import { answerId } from '../answer-id.ts'
import { choiceCount, type ProtocolCodec } from '../protocol.ts'
import { ChatAnswer, ChatChunk } from './answer-schema.ts'
import { ChatBufferedEncoder } from './buffered-encoder.ts'
import { customToolNames } from './custom-tools.ts'
import { decodeChat } from './decode.ts'
import { asksForFunctions } from './deprecated-functions.ts'
import { ChatBody } from './schema.ts'
import { ChatStreamEncoder } from './stream-encoder.ts'

/** OpenAI's chat completions. */
export const OPENAI_CHAT: ProtocolCodec = {
  protocol: 'openai-chat',
  passesFrames: ({ surface, hidesReasoning }) => surface !== 'openrouter' && hidesReasoning !== true,
  description: {
    summary: 'Answer a chat',
    tag: 'Chat',
    text: 'OpenAI’s chat completions, with the fields that DeepInfra, DeepSeek, OpenRouter and vLLM add. Fields that are not known here reach the upstream.',
    body: ChatBody,
    answer: ChatAnswer,
    event: ChatChunk,
  },
  decode: (body, { requestId, surface }) => decodeChat(body, requestId, surface),
  encoder(request, publicModel, createdS, upstreamId) {
    const id = answerId('chatcmpl', request.id)
    const sent = request.sent ?? request.body
    const style = {
      asFunctionCall: asksForFunctions(sent),
      customTools: customToolNames(sent),
      hidesReasoning: request.hidesReasoning,
    }
    const common = { id, createdS, model: publicModel, form: formOf(request, upstreamId) }
    const count = choiceCount(request)
    if (!request.stream) return new ChatBufferedEncoder(common, count, style)
    const head = { ...common, object: 'chat.completion.chunk' } as const
    return new ChatStreamEncoder(head, count, request.includeUsage, style)
  },
}
