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
    passesFrames: request => keepMs === 0 || !asksToStore(request),
    description: DESCRIPTION,
    decode: (body, { requestId }) => decodeChat(body, requestId),
    encoder(request, publicModel, createdS) {
      const id = answerId('chatcmpl', request.id)
      const sent = request.sent ?? request.body
      const style = { asFunctionCall: asksForFunctions(sent), customTools: customToolNames(sent) }
      const count = choiceCount(request)
      const buffered = () => new ChatBufferedEncoder({ id, createdS, model: publicModel }, count, style)
      const head = { id, object: 'chat.completion.chunk', createdS, model: publicModel } as const
      const encoder = request.stream ? new ChatStreamEncoder(head, count, request.includeUsage, style) : buffered()
      return keepMs > 0 && asksToStore(request) ? new StoringEncoder(encoder, buffered(), request, keepMs) : encoder
    },
  }
}

/** The same where nothing is kept. */
export const OPENAI_CHAT: ProtocolCodec = createOpenAiChat({ keepMs: 0 })
