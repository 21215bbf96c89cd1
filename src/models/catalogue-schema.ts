import { z } from 'zod'
import { priceSetting, tariffOfSetting } from '../config/price-setting.ts'
import { parsePicodollars, parsePricePerMillion } from '../ledger/money.ts'
import { PriceFormatError } from '../pricing/document.ts'
import { parseRatio } from '../pricing/ratio.ts'
import { parseSourceSpec } from './pull-spec.ts'

const modelId = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$/,
    'has to be 1 to 128 letters, digits and . _ : / @ + -, the first a letter or digit',
  )

const tokens = z.int().min(1).max(16_777_216)

const decimal = (parse: (text: string) => unknown) => () =>
  z.string({ error: 'has to be a decimal in quotes, such as "0.02"' }).superRefine((value, context) => {
    try {
      parse(value)
    } catch (error) {
      context.addIssue((error as Error).message)
    }
  })

const price = priceSetting(decimal(parsePricePerMillion), decimal(parsePicodollars), decimal(parseRatio)).superRefine(
  (value, context) => {
    try {
      tariffOfSetting(value)
    } catch (error) {
      if (!(error instanceof PriceFormatError)) throw error
      context.addIssue({ code: 'custom', path: [...error.path], message: error.message })
    }
  },
)

const source = z.string().superRefine((value, context) => {
  try {
    parseSourceSpec(value)
  } catch (error) {
    context.addIssue((error as Error).message)
  }
})

/** Sampling that the model's makers recommend, for requests that say nothing themselves. */
const sampling = z.strictObject({
  temperature: z.number().min(0).max(2).optional(),
  topP: z.number().gt(0).max(1).optional(),
  topK: z.int().min(0).max(1_000_000).optional(),
  minP: z.number().min(0).max(1).optional(),
  repetitionPenalty: z.number().gt(0).max(2).optional(),
})

const file = z.strictObject({
  /** Name in the models folder. */
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}\.gguf$/, 'has to be a plain file name that ends in .gguf'),
  bytes: z.int().min(24),
  sha256: z.string().regex(/^[0-9a-f]{64}$/, 'has to be 64 lower-case hexadecimal digits'),
  /** Places to fetch it from, in order of trial; none for a file that somebody brought. */
  sources: z.array(source).max(16).default([]),
})

/** One model of the catalogue, whole. */
export const catalogueEntrySchema = z
  .strictObject({
    id: modelId,
    name: z.string().min(1).max(200),
    aliases: z.array(modelId).max(32).default([]),
    ownedBy: z.string().min(1).max(128).default('unknown'),
    /** Day on which the weights were published, `YYYY-MM-DD`; null when unknown. */
    released: z.iso.date().nullable().default(null),
    /** llama.cpp's name of the architecture; the file has to agree. */
    architecture: z.string().regex(/^[a-z0-9][a-z0-9_.-]*$/),
    /** Weights. */
    parameters: z.int().min(1),
    contextTokens: tokens,
    /** Most output tokens of one choice. */
    outputTokensMax: tokens,
    /** SPDX identifier, or the licence's name with the page that has its text. */
    license: z.union([z.string().min(1).max(128), z.strictObject({ name: z.string().min(1).max(128), url: z.url() })], {
      error: 'has to be an SPDX identifier, or {name, url}',
    }),
    capabilities: z.strictObject({
      chat: z.boolean(),
      completion: z.boolean(),
      tools: z.boolean(),
      reasoning: z.boolean(),
      jsonSchema: z.boolean(),
      logprobs: z.boolean(),
      /** Reads images. Left out, as all below: no. */
      vision: z.boolean().optional(),
      /** Makes vectors. */
      embeddings: z.boolean().optional(),
      /** Scores documents by relevance. */
      rerank: z.boolean().optional(),
      /** Fills in the middle. */
      suffix: z.boolean().optional(),
    }),
    /** What is left out is the engine's default. */
    sampling: sampling.default({}),
    /** Default price, dollars per million tokens as decimal strings; null: the operator has to set one. */
    price: price.nullable().default(null),
    file,
  })
  .refine(entry => entry.outputTokensMax <= entry.contextTokens, {
    path: ['outputTokensMax'],
    error: 'has to be at most contextTokens',
  })

export type CatalogueEntry = z.infer<typeof catalogueEntrySchema>
/** Default price of a catalogue entry: dollars per million tokens as decimal strings. */
export type CataloguePrice = NonNullable<CatalogueEntry['price']>
