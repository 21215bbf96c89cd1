import { z } from 'zod'
import { parsePicodollars, parsePricePerMillion } from '../ledger/money.ts'
import { parseRatio } from '../pricing/ratio.ts'
import { priceSetting } from './price-setting.ts'
import {
  about,
  count,
  DAY_MS,
  flag,
  MINUTE_MS,
  milliseconds,
  modelId,
  pathOrNull,
  SECOND_MS,
  succeeds,
} from './setting-kinds.ts'

const modelAlias = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}\*?$/)
  .meta({ allowed: 'a model id, which may end in * for every name that begins so' })

/** A word for how hard to think. */
const effort = z
  .string()
  .regex(/^[a-z]{1,32}$/)
  .meta({ allowed: '1 to 32 letters a-z' })

const price = (description: string) =>
  z
    .string()
    .refine(succeeds(parsePricePerMillion))
    .meta(
      about(description, {
        unit: 'dollars per million tokens',
        decimal: true,
        allowed: 'a decimal such as "1.30", 0 or more, at most 6 places',
      }),
    )

const priceEach = (description: string) =>
  z
    .string()
    .refine(succeeds(parsePicodollars))
    .meta(
      about(description, {
        unit: 'dollars',
        decimal: true,
        allowed: 'a decimal such as "0.0005", 0 or more, at most 12 places',
      }),
    )

const multiplier = (description: string) =>
  z
    .string()
    .refine(succeeds(parseRatio))
    .meta(about(description, { decimal: true, allowed: 'a decimal or fraction such as "0.5" or "3/4", 0 or more' }))

const priceList = priceSetting(price, priceEach, multiplier)

const upstreamModel = z.strictObject({
  model: modelId.meta(about('The public id that clients ask for.')),
  name: z.string().min(1).max(256).meta(about("The model's name at the upstream.")),
  aliases: z
    .array(modelAlias)
    .max(32)
    .default([])
    .meta(
      about('Other ids that clients may use; one that ends in * stands for every id that begins so and is no other.', {
        sample: '[deepseek-chat, claude-*]',
      }),
    ),
  ownedBy: z.string().max(128).default('unknown').meta(about('Who made the model, as shown in the list of models.')),
  license: z.string().max(128).default('unknown').meta(about('Licence of the weights, SPDX where there is one.')),
  contextTokens: z
    .int()
    .min(1)
    .max(16_777_216)
    .meta(about('Longest input plus output.', { unit: 'tokens' })),
  outputTokensMax: z
    .int()
    .min(1)
    .max(16_777_216)
    .nullable()
    .default(null)
    .meta(about('Longest output of one choice; null: as long as the context.', { unit: 'tokens' })),
  tokenizer: pathOrNull(
    'Hugging Face tokenizer.json of the model, to count its input where the upstream reports none, and to bound it closely where credit is short; null: from the bytes.',
  ),
  quantization: z
    .string()
    .regex(/^[a-z0-9]{1,16}$/)
    .nullable()
    .default(null)
    .meta(
      about('Format of the weights there, such as fp8 or int4, for clients that ask for one; null: not known.', {
        allowed: '1 to 16 of a-z and 0-9, or null',
      }),
    ),
  efforts: z
    .record(effort, effort)
    .default({})
    .meta(
      about('Words for how hard to think, each with the word that the model there knows for it.', {
        sample: '{minimal: low, medium: high, xhigh: high, ultra: max}',
      }),
    ),
  dimensions: z
    .int()
    .min(1)
    .max(65_536)
    .nullable()
    .default(null)
    .meta(
      about(
        'Length of the vectors that the model makes; clients that ask for longer ones get zeros appended. Null: not known, what is asked for is passed on.',
      ),
    ),
  trancheTokens: count(8_192, 1, 1_048_576, 'Output covered by the first hold, and by each extension.', 'tokens'),
  capabilities: z
    .strictObject({
      chat: flag(true, 'Answers chats.'),
      completion: flag(false, 'Continues plain text.'),
      tools: flag(true, 'Calls tools.'),
      reasoning: flag(false, 'Thinks before it answers.'),
      jsonSchema: flag(true, 'Keeps to a JSON schema.'),
      logprobs: flag(false, 'Reports log probabilities.'),
      vision: flag(false, 'Reads images.'),
      embeddings: flag(false, 'Makes embeddings.'),
      rerank: flag(false, 'Ranks documents.'),
      suffix: flag(false, 'Fills in between a prompt and a suffix.'),
    })
    .prefault({})
    .meta(about('What the model can do there; a request for anything else is refused.')),
  price: priceList
    .nullable()
    .default(null)
    .meta(
      about('What customers pay; null: set later with "headrace models price". Without a price nothing is served.'),
    ),
  cost: priceList
    .nullable()
    .default(null)
    .meta(
      about(
        'What the upstream takes from us, kept beside what customers are charged; null: not known, unless it says so itself.',
      ),
    ),
})

/** An entry of the section `upstreams`. */
export const upstream = z.strictObject({
  id: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/)
    .meta(
      about('Name of the upstream in logs, metrics and usage.', {
        allowed: '1 to 64 of a-z, 0-9, ".", "_" and "-", the first a letter or digit',
      }),
    ),
  api: z
    .enum(['chat', 'messages'])
    .default('chat')
    .meta(about("The API that it is spoken to in: OpenAI's chat completions, or Anthropic's Messages.")),
  baseUrl: z
    .string()
    .refine(isHttpUrl)
    .meta(
      about('Where that API starts, up to and with "/v1".', {
        allowed: 'an http or https URL without credentials, query or fragment',
      }),
    ),
  apiKeyEnv: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/)
    .nullable()
    .default(null)
    .meta(
      about(
        'Name of the environment variable that holds its API key; null: it needs none. The key itself never stands in this file.',
        { allowed: 'the name of an environment variable, or null' },
      ),
    ),
  connectionsMax: count(256, 1, 65_536, 'Most connections, hence attempts at a time.'),
  queueDepthMax: count(
    1_024,
    0,
    1_048_576,
    'Most attempts that wait for a connection; beyond it the upstream counts as overloaded.',
  ),
  allowPrivate: flag(
    false,
    'Allow an address inside this machine or network (loopback, 10/8, 192.168/16 and their like). Needed for a vLLM next door; off, so that a wrong or rebound name cannot reach inside.',
  ),
  keepsNoPrompts: flag(
    false,
    'You know that it keeps nothing of what it is sent once it has answered. Requests that ask for that go nowhere else.',
  ),
  continuation: z
    .enum(['unchanged', 'prefix', 'flags'])
    .default('unchanged')
    .meta(
      about(
        'How it is told to go on with a last message of the assistant: unchanged, as the client said it; prefix, by prefix: true on the message (DeepSeek); flags, by add_generation_prompt and continue_final_message (vLLM, SGLang).',
      ),
    ),
  stoppable: flag(
    true,
    'Closing the connection stops its work, as vLLM and SGLang do. If not, every request has its whole output held.',
  ),
  headersTimeoutMs: milliseconds(5 * MINUTE_MS, SECOND_MS, DAY_MS, 'Longest wait for the status line of an answer.'),
  models: z.array(upstreamModel).min(1).max(1_024).meta(about('What it serves.')),
})

function isHttpUrl(text: string): boolean {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) return false
  return url.username === '' && url.password === '' && url.search === '' && url.hash === ''
}
