import { formOf } from '../answer-form.ts'
import { answerId } from '../answer-id.ts'
import { choiceCount, type ProtocolCodec } from '../protocol.ts'
import { CompletionAnswer, CompletionChunk } from './answer-schema.ts'
import { CompletionBufferedEncoder } from './buffered-encoder.ts'
import { decodeCompletion } from './decode.ts'
import { CompletionBody } from './schema.ts'
import { CompletionStreamEncoder } from './stream-encoder.ts'

/** OpenAI's text completions. */
export const OPENAI_COMPLETIONS: ProtocolCodec = {
  protocol: 'openai-completions',
  passesFrames: ({ surface }) => surface !== 'openrouter',
  description: {
    summary: 'Complete a text',
    tag: 'Completions',
    text: 'OpenAI’s text completions: prompts as text or token ids, echo with log probabilities, and a suffix for models that fill in the middle.',
    body: CompletionBody,
    answer: CompletionAnswer,
    event: CompletionChunk,
  },
  decode: (body, { requestId, surface }) => decodeCompletion(body, requestId, surface),
  encoder(request, publicModel, createdS, upstreamId) {
    const id = answerId('cmpl', request.id)
    const count = choiceCount(request)
    const common = { id, createdS, model: publicModel, form: formOf(request, upstreamId) }
    if (!request.stream) return new CompletionBufferedEncoder(common, count)
    const head = { ...common, object: 'text_completion' } as const
    return new CompletionStreamEncoder(head, count, request.includeUsage)
  },
}
