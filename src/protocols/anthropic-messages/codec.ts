import type { ProtocolCodec } from '../protocol.ts'
import { MessagesBufferedEncoder } from './buffered-encoder.ts'
import { decodeMessages } from './decode.ts'
import { messageId } from './message.ts'
import { MessagesStreamEncoder } from './stream-encoder.ts'

/** Anthropic's Messages. */
export const ANTHROPIC_MESSAGES: ProtocolCodec = {
  protocol: 'anthropic-messages',
  passesFrames: false,
  decode: decodeMessages,
  encoder(request, publicModel) {
    const head = {
      id: messageId(request.id),
      requestId: request.id,
      model: publicModel,
      stopSequences: request.sampling.stop,
    }
    return request.stream ? new MessagesStreamEncoder(head) : new MessagesBufferedEncoder(head)
  },
}
