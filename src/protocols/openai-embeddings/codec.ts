import type { InferenceRequest } from '../../inference/request.ts'
import { parseJsonBody } from '../../wire/json.ts'
import { checkBody } from '../check-body.ts'
import { endUserOf } from '../common-request.ts'
import { plainInputs, plainInputsTokensBound } from '../plain-inputs.ts'
import type { DecodeContext, ProtocolCodec } from '../protocol.ts'
import { EmbeddingsAnswer } from './answer-schema.ts'
import { EmbeddingsEncoder } from './encoder.ts'
import { EmbeddingsBody } from './schema.ts'

/** OpenAI's embeddings. */
export const OPENAI_EMBEDDINGS: ProtocolCodec = {
  protocol: 'openai-embeddings',
  passesFrames: false,
  description: {
    summary: 'Embed texts',
    tag: 'Embeddings',
    text: 'OpenAI’s embeddings: one vector for each text or list of token ids, as numbers or in base64, as long as you ask.',
    body: EmbeddingsBody,
    answer: EmbeddingsAnswer,
  },
  decode: decodeEmbeddings,
  encoder: (request, publicModel) => new EmbeddingsEncoder(request, publicModel),
}

/** Reads the body of `POST /v1/embeddings`. Throws `ApiError` with `param`. */
export function decodeEmbeddings(bytes: Uint8Array, { requestId, surface }: DecodeContext): InferenceRequest {
  const body = parseJsonBody(bytes)
  const checked = checkBody(EmbeddingsBody, body)
  const inputs = plainInputs(checked.input)
  return {
    id: requestId,
    protocol: 'openai-embeddings',
    surface,
    model: checked.model,
    stream: false,
    includeUsage: true,
    input: { kind: 'embed', inputs, dimensions: checked.dimensions ?? undefined },
    sampling: { stop: [] },
    n: 1,
    outputTokensMax: 0,
    serviceTier: checked.service_tier ?? undefined,
    endUserId: endUserOf(checked.safety_identifier ?? checked.user),
    body,
    inputTokensBound: plainInputsTokensBound(inputs),
  }
}
