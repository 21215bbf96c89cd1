import { z } from '@hono/zod-openapi'
import { COMMON_FIELDS, optional } from '../generation-fields.ts'
import { DIMENSIONS_MAX } from '../openai-embeddings/schema.ts'

/*
 * The bodies of `POST /v1/inference/{model}`, one for each kind of work, as they are checked and as they are described to people. Names
 * and bounds are those of DeepInfra's native API (schemas of its models, read 2026-10). Fields that they do not know pass.
 */

/** Longest output that can be asked for there. */
const NEW_TOKENS_MAX = 1_000_000
/** DeepInfra's bound on inputs, queries and documents. */
const ENTRIES_MAX = 1024
const EMBEDDING_INSTRUCTION_CHARS_MAX = 512
const RERANK_INSTRUCTION_CHARS_MAX = 2048
const URL_CHARS_MAX = 2048

const SHARED = {
  webhook: optional(
    z.string().max(URL_CHARS_MAX),
    'Where the result is sent. The answer to the request then comes at once, and says that it is queued.',
  ),
  service_tier: optional(z.string(), 'auto, default, flex or priority.'),
  user: optional(z.string(), 'Your own name for whom the request is made.'),
}

/** Text to go on from. */
export const InferenceTextBody = z
  .looseObject({
    ...SHARED,
    input: z.string().min(1).openapi({ description: 'The raw prompt: no template is applied to it.' }),
    stream: optional(z.boolean(), 'Answers with server-sent events, a token each.'),
    max_new_tokens: optional(z.int().min(1).max(NEW_TOKENS_MAX), 'Most output tokens of a response; 512 when unsaid.'),
    num_responses: optional(z.int().min(1).max(128), 'Responses to the prompt; the input is charged once.'),
    temperature: COMMON_FIELDS.temperature,
    top_p: COMMON_FIELDS.top_p,
    top_k: COMMON_FIELDS.top_k,
    min_p: COMMON_FIELDS.min_p,
    repetition_penalty: COMMON_FIELDS.repetition_penalty,
    presence_penalty: COMMON_FIELDS.presence_penalty,
    frequency_penalty: COMMON_FIELDS.frequency_penalty,
    seed: COMMON_FIELDS.seed,
    stop: COMMON_FIELDS.stop,
    prompt_cache_key: COMMON_FIELDS.prompt_cache_key,
    response_format: optional(z.looseObject({ type: z.string() }), 'Only text; chat completions can promise JSON.'),
  })
  .openapi('InferenceTextRequest')

/** Texts to embed. */
export const InferenceEmbeddingsBody = z
  .looseObject({
    ...SHARED,
    inputs: z
      .union([z.string(), z.array(z.string()).min(1).max(ENTRIES_MAX)])
      .openapi({ description: `Texts; at most ${ENTRIES_MAX}.` }),
    normalize: optional(z.boolean(), 'Scales every vector to length 1.'),
    dimensions: optional(
      z.int().min(1).max(DIMENSIONS_MAX),
      'Length of the vectors. Longer than the model makes them: zeros are appended.',
    ),
    custom_instruction: optional(
      z.string().max(EMBEDDING_INSTRUCTION_CHARS_MAX),
      'Put before every input; charged with it.',
    ),
  })
  .openapi('InferenceEmbeddingsRequest')

/** Documents to rank. */
export const InferenceRerankBody = z
  .looseObject({
    ...SHARED,
    queries: z
      .union([z.string().min(1), z.array(z.string().min(1)).min(1).max(ENTRIES_MAX)])
      .openapi({ description: 'One query, or the same one for every document.' }),
    documents: z.array(z.string()).min(1).max(ENTRIES_MAX),
    instruction: optional(
      z.string().max(RERANK_INSTRUCTION_CHARS_MAX),
      'What relevance means, for models that read it; charged with every document.',
    ),
  })
  .openapi('InferenceRerankRequest')
