import type { InferenceRequest, JsonObject } from '../../inference/request.ts'
import { parseJsonBody } from '../../wire/json.ts'
import { decodeCommon, decodeSampling } from '../common-request.ts'
import { invalid, missing, optionalBoolean, optionalInteger, optionalString, unsupported } from '../fields.ts'

/** OpenAI's default of `max_tokens` on this wire. */
const OUTPUT_TOKENS_DEFAULT = 16
const PROMPTS_MAX = 256
/** Most choices of one request, over all its prompts. */
const CHOICES_MAX = 1024
/** Begin mark and the three marks of a fill-in-the-middle template, with room. */
const PROMPT_OVERHEAD_TOKENS = 16

/** Reads the body of `POST /v1/completions`. Throws `ApiError` with `param`. */
export function decodeCompletion(bytes: Uint8Array, requestId: string): InferenceRequest {
  const body = parseJsonBody(bytes)
  const common = decodeCommon(body)
  const prompts = decodePrompts(body)
  if (common.n * prompts.length > CHOICES_MAX) {
    throw invalid('n', `so small that n times the number of prompts is at most ${CHOICES_MAX}`, common.n)
  }
  const bestOf = optionalInteger(body, 'best_of', 1)
  if (bestOf !== undefined && bestOf !== common.n)
    throw unsupported('best_of', "has to equal 'n'; choices are not ranked.")
  const suffix = optionalString(body, 'suffix')
  return {
    id: requestId,
    protocol: 'openai-completions',
    model: common.model,
    stream: common.stream,
    includeUsage: common.includeUsage,
    input: {
      kind: 'text',
      prompts,
      echo: optionalBoolean(body, 'echo') ?? false,
      suffix: suffix === '' ? undefined : suffix,
    },
    sampling: decodeSampling(body, optionalInteger(body, 'logprobs', 0, 5)),
    n: common.n,
    // Zero is meant: evaluation harnesses ask for the log probabilities of the prompt alone.
    outputTokensMax: optionalInteger(body, 'max_tokens', 0) ?? OUTPUT_TOKENS_DEFAULT,
    serviceTier: common.serviceTier,
    cacheKey: common.cacheKey,
    endUserId: common.endUserId,
    body,
    inputTokensBound: inputTokensBound(prompts, suffix ?? ''),
  }
}

function decodePrompts(body: JsonObject): readonly (string | readonly number[])[] {
  const prompt = body.prompt
  if (typeof prompt === 'string') return [prompt]
  if (prompt === undefined || prompt === null) throw missing('prompt')
  if (!Array.isArray(prompt) || prompt.length === 0)
    throw invalid('prompt', 'a string, strings, token ids or lists of token ids', prompt)
  if (typeof prompt[0] === 'number') {
    checkTokenIds(prompt, 'prompt')
    return [prompt]
  }
  if (prompt.length > PROMPTS_MAX) throw invalid('prompt', `an array of at most ${PROMPTS_MAX} prompts`, prompt)
  for (let i = 0; i < prompt.length; i++) {
    const one: unknown = prompt[i]
    if (typeof one === 'string') continue
    if (!Array.isArray(one) || one.length === 0) throw invalid(`prompt[${i}]`, 'a string or a list of token ids', one)
    checkTokenIds(one, `prompt[${i}]`)
  }
  return prompt
}

function checkTokenIds(ids: readonly unknown[], path: string): void {
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) > 0x7fffffff)
      throw invalid(`${path}[${i}]`, 'a token id', id)
  }
}

/** Byte-level and byte-fallback tokenizers make no more tokens than bytes; the suffix is given with every prompt. */
function inputTokensBound(prompts: readonly (string | readonly number[])[], suffix: string): number {
  let bound = 0
  for (const prompt of prompts) bound += typeof prompt === 'string' ? Buffer.byteLength(prompt) : prompt.length
  return bound + prompts.length * (PROMPT_OVERHEAD_TOKENS + Buffer.byteLength(suffix))
}
