import type { ProtocolCodec } from '../protocol.ts'
import { decodeResponses, type ResponsesRequest, type ResponsesSettings } from './decode.ts'
import { ResponseBufferedEncoder, ResponseStreamEncoder } from './encoder.ts'

/** OpenAI's Responses. Runs as a chat, so any model that chats can be asked this way. */
export function createOpenAiResponses(settings: ResponsesSettings): ProtocolCodec {
  return {
    protocol: 'openai-responses',
    passesFrames: false,
    decode: (body, context) => decodeResponses(body, context, settings),
    encoder(request, publicModel, createdS) {
      const Encoder = request.stream ? ResponseStreamEncoder : ResponseBufferedEncoder
      return new Encoder(request as ResponsesRequest, publicModel, createdS, settings)
    },
  }
}
