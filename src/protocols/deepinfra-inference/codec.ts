import { z } from '@hono/zod-openapi'
import type { InferenceRequest } from '../../inference/request.ts'
import { parseJsonBody } from '../../wire/json.ts'
import { isObject } from '../../wire/json-object.ts'
import { unsupported } from '../fields.ts'
import { type AnswerEncoder, choiceCount, type Detached, type ProtocolCodec } from '../protocol.ts'
import { InferenceAnswer, InferenceEventAnswer } from './answer-schema.ts'
import { decodeInference } from './decode.ts'
import { InferenceEmbeddingsBody, InferenceRerankBody, InferenceTextBody } from './schema.ts'
import { failedBody, queuedBody } from './status-json.ts'
import { InferenceBufferedEncoder, InferenceStreamEncoder } from './text-encoders.ts'
import { InferenceEmbeddingsEncoder, InferenceRerankEncoder } from './vectors-encoder.ts'

/** DeepInfra's native inference: `POST /v1/inference/{model}`. */
export const DEEPINFRA_INFERENCE: ProtocolCodec = {
  protocol: 'deepinfra-inference',
  passesFrames: false,
  description: {
    summary: 'Run a model',
    tag: 'Inference',
    text: 'DeepInfra’s native inference: text from a raw prompt, embeddings or scores, by what the model does. With webhook the result is sent to you.',
    body: z.union([InferenceTextBody, InferenceEmbeddingsBody, InferenceRerankBody]),
    answer: InferenceAnswer,
    event: InferenceEventAnswer,
  },
  decode: decodeInference,
  encoder: encoderOf,
  detach,
}

function encoderOf(request: InferenceRequest): AnswerEncoder {
  if (request.input.kind === 'embed') return new InferenceEmbeddingsEncoder(request)
  if (request.input.kind === 'rerank') return new InferenceRerankEncoder(request)
  const count = choiceCount(request)
  return request.stream
    ? new InferenceStreamEncoder(request.id, count)
    : new InferenceBufferedEncoder(request.id, count)
}

const FIELD = Buffer.from('"webhook"')

// Nearly no body has the field, so that nearly none is parsed for it.
function detach(bytes: Uint8Array): Detached | null {
  if (!Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(FIELD)) return null
  const body = parseJsonBody(bytes)
  const { webhook } = body
  if (typeof webhook !== 'string' || webhook === '') return null
  if (isObject(body) && body.stream === true)
    throw unsupported('stream', 'cannot be combined with webhook: the result is sent whole.')
  return { url: webhook, param: 'webhook', queued: queuedBody, failed: failedBody }
}
