import { answerId } from '../answer-id.ts'
import { choiceCount, type ProtocolCodec } from '../protocol.ts'
import { ChatBufferedEncoder } from './buffered-encoder.ts'
import { customToolNames } from './custom-tools.ts'
import { decodeChat } from './decode.ts'
import { asksForFunctions } from './deprecated-functions.ts'
import { ChatStreamEncoder } from './stream-encoder.ts'

/** OpenAI's chat completions. */
export const OPENAI_CHAT: ProtocolCodec = {
  protocol: 'openai-chat',
  passesFrames: true,
  decode: (body, { requestId }) => decodeChat(body, requestId),
  encoder(request, publicModel, createdS) {
    const id = answerId('chatcmpl', request.id)
    const sent = request.sent ?? request.body
    const style = { asFunctionCall: asksForFunctions(sent), customTools: customToolNames(sent) }
    const count = choiceCount(request)
    if (!request.stream) return new ChatBufferedEncoder({ id, createdS, model: publicModel }, count, style)
    const head = { id, object: 'chat.completion.chunk', createdS, model: publicModel } as const
    return new ChatStreamEncoder(head, count, request.includeUsage, style)
  },
}
