import { isIP } from 'node:net'
import { z } from 'zod'
import { parseDollars, parsePicodollars, parsePricePerMillion } from '../ledger/money.ts'
import { parseRatio } from '../pricing/ratio.ts'
import { egress } from './egress-schema.ts'
import { batches, files } from './files-schema.ts'
import { payments } from './payments-schema.ts'
import { priceSetting } from './price-setting.ts'
import { webhooks } from './webhooks-schema.ts'

/**
 * Every setting, declared once: the types, the checks, the environment names, `config.example.yaml` and
 * `docs/reference/config.md` all come from here. A setting's metadata: `description` (sentences), `unit`, `allowed`
 * (what a value must be, where type and bounds do not say it), `path` (a file or folder: `~` and relative paths are
 * resolved), `decimal` (an exact decimal: never read as a float) and `sample` (shown in the example when the default
 * says little).
 */
interface SettingMeta {
  readonly description: string
  readonly unit?: string
  readonly allowed?: string
  readonly path?: boolean
  readonly decimal?: boolean
  readonly sample?: string
}

const KIB = 1024
const MIB = 1024 * KIB
const GIB = 1024 * MIB
const SECOND_MS = 1_000
const MINUTE_MS = 60 * SECOND_MS
const DAY_MS = 24 * 60 * MINUTE_MS

const about = (description: string, more: Omit<SettingMeta, 'description'> = {}) => ({ description, ...more })

const bytes = (fallback: number, min: number, max: number, description: string) =>
  z
    .int()
    .min(min)
    .max(max)
    .default(fallback)
    .meta(about(description, { unit: 'bytes' }))

const milliseconds = (fallback: number, min: number, max: number, description: string) =>
  z
    .int()
    .min(min)
    .max(max)
    .default(fallback)
    .meta(about(description, { unit: 'milliseconds' }))

const count = (fallback: number, min: number, max: number, description: string, unit?: string) =>
  z.int().min(min).max(max).default(fallback).meta(about(description, { unit }))

const flag = (fallback: boolean, description: string) => z.boolean().default(fallback).meta(about(description))

/** `auto`, or a number that the operator insists on. */
const autoOr = (min: number, max: number, description: string, unit?: string) =>
  z
    .union([z.literal('auto'), z.int().min(min).max(max)])
    .default('auto')
    .meta(about(description, { unit }))

const pathOrNull = (description: string) =>
  z
    .string()
    .min(1)
    .nullable()
    .default(null)
    .meta(about(description, { path: true, allowed: 'a path, or null' }))

const modelId = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$/)
  .meta({ allowed: 'a model id: 1 to 128 letters, digits and . _ : / @ + -, the first a letter or digit' })

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

const upstream = z.strictObject({
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

const server = z.strictObject({
  host: z
    .string()
    .min(1)
    .max(253)
    .regex(/^[^\s/]+$/)
    .default('127.0.0.1')
    .meta(
      about(
        'Address to listen on. Only this machine can connect until you choose another; then set tls, or put a reverse proxy in front.',
        { allowed: 'a host name or IP address without port' },
      ),
    ),
  port: count(8_080, 0, 65_535, 'TCP port to listen on; 0 takes any free one.'),
  tls: z
    .strictObject({
      certFile: z
        .string()
        .min(1)
        .meta(about('Certificate chain, PEM.', { path: true, allowed: 'a path' })),
      keyFile: z
        .string()
        .min(1)
        .meta(about('Its private key, PEM.', { path: true, allowed: 'a path' })),
    })
    .nullable()
    .default(null)
    .meta(
      about('Serve HTTPS with these files; null: plain HTTP.', { sample: '{certFile: cert.pem, keyFile: key.pem}' }),
    ),
  trustedProxies: z
    .array(z.string().refine(isCidr).meta({ allowed: 'an IP address or CIDR range such as 10.0.0.0/8' }))
    .max(256)
    .default([])
    .meta(
      about('Reverse proxies whose X-Forwarded-For is believed.', {
        sample: '[127.0.0.1, 10.0.0.0/8]',
      }),
    ),
  allowedHosts: z
    .array(
      z
        .string()
        .regex(/^(\*\.)?[A-Za-z0-9._-]+$|^\[?[0-9A-Fa-f:.]+\]?$/)
        .meta({ allowed: 'a host name such as api.example.com or *.example.com, without scheme or port' }),
    )
    .max(256)
    .default([])
    .meta(
      about(
        'Host names under which clients may call us, beside loopback names and server.host. Anything else is refused, so that a web page cannot reach a local server by DNS rebinding.',
        { sample: '[api.example.com]' },
      ),
    ),
  cors: z
    .strictObject({
      origins: z
        .array(z.string().refine(isOrigin).meta({ allowed: 'an origin such as https://app.example.com, or "*"' }))
        .max(256)
        .default([])
        .meta(
          about('Web origins whose pages may call the API from a browser.', { sample: '[https://app.example.com]' }),
        ),
    })
    .prefault({})
    .meta(about('Cross-origin calls from browsers.')),
  publicModels: flag(
    true,
    'Whether the lists of models need no API key, as clients and directories of models expect. They then show the prices for everybody, and no price of a group.',
  ),
  bodyBytesMax: bytes(10 * MIB, KIB, GIB, 'Longest request body.'),
  headerBytesMax: bytes(16 * KIB, KIB, MIB, 'Longest request line and headers together.'),
  connectionsMax: count(10_000, 1, 1_000_000, 'Most open client connections; more are closed at once.'),
  requestTimeoutMs: milliseconds(MINUTE_MS, SECOND_MS, DAY_MS, 'Longest time to receive a whole request.'),
  keepAliveCommentMs: milliseconds(
    10 * SECOND_MS,
    SECOND_MS,
    10 * MINUTE_MS,
    'A stream that is silent for so long gets a comment line, so that proxies keep it open.',
  ),
  firstByteTimeoutMs: milliseconds(
    10 * MINUTE_MS,
    SECOND_MS,
    DAY_MS,
    'Longest time from a request to its first output token, queueing included.',
  ),
  requestDeadlineMs: milliseconds(
    60 * MINUTE_MS,
    SECOND_MS,
    DAY_MS,
    'Longest time from a request to the end of its answer.',
  ),
  drainTimeoutMs: milliseconds(
    30 * SECOND_MS,
    0,
    60 * MINUTE_MS,
    'When stopping, how long running requests may go on before they are ended.',
  ),
})

const money = z.strictObject({
  startingCredit: z
    .string()
    .refine(value => succeeds(parseDollars)(value) && parseDollars(value) >= 0n)
    .default('5.00')
    .meta(
      about('Credit of the org that the first start creates.', {
        unit: 'dollars',
        decimal: true,
        allowed: 'a decimal such as "5.00", 0 or more, at most 9 places',
      }),
    ),
  lowBalance: z
    .string()
    .refine(value => succeeds(parseDollars)(value) && parseDollars(value) > 0n)
    .nullable()
    .default('1.00')
    .meta(
      about(
        'An org whose balance falls below this is told of by the webhook event credit.low, once until it is above again; null: it is not.',
        { unit: 'dollars', decimal: true, allowed: 'a decimal such as "1.00" above 0, at most 9 places, or null' },
      ),
    ),
  usageMonthsKept: z
    .union([z.literal('all'), z.int().min(1).max(1_200)])
    .default('all')
    .meta(
      about(
        'Past months (UTC) whose usage rows are kept, beside the running one; older ones are dropped whole, and their hourly sums and charges stay.',
        { unit: 'months' },
      ),
    ),
  idempotency: z
    .strictObject({
      // Fewer days than any month has: the usage row of a stored answer is never dropped before it.
      keepHours: count(24, 1, 672, 'How long a repetition with the same key gets the first answer.', 'hours'),
      answerBytesMax: bytes(
        4 * MIB,
        KIB,
        64 * MIB,
        'Longest answer that is stored; a longer one says that it was not.',
      ),
      totalBytesMax: bytes(
        GIB,
        MIB,
        1_024 * GIB,
        'Most that all stored answers take in the database, compressed; beyond it the oldest go before their time.',
      ),
    })
    .prefault({})
    .meta(about('Answers to requests with an Idempotency-Key, which are stored to be sent again without a charge.')),
})

const engine = z.strictObject({
  threads: autoOr(
    1,
    1_024,
    'Threads that all embedded models share; auto: the cores, less one for the gateway where there are more than two. More than the cores would make it many times slower.',
  ),
  parallel: count(4, 1, 256, 'Requests that one model works on at a time.', 'slots'),
  queueDepthMax: count(
    256,
    0,
    1_048_576,
    'Most requests that wait for a slot of one model; beyond it they are refused with 429.',
  ),
  contextTokens: autoOr(
    256,
    16_777_216,
    "Context of one slot; auto: the model's own, or less where memory is short.",
    'tokens',
  ),
  memoryBytesMax: autoOr(
    64 * MIB,
    1_024 * GIB,
    'Memory that all embedded models may take; auto: what is free. A model that does not fit is refused before it loads.',
    'bytes',
  ),
  promptCacheBytesMax: bytes(
    512 * MIB,
    0,
    1_024 * GIB,
    'Most that stored prompt states may take; 0 turns the prompt cache off.',
  ),
  promptCacheDir: z
    .string()
    .min(1)
    .default('auto')
    .meta(
      about(
        'Folder for stored prompt states; auto: in memory where there is a memory-backed folder with room, else in the home.',
        { path: true, allowed: 'auto, or a path' },
      ),
    ),
  idleUnloadMs: milliseconds(
    30 * MINUTE_MS,
    0,
    7 * DAY_MS,
    'A model unused for so long gives its memory back; 0: only when another model needs it.',
  ),
  variant: z
    .enum(['default', 'cuda', 'vulkan'])
    .default('default')
    .meta(about('Build of the engine: CPU (with Metal on a Mac), CUDA or Vulkan.')),
  libraryDir: pathOrNull(
    'Folder that holds node_modules with another build of the engine, for GPU builds; null: the one that came along.',
  ),
})

const models = z.strictObject({
  default: modelId
    .nullable()
    .default('smollm2-135m-instruct')
    .meta(
      about('Catalogue id of the model that the first start fetches; null: none.', { allowed: 'a model id, or null' }),
    ),
  autoPull: flag(true, 'Fetch the default model when it is not there yet.'),
  catalogueFile: pathOrNull(
    'Catalogue to lay over the one that came along; null: catalogue.yaml in the home, if it is there.',
  ),
})

const printed = (max: number, description: string) => z.string().trim().min(1).max(max).meta(about(description))
const printedOrNull = (max: number, description: string) =>
  z
    .string()
    .trim()
    .min(1)
    .max(max)
    .nullable()
    .default(null)
    .meta(about(description, { allowed: 'text, or null' }))
const addressLines = (description: string) =>
  z
    .array(z.string().trim().min(1).max(200))
    .max(10)
    .default([])
    .meta(about(description, { sample: '[Hauptstraße 12, 10115 Berlin, Germany]' }))

const billing = z.strictObject({
  name: printedOrNull(200, 'Who sells, as printed on invoices; null: statements only, no invoices.'),
  address: addressLines('Lines under the name.'),
  taxId: printedOrNull(100, 'Tax number of the seller.'),
  taxRate: z
    .string()
    .refine(text => /^\d{1,2}(\.\d{1,4})?$|^100(\.0{1,4})?$/.test(text))
    .default('0')
    .meta(
      about('Tax on the net amount of an invoice.', {
        unit: 'percent',
        decimal: true,
        allowed: 'a decimal such as "8.875", from 0 to 100, at most 4 places',
      }),
    ),
  invoicePrefix: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,15}$/)
    .default('INV')
    .meta(
      about('First part of the number of every invoice; month and org follow.', {
        allowed: '1 to 16 letters, digits, "_" and "-", the first a letter or digit',
      }),
    ),
  note: printedOrNull(500, 'A line for the foot of invoices, such as terms or in which currency to pay.'),
  customers: z
    .array(
      z.strictObject({
        org: printed(128, 'Id of the org.'),
        name: printed(200, 'Name of the customer as printed.'),
        address: addressLines('Lines under the name.'),
        taxId: printedOrNull(100, 'Tax number of the customer.'),
      }),
    )
    .max(10_000)
    .default([])
    .meta(
      about('Whom invoices of an org are made out to; without an entry, to the name of the org.', {
        sample: '[{org: org_0aB3dE5gH7jK9m, name: Acme Robotics Inc.}]',
      }),
    ),
})

const responses = z.strictObject({
  keepDays: count(
    30,
    0,
    3_650,
    'How long responses and stored chat completions are kept, with their input, to be read and continued by id. 0: none are; then background responses are refused, and a client that names an earlier response is told that it is not here.',
    'days',
  ),
})

const log = z.strictObject({
  level: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
    .default('info')
    .meta(about('Least severe line that is written.')),
  format: z
    .enum(['auto', 'pretty', 'json'])
    .default('auto')
    .meta(about('Form of a line; auto: pretty on a terminal, else json.')),
})

const telemetry = z.strictObject({
  metrics: flag(true, 'Answer GET /metrics in the Prometheus text format.'),
})

/** The whole configuration, as written in a file; `{}` is valid and means every default. */
export const configSchema = z.strictObject({
  home: z
    .string()
    .min(1)
    .default('~/.headrace')
    .meta(
      about('Folder of the database, keys, models and sockets of one installation.', { path: true, allowed: 'a path' }),
    ),
  server: server.prefault({}).meta(about('Where and how the API is served.')),
  money: money.prefault({}).meta(about('Credit, and the records of charges.')),
  billing: billing.prefault({}).meta(about('What invoices say beside the charges.')),
  engine: engine.prefault({}).meta(about('The embedded engine (llama.cpp).')),
  models: models.prefault({}).meta(about('Which models are there from the start.')),
  responses: responses.prefault({}).meta(about('What is kept of answers for the clients that got them.')),
  upstreams: z
    .array(upstream)
    .max(1_024)
    .default([])
    .meta(about('Other servers that run models: vLLM, SGLang, providers.')),
  log: log.prefault({}).meta(about('The log, on standard error.')),
  telemetry: telemetry.prefault({}).meta(about('What can be measured from outside.')),
  payments: payments.prefault({}).meta(about('How credit is bought.')),
  webhooks,
  egress: egress.prefault({}).meta(about('Requests to URLs that clients supply: images, and webhooks of their own.')),
  files: files
    .prefault({})
    .meta(about('Files that clients upload, and those that batches make; in the folder files of the home.')),
  batches: batches.prefault({}).meta(about('Requests that are handed in by the file and run when there is room.')),
})

/** Recursively read-only. */
export type Frozen<T> = T extends readonly (infer Item)[]
  ? readonly Frozen<Item>[]
  : T extends object
    ? { readonly [K in keyof T]: Frozen<T[K]> }
    : T

/** The configuration in force: checked, complete, paths absolute, frozen. */
export type Config = Frozen<z.output<typeof configSchema>>

function succeeds(parse: (text: string) => unknown): (text: string) => boolean {
  return text => {
    try {
      parse(text)
      return true
    } catch {
      return false
    }
  }
}

function isHttpUrl(text: string): boolean {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) return false
  return url.username === '' && url.password === '' && url.search === '' && url.hash === ''
}

function isOrigin(text: string): boolean {
  if (text === '*') return true
  const url = URL.parse(text)
  return url !== null && url.origin === text
}

function isCidr(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/')
  const family = isIP(address)
  if (family === 0 || rest.length > 0) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128))
}
