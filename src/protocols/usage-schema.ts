import { z } from '@hono/zod-openapi'

/** The `usage` object of OpenAI's chat and completions wire; see `usageJson`. */
export const UsageAnswer = z
  .looseObject({
    prompt_tokens: z.int().min(0).openapi({ description: 'Input, cached tokens included.' }),
    completion_tokens: z.int().min(0).openapi({ description: 'Output, reasoning included.' }),
    total_tokens: z.int().min(0),
    prompt_tokens_details: z.looseObject({
      cached_tokens: z.int().min(0),
      cache_write_tokens: z.int().min(0).optional(),
    }),
    completion_tokens_details: z.looseObject({ reasoning_tokens: z.int().min(0) }),
    prompt_cache_hit_tokens: z.int().min(0).openapi({ description: 'Cached tokens, as DeepSeek names them.' }),
    prompt_cache_miss_tokens: z.int().min(0),
    estimated_cost: z
      .number()
      .openapi({ description: 'What is charged, in US dollars; exact in GET /v1/usage/{request}.' }),
    notice: z.string().optional().openapi({ description: 'Why an answer ended before its time.' }),
  })
  .openapi('Usage')

/** What a token was, its log probability, and alternatives. */
const TokenLogprob = z.looseObject({
  token: z.string(),
  logprob: z.number(),
  bytes: z.array(z.int()).nullable(),
  top_logprobs: z.array(z.looseObject({ token: z.string(), logprob: z.number(), bytes: z.array(z.int()).nullable() })),
})

/** The `logprobs` of a chat choice. */
export const ChatLogprobs = z
  .looseObject({ content: z.array(TokenLogprob).nullable(), refusal: z.null() })
  .openapi('ChatLogprobs')

/** What all answers of OpenAI's wire begin with. */
export const ANSWER_HEAD = {
  id: z.string(),
  created: z.int().openapi({ description: 'Unix seconds.' }),
  model: z.string().openapi({ description: 'The id of the model that answered.' }),
  service_tier: z.string().optional().openapi({ description: 'What was charged, where the request named a tier.' }),
}
