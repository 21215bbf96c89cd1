import type { ProtocolCodec, ProtocolDescription } from '../protocol.ts'
import { ResponseAnswer, ResponseEvent } from './answer-schema.ts'
import { CompactionEncoder } from './compaction.ts'
import { decodeResponses, type ResponsesRequest, type ResponsesSettings, uniqueOf } from './decode.ts'
import { ResponseBufferedEncoder, ResponseStreamEncoder } from './encoder.ts'
import { responseId } from './response-object.ts'
import { RESPONSES_BODY } from './schema.ts'

const DESCRIPTION: ProtocolDescription = {
  summary: 'Make a response',
  tag: 'Responses',
  text: 'OpenAI’s Responses, by any model that chats. Responses are kept unless "store" is false. Tools that a host would have to run are left out, and named in the header x-headrace-dropped. Fields that are not known here reach the upstream.',
  body: RESPONSES_BODY,
  answer: ResponseAnswer,
  event: ResponseEvent,
}

/** OpenAI's Responses. Runs as a chat, so any model that chats can be asked this way. */
export function createOpenAiResponses(settings: ResponsesSettings): ProtocolCodec {
  return {
    protocol: 'openai-responses',
    passesFrames: false,
    description: DESCRIPTION,
    decode: (body, context) => decodeResponses(body, context, settings),
    encoder(request, publicModel, createdS) {
      const { compacts } = (request as ResponsesRequest).responses
      if (compacts !== undefined && settings.seal !== null) {
        const head = { id: responseId(request.id), unique: uniqueOf(request.id), createdS, items: compacts }
        return new CompactionEncoder(head, settings.seal)
      }
      const Encoder = request.stream ? ResponseStreamEncoder : ResponseBufferedEncoder
      return new Encoder(request as ResponsesRequest, publicModel, createdS, settings)
    },
  }
}

/** The same where nothing is kept and nothing sealed. */
export const OPENAI_RESPONSES: ProtocolCodec = createOpenAiResponses({ keepMs: 0, seal: null })
