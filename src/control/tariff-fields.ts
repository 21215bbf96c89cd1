import { z } from '@hono/zod-openapi'
import { ApiError } from '../errors.ts'
import type { Tariff } from '../inference/price.ts'
import {
  DAYS,
  PriceFormatError,
  STEPS_MAX,
  type TariffDocument,
  tariffOfDocument,
  WINDOWS_MAX,
} from '../pricing/document.ts'
import { PriceOut } from './fields.ts'

const Each = (what: string) =>
  z
    .string('has to be a string such as "0.001", so that no digit is lost')
    .openapi({ description: `US dollars per ${what}, a decimal string of at most 12 places.`, example: '0.00' })
const PerMillion = z
  .string('has to be a string such as "1.30", so that no digit is lost')
  .openapi({ description: PriceOut.meta()?.description, example: '1.30' })
const Multiplier = z
  .string('has to be a string such as "0.5" or "3/4", so that it is exact')
  .openapi({ description: 'Exact: a decimal or a fraction.', example: '0.5' })
const Clock = z.string('has to be a time such as "16:30"').openapi({ description: 'HH:MM, UTC.', example: '16:30' })

const OPTIONAL_RATES = {
  cached_input: PerMillion.optional().openapi({
    description: 'Input served from a prefix cache; as input when left out.',
  }),
  cache_write: PerMillion.optional().openapi({
    description: 'Input written to a prefix cache; as input when left out.',
  }),
  reasoning: PerMillion.optional().openapi({ description: 'Output that is reasoning; as output when left out.' }),
  request: Each('request').optional(),
  search_unit: Each('search unit of a rerank').optional(),
}
const CHANGE = {
  multiplier: Multiplier.optional().openapi({ description: 'Of all prices; or else prices of its own.' }),
  input: PerMillion.optional(),
  output: PerMillion.optional(),
  ...OPTIONAL_RATES,
}

const Step = z
  .strictObject({
    from_input_tokens: z
      .int('has to be a whole number')
      .openapi({ description: 'From so many input tokens on, the whole request is priced so.', example: 200_001 }),
    ...CHANGE,
  })
  .openapi('PriceStep')
const Steps = z.array(Step).max(STEPS_MAX, `can have at most ${STEPS_MAX} entries`)

const Window = z
  .strictObject({
    days: z.array(z.enum(DAYS)).optional().openapi({ description: 'On which it begins; every day when left out.' }),
    start: Clock,
    end: Clock.openapi({ description: 'HH:MM, UTC; at or before the start it is on the next day.' }),
    ...CHANGE,
    steps: Steps.optional().openapi({ description: 'Of a window with prices of its own.' }),
  })
  .openapi('PriceWindow')

/** What a price has beside its rates, by field. */
const TERMS = {
  windows: z
    .array(Window)
    .max(WINDOWS_MAX, `can have at most ${WINDOWS_MAX} entries`)
    .optional()
    .openapi({ description: 'Parts of the week, by the time of admission; never two at once.' }),
  steps: Steps.optional().openapi({ description: 'By the input tokens of the request, cached ones included.' }),
  tiers: z
    .strictObject({ priority: Multiplier.optional(), flex: Multiplier.optional(), batch: Multiplier.optional() })
    .optional()
    .openapi({ description: 'Multipliers of the service tiers that are sold beside the standard one.' }),
}

const MARGIN = z
  .strictObject({
    upstream: z.string().openapi({ description: 'Whose cost list the prices are taken from.' }),
    multiplier: Multiplier,
  })
  .openapi({ description: 'The price is what this upstream takes, times the multiplier.' })

const TARIFF = { input: PerMillion, output: PerMillion, ...OPTIONAL_RATES, ...TERMS, margin: MARGIN.optional() }
/** The fields of a tariff as answered: these are always said. */
export const TARIFF_OUT = { ...TARIFF, cached_input: PerMillion, request: Each('request') }
/** The fields of a price in a request: with a margin, the prices may be left to the cost list. */
export const TARIFF_IN = { ...TARIFF, input: PerMillion.optional(), output: PerMillion.optional() }
/** What an upstream takes for a model. */
export const CostBody = z
  .strictObject({ input: PerMillion, output: PerMillion, ...OPTIONAL_RATES, ...TERMS })
  .openapi('Cost')

/** Reads a tariff out of a checked body; `prefix` is where in the body it stands. Throws `invalid_value`. */
export function tariffIn(document: Partial<TariffDocument>, prefix: readonly (string | number)[] = []): Tariff {
  try {
    return tariffOfDocument(document as TariffDocument)
  } catch (error) {
    if (!(error instanceof PriceFormatError)) throw error
    const param = [...prefix, ...error.path].join('.')
    throw new ApiError('invalid_value', `${param}: ${error.message}`, { param })
  }
}
