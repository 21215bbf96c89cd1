import type { Caller } from '../admission/authenticate.ts'
import { ApiError } from '../errors.ts'
import type { Snapshot } from '../inference/snapshot.ts'
import type { DecodeContext, ProtocolCodec } from '../protocols/protocol.ts'
import type { UpstreamSet } from '../upstreams/upstream-set.ts'

/**
 * Input tokens that a request would have, template included, as the model's own tokenizer counts them: exact, or surely not below. Nothing
 * runs and nothing is charged.
 *
 * @throws ApiError for a wrong body, an unknown model, and one of which no upstream can count.
 */
export async function countInput(
  parts: { readonly snapshot: Snapshot; readonly upstreams: UpstreamSet },
  codec: ProtocolCodec,
  body: Uint8Array,
  { org }: Caller,
  context: DecodeContext,
): Promise<number> {
  const request = await codec.decode(body, context)
  const model = parts.snapshot.models.get(request.model)
  if (model === undefined) {
    throw new ApiError('model_not_found', `The model ${JSON.stringify(request.model)} is not offered here.`, {
      param: 'model',
    })
  }
  for (const { upstreamId, upstreamModel } of model.targets) {
    const count = await parts.upstreams
      .get(upstreamId)
      ?.countInput?.(request, upstreamModel)
      .catch(() => undefined)
    if (count !== undefined) return count
  }
  throw new ApiError(
    'unsupported_parameter',
    `No place that runs ${model.id} for ${org.name} can count tokens now; the usage of an answer says how many there were.`,
    { param: 'model' },
  )
}
