import { z } from '@hono/zod-openapi'

/* What a request says about who serves it, as it is checked and as it is described to people. */

const NAMES_MAX = 100
/** Models of one request beside its first: each of them is quoted. */
const FALLBACK_MODELS_MAX = 8
const MODEL_ID_CHARS_MAX = 256

const names = (description: string) =>
  z.array(z.string().min(1).max(MODEL_ID_CHARS_MAX)).max(NAMES_MAX).nullish().openapi({ description })
const bound = z.number().positive()
const bounds = (description: string) =>
  z
    .union([
      bound,
      z.looseObject({ p50: bound.nullish(), p75: bound.nullish(), p90: bound.nullish(), p99: bound.nullish() }),
    ])
    .nullish()
    .openapi({ description })
const amount = (description: string) =>
  z.union([z.string(), z.number().nonnegative()]).nullish().openapi({ description })
const sort = z.enum(['price', 'throughput', 'latency', 'exacto'])

/** `provider` of a request: where it may run, and what it may cost. Providers are upstreams, named by their ids in any case of letters. */
export const ProviderPreferences = z
  .looseObject({
    order: names('Upstreams to try first, in this order.'),
    only: names('No other upstream may serve the request.'),
    ignore: names('These upstreams may not serve it.'),
    allow_fallbacks: z
      .boolean()
      .nullish()
      .openapi({ description: 'False: only the first choice, or those in order, may serve it.' }),
    require_parameters: z
      .boolean()
      .nullish()
      .openapi({ description: 'Refuse what the model does not know, in place of leaving it unheard.' }),
    data_collection: z
      .enum(['allow', 'deny'])
      .nullish()
      .openapi({ description: 'deny: only upstreams that are declared to keep no prompts.' }),
    zdr: z.boolean().nullish().openapi({ description: 'As data_collection: deny.' }),
    quantizations: names('Formats of the weights that will do, such as fp8 or int4; unknown for those not declared.'),
    sort: z
      .union([sort, z.looseObject({ by: sort.nullish() })])
      .nullish()
      .meta({
        description: 'Order by price, throughput or latency in place of spreading the load; exacto changes nothing.',
      }),
    max_price: z
      .looseObject({
        prompt: amount('Dollars per million input tokens.'),
        completion: amount('Dollars per million output tokens.'),
        request: amount('Dollars per request.'),
      })
      .nullish()
      .openapi({ description: 'The most that the customer pays; a dearer model is not used.' }),
    preferred_max_latency: bounds(
      'Seconds to the first token, the median or by percentile; slower upstreams come last.',
    ),
    preferred_min_throughput: bounds('Tokens per second, the median or by percentile; slower upstreams come last.'),
  })
  .openapi('ProviderPreferences')

/** What a request says about who serves it, beside `model`. */
export const ROUTING_FIELDS = {
  provider: ProviderPreferences.nullish().openapi({ description: 'Where the request may run.' }),
  models: z
    .array(z.string().min(1).max(MODEL_ID_CHARS_MAX))
    .max(FALLBACK_MODELS_MAX + 1)
    .nullish()
    .openapi({ description: 'Models to try in this order, after model where that is given.' }),
}
