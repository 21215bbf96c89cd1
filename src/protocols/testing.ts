import assert from 'node:assert/strict'
import type { InferenceRequest, JsonObject } from '../inference/request.ts'
import type { DecodeContext, ProtocolCodec } from './protocol.ts'

/** Decodes a body as the pipeline does, for codecs that need to look nothing up. */
export function decodeNow(
  codec: ProtocolCodec,
  body: JsonObject,
  requestId: string,
  context: Partial<DecodeContext> = {},
): InferenceRequest {
  const decoded = codec.decode(Buffer.from(JSON.stringify(body)), {
    requestId,
    surface: 'openai',
    headers: {},
    ...context,
  })
  assert.ok(!(decoded instanceof Promise), `${codec.protocol} looked something up`)
  return decoded
}
