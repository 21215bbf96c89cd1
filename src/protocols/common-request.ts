import { createHash } from 'node:crypto'
import type { z } from '@hono/zod-openapi'
import type { JsonObject, Sampling, Surface } from '../inference/request.ts'
import { isObject } from '../wire/json-object.ts'
import { invalid } from './fields.ts'
import type { COMMON_FIELDS } from './generation-fields.ts'
import { routingOf } from './routing.ts'

/** OpenAI's bound. */
const LOGIT_BIAS_MAX = 1024
/** OpenAI's bound on `safety_identifier` is 64. */
const END_USER_CHARS_MAX = 128

/** The part of a checked body that chat and text completions share. */
export type CommonBody = { [Name in keyof typeof COMMON_FIELDS]?: z.output<(typeof COMMON_FIELDS)[Name]> } & {
  readonly model: string
}

/** The fields that chat and text completions share, of a body that was checked against its schema. */
export function decodeCommon(body: CommonBody, surface: Surface) {
  return {
    ...routingOf(body),
    ...(surface !== 'openai' && { surface }),
    ...(body.user_id && { cacheScope: body.user_id }),
    model: body.model,
    stream: body.stream ?? false,
    // Usage is sent unless the client says no: half of the clients in use never ask, and then show zero.
    // OpenRouter's server sends it whatever they say.
    includeUsage: surface === 'openrouter' || body.stream_options?.include_usage !== false,
    n: body.n ?? 1,
    serviceTier: body.service_tier ?? undefined,
    cacheKey: body.prompt_cache_key ?? body.user ?? undefined,
    endUserId: endUserOf(body.safety_identifier ?? body.user ?? body.user_id ?? body.metadata?.user_id),
  }
}

/**
 * Whom a request was made for: `safety_identifier`, its older name `user`, `user_id`, or `metadata.user_id`. Longer ones are no names; their hash
 * stands for them, so that no client stores texts of its own with us.
 */
export function endUserOf(id: unknown): string | undefined {
  if (typeof id !== 'string' || id === '') return undefined
  return id.length <= END_USER_CHARS_MAX ? id : `sha256:${createHash('sha256').update(id).digest('hex')}`
}

/** Sampling options of a body that was checked against its schema. */
export function decodeSampling(body: CommonBody, topLogprobs: number | undefined): Sampling {
  return {
    temperature: body.temperature ?? undefined,
    topP: body.top_p ?? undefined,
    // vLLM and SGLang say -1 for "off", DeepInfra and llama.cpp 0.
    topK: body.top_k === -1 ? 0 : (body.top_k ?? undefined),
    minP: body.min_p ?? undefined,
    frequencyPenalty: body.frequency_penalty ?? undefined,
    presencePenalty: body.presence_penalty ?? undefined,
    repetitionPenalty: body.repetition_penalty ?? undefined,
    seed: body.seed ?? undefined,
    stop: decodeStop(body.stop),
    logitBias: decodeLogitBias(body.logit_bias),
    ignoreEos: body.ignore_eos ?? undefined,
    topLogprobs,
  }
}

const NO_STOP: readonly string[] = Object.freeze([])

// Empty strings come from clients that always send a template; nothing can be found before nothing.
function decodeStop(stop: CommonBody['stop']): readonly string[] {
  if (typeof stop === 'string') return stop === '' ? NO_STOP : [stop]
  return stop?.filter(text => text !== '') ?? NO_STOP
}

function decodeLogitBias(bias: CommonBody['logit_bias']): Readonly<Record<string, number>> | undefined {
  if (bias === undefined || bias === null) return undefined
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
