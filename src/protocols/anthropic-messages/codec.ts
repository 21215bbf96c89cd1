import type { ProtocolCodec, ProtocolDescription } from '../protocol.ts'
import { MessageAnswer, MessageEvent } from './answer-schema.ts'
import { MessagesBufferedEncoder } from './buffered-encoder.ts'
import { decodeMessages } from './decode.ts'
import { messageId } from './message.ts'
import { MessagesRequest } from './schema.ts'
import { MessagesStreamEncoder } from './stream-encoder.ts'

const DESCRIPTION: ProtocolDescription = {
  summary: 'Answer a message',
  tag: 'Messages',
  text: 'Anthropic’s Messages. What cannot be carried over to the model is left out, and named in the header x-headrace-dropped. Under /anthropic the limit max_tokens may be left out.',
  body: MessagesRequest,
  answer: MessageAnswer,
  event: MessageEvent,
}

/** Anthropic's Messages. */
export const ANTHROPIC_MESSAGES: ProtocolCodec = {
  protocol: 'anthropic-messages',
  passesFrames: false,
  description: DESCRIPTION,
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
