import { z } from '@hono/zod-openapi'
import { ROUTING_FIELDS } from './routing-fields.ts'

/*
 * The fields that chat and text completions share, as they are checked and as they are described to people. Null means the default
 * everywhere, as on OpenAI's wire. Bounds are those of OpenAI's and DeepInfra's specifications, the wider of the two.
 */

/** Longest model id that is looked up; the longest published ones have about 100 characters. */
const MODEL_ID_CHARS_MAX = 256
/** DeepInfra's bound; OpenAI takes 4 (openai-node's types), and both must work. */
const STOP_SEQUENCES_MAX = 16
/** Our bound on `n`, as OpenAI's. */
const CHOICES_MAX = 128
/** OpenAI's bounds on `metadata`. */
const METADATA_PAIRS_MAX = 16
const METADATA_KEY_CHARS_MAX = 64
const METADATA_VALUE_CHARS_MAX = 512
/** DeepSeek's bound on `user_id`. */
const CACHE_SCOPE_CHARS_MAX = 512

/** A field that may be left out or null. */
export function optional<Schema extends z.ZodType>(schema: Schema, description: string) {
  return schema.nullish().openapi({ description })
}

/** The id of a model, which has to be there. */
export const ModelField = z.string().min(1).max(MODEL_ID_CHARS_MAX).openapi({
  description: 'The id or an alias of a model; GET /v1/models lists them.',
  example: 'smollm2-135m-instruct',
})

/** `stream_options`. */
const StreamOptions = z
  .looseObject({
    include_usage: optional(z.boolean(), 'False leaves the chunk with the usage out; it is sent otherwise.'),
    include_obfuscation: optional(z.boolean(), 'Accepted; nothing is padded.'),
    continuous_usage_stats: optional(z.boolean(), 'Accepted; usage comes once, at the end.'),
  })
  .openapi('StreamOptions')

/** Up to 16 pairs that a client attaches to what it asks for. */
export const Metadata = z
  .record(z.string().max(METADATA_KEY_CHARS_MAX), z.string().max(METADATA_VALUE_CHARS_MAX))
  .refine(pairs => Object.keys(pairs).length <= METADATA_PAIRS_MAX, `an object of at most ${METADATA_PAIRS_MAX} pairs`)
  .openapi('Metadata', {
    description: `At most ${METADATA_PAIRS_MAX} pairs; keys up to ${METADATA_KEY_CHARS_MAX} characters, values up to ${METADATA_VALUE_CHARS_MAX}.`,
  })

/** What chat and text completions both take. */
export const COMMON_FIELDS = {
  model: ModelField,
  ...ROUTING_FIELDS,
  stream: optional(z.boolean(), 'Answers with server-sent events as the text is made.'),
  stream_options: optional(StreamOptions, 'Only with stream.'),
  n: optional(
    z.int().min(1).max(CHOICES_MAX),
    'Choices for each prompt; the input is charged once, the output of all.',
  ),
  service_tier: optional(z.string(), 'auto, default, flex, priority (also fast); the answer says what was charged.'),
  user: optional(z.string(), 'Deprecated name of safety_identifier and prompt_cache_key.'),
  safety_identifier: optional(z.string(), 'Your own name for whom the request is made; limits can count by it.'),
  user_id: optional(
    z.string().max(CACHE_SCOPE_CHARS_MAX),
    'Keeps the prompt cache apart from those of other ids; also names whom the request is made for.',
  ),
  prompt_cache_key: optional(z.string(), 'Requests that share it are sent where their prefix is cached.'),
  metadata: optional(z.looseObject({}), 'Pairs of your own; user_id in it names whom the request is made for.'),
  temperature: optional(z.number().min(0).max(2), 'Higher is more random; 0 takes the likeliest token.'),
  top_p: optional(z.number().min(0).max(1), 'Draws from the likeliest tokens that make up this probability.'),
  top_k: optional(z.int().min(-1), 'Draws from so many likeliest tokens; 0 or -1: from all.'),
  min_p: optional(z.number().min(0).max(1), 'Leaves tokens out that are less likely than this part of the likeliest.'),
  frequency_penalty: optional(z.number().min(-2).max(2), 'Lowers tokens by how often they occurred.'),
  presence_penalty: optional(z.number().min(-2).max(2), 'Lowers tokens that occurred.'),
  repetition_penalty: optional(z.number().min(0.01).max(5), 'Divides the odds of tokens that occurred; 1: off.'),
  seed: optional(z.int(), 'Equal seed, prompt and options give the same answer where the engine can promise it.'),
  stop: optional(
    z.union([z.string(), z.array(z.string()).max(STOP_SEQUENCES_MAX)]),
    `The answer ends before the first of these; at most ${STOP_SEQUENCES_MAX}.`,
  ),
  logit_bias: optional(z.looseObject({}), 'Token ids with a bias from -100 to 100.'),
  ignore_eos: optional(z.boolean(), 'Goes on where the model would end; for load tests.'),
}
