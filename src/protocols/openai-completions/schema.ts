import { z } from '@hono/zod-openapi'
import { COMMON_FIELDS, optional } from '../generation-fields.ts'

/* The body of `POST /v1/completions`, as it is checked and as it is described to people. Fields that it does not know pass. */

/** Most prompts of one request. */
const PROMPTS_MAX = 256

/** Tokens by their ids in the model's vocabulary. */
export const TokenIds = z.array(z.int().min(0).max(0x7fffffff)).min(1)

/** The body of a text completion. */
export const CompletionBody = z
  .looseObject({
    ...COMMON_FIELDS,
    prompt: z
      .union([
        z.string(),
        TokenIds,
        z
          .array(z.union([z.string(), TokenIds]))
          .min(1)
          .max(PROMPTS_MAX),
      ])
      .openapi({ description: `A text, texts, token ids or lists of token ids; at most ${PROMPTS_MAX} prompts.` }),
    suffix: optional(z.string(), 'What follows the text to be filled in, for models that fill in the middle.'),
    max_tokens: optional(
      z.int().min(0),
      'Most output tokens of a choice; 16 when unsaid. 0 asks for the prompt alone.',
    ),
    best_of: optional(z.int().min(1), 'Has to equal n: choices are not ranked.'),
    logprobs: optional(z.int().min(0).max(5), 'So many alternatives to each token, with log probabilities.'),
    echo: optional(z.boolean(), 'Begins the answer with the prompt.'),
  })
  .openapi('CompletionRequest')
