import { formOf } from '../answer-form.ts'
import { answerId } from '../answer-id.ts'
import { choiceCount, type ProtocolCodec, type ProtocolDescription } from '../protocol.ts'
import { ChatAnswer, ChatChunk } from './answer-schema.ts'
import { ChatBufferedEncoder } from './buffered-encoder.ts'
import { customToolNames } from './custom-tools.ts'
import { decodeChat } from './decode.ts'
import { asksForFunctions } from './deprecated-functions.ts'
import { asksToStore, StoringEncoder } from './kept-completion.ts'
import { ChatBody } from './schema.ts'
import { ChatStreamEncoder } from './stream-encoder.ts'

const DESCRIPTION: ProtocolDescription = {
  summary: 'Answer a chat',
  tag: 'Chat',
  text: 'OpenAI’s chat completions, with the fields that DeepInfra, DeepSeek, OpenRouter and vLLM add. Fields that are not known here reach the upstream.',
  body: ChatBody,
  answer: ChatAnswer,
  event: ChatChunk,
}

/** OpenAI's chat completions. Those that a client asks to store are kept so long; 0: none are. */
export function createOpenAiChat({ keepMs }: { readonly keepMs: number }): ProtocolCodec {
  return {
    protocol: 'openai-chat',
    passesFrames: request =>
      request.surface !== 'openrouter' && request.hidesReasoning !== true && (keepMs === 0 || !asksToStore(request)),
    description: DESCRIPTION,
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
      const buffered = () => new ChatBufferedEncoder(common, count, style)
      const head = { ...common, object: 'chat.completion.chunk' } as const
      const encoder = request.stream ? new ChatStreamEncoder(head, count, request.includeUsage, style) : buffered()
      return keepMs > 0 && asksToStore(request) ? new StoringEncoder(encoder, buffered(), request, keepMs) : encoder
    },
  }
}

/** The same where nothing is kept. */
export const OPENAI_CHAT: ProtocolCodec = createOpenAiChat({ keepMs: 0 })
