import { z } from 'zod'
import {
  DAYS,
  PriceFormatError,
  STEPS_MAX,
  type TariffDocument,
  tariffOfDocument,
  WINDOWS_MAX,
} from '../pricing/document.ts'

/** A decimal of a price list with its description, as the schema around it writes such. */
type Scalar = (description: string) => z.ZodType<string>

const about = (description: string, more: { unit?: string; allowed?: string } = {}) => ({ description, ...more })

/**
 * A price list as a setting, the same in the configuration and in the catalogue: dollars per million tokens in camelCase, with
 * windows, steps and tiers. What spans several fields is checked by `tariffOfSetting`.
 */
export function priceSetting(perMillion: Scalar, each: Scalar, multiplier: Scalar) {
  const others = {
    cachedInput: perMillion('Input served from a prefix cache; as input when left out.').optional(),
    cacheWrite: perMillion('Input written to a prefix cache; as input when left out.').optional(),
    reasoning: perMillion('Output that is reasoning; as output when left out.').optional(),
    request: each('Each request; nothing when left out.').optional(),
    searchUnit: each('Each search unit of a rerank; nothing when left out.').optional(),
  }
  const change = {
    multiplier: multiplier('Of all prices; or else prices of its own.').optional(),
    input: perMillion('Input not served from a cache.').optional(),
    output: perMillion('Output, reasoning included.').optional(),
    ...others,
  }
  const tokens = z.int().min(1).max(16_777_216)
  const steps = z
    .array(
      z.strictObject({
        fromInputTokens: tokens.meta(
          about('From so many input tokens on, the whole request is priced so.', { unit: 'tokens' }),
        ),
        ...change,
      }),
    )
    .max(STEPS_MAX)
    .optional()
  const clock = (description: string) =>
    z
      .string()
      .regex(/^\d\d:\d\d$/)
      .meta(about(description, { allowed: 'a time of day in UTC such as "16:30"' }))
  const windows = z
    .array(
      z.strictObject({
        days: z
          .array(z.enum(DAYS))
          .min(1)
          .max(DAYS.length)
          .optional()
          .meta(about('On which it begins; every day when left out.')),
        start: clock('When it opens.'),
        end: clock('When it ends; at or before the start it is on the next day.'),
        ...change,
        steps: steps.meta(about('Steps within a window that has prices of its own.')),
      }),
    )
    .max(WINDOWS_MAX)
    .optional()
  return z.strictObject({
    input: perMillion('Input not served from a cache.'),
    output: perMillion('Output, reasoning included.'),
    ...others,
    windows: windows.meta(about('Parts of the week in UTC, by the time of admission; never two at once.')),
    steps: steps.meta(about('Other prices from so many input tokens on.')),
    tiers: z
      .strictObject({
        priority: multiplier('Of the tier "priority".').optional(),
        flex: multiplier('Of the tier "flex".').optional(),
        batch: multiplier('Of batches.').optional(),
      })
      .optional()
      .meta(about('Service tiers that are sold beside the standard one; multipliers.')),
  })
}

/** A price list as a setting. */
export type PriceSetting = DeepReadonly<z.output<ReturnType<typeof priceSetting>>>

type DeepReadonly<T> = T extends readonly (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T

/** The setting as the control plane takes it. */
export function documentOfSetting(setting: PriceSetting): TariffDocument {
  return renamed(setting, name => name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)) as TariffDocument
}

/** Reads the setting; throws `PriceFormatError`, whose path is in the names of the setting. */
export function tariffOfSetting(setting: PriceSetting): ReturnType<typeof tariffOfDocument> {
  try {
    return tariffOfDocument(documentOfSetting(setting))
  } catch (error) {
    if (!(error instanceof PriceFormatError)) throw error
    const path = error.path.map(step =>
      typeof step === 'number' ? step : step.replace(/_[a-z]/g, pair => pair.slice(1).toUpperCase()),
    )
    throw new PriceFormatError(path, error.message)
  }
}

function renamed(value: unknown, rename: (name: string) => string): unknown {
  if (Array.isArray(value)) return value.map(item => renamed(item, rename))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, item]) =>
      item === undefined ? [] : [[rename(name), renamed(item, rename)]],
    ),
  )
}
