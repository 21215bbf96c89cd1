import { ApiError } from '../../errors.ts'
import type { InferenceRequest, JsonObject } from '../../inference/request.ts'
import type { ModelCapabilities } from '../../inference/snapshot.ts'
import { parseJsonBody } from '../../wire/json.ts'
import { checkBody } from '../check-body.ts'
import { decodeSampling, endUserOf } from '../common-request.ts'
import { invalid, missing, unsupported } from '../fields.ts'
import { plainInputs, plainInputsTokensBound } from '../plain-inputs.ts'
import type { DecodeContext } from '../protocol.ts'
import { pairsTokensBound, rerankBody } from '../rerank/codec.ts'
import { InferenceEmbeddingsBody, InferenceRerankBody, InferenceTextBody } from './schema.ts'

/** DeepInfra's default of `max_new_tokens`. */
const OUTPUT_TOKENS_DEFAULT = 512
/** The path of an own deployment. */
const DEPLOYMENT = 'deploy/'

/** What all kinds of work share. */
type Frame = Pick<InferenceRequest, 'id' | 'protocol' | 'surface' | 'model' | 'includeUsage' | 'sent'>

/**
 * Reads the body of `POST /v1/inference/{model}`. Which work it asks for is told by the field that holds the input: `input`, `inputs` or
 * `queries`; without any, by what the model does. Throws `ApiError` with `param`.
 */
export function decodeInference(bytes: Uint8Array, context: DecodeContext): InferenceRequest {
  const { pathModel: model = '', requestId, surface } = context
  if (model.startsWith(DEPLOYMENT))
    throw new ApiError('not_found', 'There are no deployments of your own here; name a model in the path instead.')
  const can = context.capabilitiesOf?.(model)
  if (can === undefined)
    throw new ApiError('model_not_found', `The model ${JSON.stringify(model)} is not offered here.`, { param: 'model' })
  const sent = parseJsonBody(bytes)
  const frame: Frame = { id: requestId, protocol: 'deepinfra-inference', surface, model, includeUsage: true, sent }
  switch (workOf(sent, can)) {
    case 'embed':
      return embedRequest(sent, frame)
    case 'rerank':
      return rerankRequest(sent, frame)
    case 'text':
      return textRequest(sent, frame, can)
  }
}

function workOf(sent: JsonObject, can: ModelCapabilities): 'embed' | 'rerank' | 'text' {
  if (sent.input !== undefined) return 'text'
  if (sent.inputs !== undefined) return 'embed'
  if (sent.queries !== undefined) return 'rerank'
  if (can.embeddings === true) return 'embed'
  return can.rerank === true ? 'rerank' : 'text'
}

function textRequest(sent: JsonObject, frame: Frame, can: ModelCapabilities): InferenceRequest {
  const checked = checkBody(InferenceTextBody, sent)
  const stream = checked.stream ?? false
  const n = checked.num_responses ?? 1
  if (stream && n > 1) throw invalid('num_responses', 'at most 1 in a stream', n)
  if (checked.response_format && checked.response_format.type !== 'text')
    throw unsupported('response_format', 'asks for JSON, which a raw prompt cannot promise; use chat completions.')
  const maxTokens = checked.max_new_tokens ?? OUTPUT_TOKENS_DEFAULT
  // A stream there has the log probability of every token, without being asked.
  const logprobs = stream && can.logprobs ? 0 : undefined
  const { input, max_new_tokens: _, num_responses: __, response_format: ___, webhook: ____, ...rest } = sent
  return {
    ...frame,
    stream,
    input: { kind: 'text', prompts: [checked.input], echo: false },
    sampling: decodeSampling({ ...checked, model: frame.model }, logprobs),
    n,
    outputTokensMax: maxTokens,
    serviceTier: checked.service_tier ?? undefined,
    cacheKey: checked.prompt_cache_key ?? checked.user ?? undefined,
    endUserId: endUserOf(checked.user),
    body: {
      ...rest,
      model: frame.model,
      prompt: input,
      max_tokens: maxTokens,
      n,
      ...(logprobs !== undefined && { logprobs }),
    },
    inputTokensBound: plainInputsTokensBound([checked.input]),
  }
}

function embedRequest(sent: JsonObject, frame: Frame): InferenceRequest {
  const checked = checkBody(InferenceEmbeddingsBody, sent)
  if (sent.image !== undefined && sent.image !== null) throw unsupported('image', 'is not supported; send texts.')
  const instruction = checked.custom_instruction ?? ''
  const inputs = plainInputs(checked.inputs).map(input => `${instruction}${input}`)
  const { inputs: _, normalize: __, custom_instruction: ___, webhook: ____, image: _____, ...rest } = sent
  return {
    ...frame,
    ...PLAIN,
    input: { kind: 'embed', inputs, dimensions: checked.dimensions ?? undefined },
    serviceTier: checked.service_tier ?? undefined,
    endUserId: endUserOf(checked.user),
    body: { ...rest, model: frame.model, input: inputs },
    inputTokensBound: plainInputsTokensBound(inputs),
  }
}

function rerankRequest(sent: JsonObject, frame: Frame): InferenceRequest {
  const checked = checkBody(InferenceRerankBody, sent)
  const { documents } = checked
  const { queries: _, documents: __, webhook: ___, ...rest } = sent
  const query = oneQuery(typeof checked.queries === 'string' ? [checked.queries] : checked.queries, documents.length)
  return {
    ...frame,
    ...PLAIN,
    input: { kind: 'rerank', query, documents },
    serviceTier: checked.service_tier ?? undefined,
    endUserId: endUserOf(checked.user),
    body: { ...rerankBody(rest, documents), model: frame.model, query },
    inputTokensBound: pairsTokensBound(query, documents, checked.instruction ?? ''),
  }
}

/** Work without output. */
const PLAIN = { stream: false, sampling: { stop: [] }, n: 1, outputTokensMax: 0 } as const

// DeepInfra takes one query for all documents, or one for each; clients that know only the latter repeat theirs.
function oneQuery(queries: readonly string[], documents: number): string {
  const [query] = queries
  if (query === undefined) throw missing('queries')
  if (queries.length > 1 && queries.length !== documents)
    throw invalid('queries', `one, or as many as there are documents (${documents})`, queries)
  if (queries.some(each => each !== query))
    throw unsupported('queries', 'has to be the same for every document; send a request for each query.')
  return query
}
