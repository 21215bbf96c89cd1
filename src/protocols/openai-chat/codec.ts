import { answerId } from '../answer-id.ts'
import { choiceCount, type ProtocolCodec } from '../protocol.ts'
import { ChatBufferedEncoder } from './buffered-encoder.ts'
import { decodeChat } from './decode.ts'
import { ChatStreamEncoder } from './stream-encoder.ts'
import { asksForFunctions } from './tools.ts'

/** OpenAI's chat completions. */
export const OPENAI_CHAT: ProtocolCodec = {
  protocol: 'openai-chat',
  passesFrames: true,
  decode: (body, { requestId }) => decodeChat(body, requestId),
  encoder(request, publicModel, createdS) {
    const id = answerId('chatcmpl', request.id)
    const asFunctionCall = asksForFunctions(request.body)
    const count = choiceCount(request)
    if (!request.stream) return new ChatBufferedEncoder({ id, createdS, model: publicModel }, count, asFunctionCall)
    const head = { id, object: 'chat.completion.chunk', createdS, model: publicModel } as const
    return new ChatStreamEncoder(head, count, request.includeUsage, asFunctionCall)
  },
}
