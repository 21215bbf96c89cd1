import { createHash } from 'node:crypto'
import type { JsonObject, Sampling } from '../inference/request.ts'
import { isObject } from '../wire/json-object.ts'
import {
  invalid,
  optionalArray,
  optionalBoolean,
  optionalInteger,
  optionalNumber,
  optionalObject,
  optionalString,
  requiredString,
} from './fields.ts'

/** Longest model id that is looked up; the longest published ones have about 100 characters. */
const MODEL_ID_CHARS_MAX = 256
/** DeepInfra's bound; OpenAI takes 4 (openai-node's types), and both must work. */
const STOP_SEQUENCES_MAX = 16
/** Our bound on `n`, as OpenAI's. */
const CHOICES_MAX = 128
const LOGIT_BIAS_MAX = 1024
/** OpenAI's bound on `safety_identifier` is 64. */
const END_USER_CHARS_MAX = 128

/** The fields that chat and text completions share. */
export function decodeCommon(body: JsonObject) {
  const streamOptions = optionalObject(body, 'stream_options')
  return {
    model: decodeModel(body),
    stream: optionalBoolean(body, 'stream') ?? false,
    // Usage is sent unless the client says no: half of the clients in use never ask, and then show zero.
    includeUsage:
      streamOptions === undefined ||
      optionalBoolean(streamOptions, 'include_usage', 'stream_options.include_usage') !== false,
    n: optionalInteger(body, 'n', 1, CHOICES_MAX) ?? 1,
    serviceTier: optionalString(body, 'service_tier'),
    cacheKey: optionalString(body, 'prompt_cache_key') ?? optionalString(body, 'user'),
    endUserId: decodeEndUser(body),
  }
}

/** Whom the request was made for: `safety_identifier`, its older name `user`, or `metadata.user_id`. */
function decodeEndUser(body: JsonObject): string | undefined {
  const metadata = isObject(body.metadata) ? body.metadata.user_id : undefined
  const id =
    optionalString(body, 'safety_identifier') ??
    optionalString(body, 'user') ??
    (typeof metadata === 'string' ? metadata : undefined)
  if (id === undefined || id === '') return undefined
  // Longer ones are no names; their hash stands for them, so that no client stores texts of its own with us.
  return id.length <= END_USER_CHARS_MAX ? id : `sha256:${createHash('sha256').update(id).digest('hex')}`
}

/** Sampling options with the bounds of OpenAI's and DeepInfra's specifications. */
export function decodeSampling(body: JsonObject, topLogprobs: number | undefined): Sampling {
  const topK = optionalInteger(body, 'top_k', -1)
  return {
    temperature: optionalNumber(body, 'temperature', 0, 2),
    topP: optionalNumber(body, 'top_p', 0, 1),
    // vLLM and SGLang say -1 for "off", DeepInfra and llama.cpp 0.
    topK: topK === -1 ? 0 : topK,
    minP: optionalNumber(body, 'min_p', 0, 1),
    frequencyPenalty: optionalNumber(body, 'frequency_penalty', -2, 2),
    presencePenalty: optionalNumber(body, 'presence_penalty', -2, 2),
    repetitionPenalty: optionalNumber(body, 'repetition_penalty', 0.01, 5),
    seed: optionalInteger(body, 'seed', Number.MIN_SAFE_INTEGER),
    stop: decodeStop(body),
    logitBias: decodeLogitBias(body),
    ignoreEos: optionalBoolean(body, 'ignore_eos'),
    topLogprobs,
  }
}

function decodeModel(body: JsonObject): string {
  const model = requiredString(body, 'model')
  if (model.length > MODEL_ID_CHARS_MAX) throw invalid('model', `at most ${MODEL_ID_CHARS_MAX} characters`, model)
  return model
}

const NO_STOP: readonly string[] = Object.freeze([])

function decodeStop(body: JsonObject): readonly string[] {
  if (typeof body.stop === 'string') return body.stop === '' ? NO_STOP : [body.stop]
  const stop = optionalArray(body, 'stop')
  if (stop === undefined) return NO_STOP
  if (stop.length > STOP_SEQUENCES_MAX) throw invalid('stop', `a string or at most ${STOP_SEQUENCES_MAX} strings`, stop)
  for (let i = 0; i < stop.length; i++) {
    if (typeof stop[i] !== 'string') throw invalid(`stop[${i}]`, 'a string', stop[i])
  }
  // Empty strings come from clients that always send a template; nothing can be found before nothing.
  return (stop as string[]).filter(text => text !== '')
}

function decodeLogitBias(body: JsonObject): Readonly<Record<string, number>> | undefined {
  const bias = optionalObject(body, 'logit_bias')
  if (bias === undefined) return undefined
  const entries = Object.entries(bias)
  if (entries.length > LOGIT_BIAS_MAX)
    throw invalid('logit_bias', `an object of at most ${LOGIT_BIAS_MAX} tokens`, bias)
  for (const [token, value] of entries) {
    if (!/^\d{1,10}$/.test(token)) throw invalid('logit_bias', 'an object whose keys are token ids', bias)
    if (typeof value !== 'number' || value < -100 || value > 100) {
      throw invalid(`logit_bias.${token}`, 'a number from -100 to 100', value)
    }
  }
  return bias as Readonly<Record<string, number>>
}

/** Reads the parts of a text that may be a string or `text` parts; other parts are named as unsupported by the caller. */
export function isTextPart(part: unknown): part is JsonObject & { text: string } {
  return isObject(part) && part.type === 'text' && typeof part.text === 'string'
}
