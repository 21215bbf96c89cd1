import { createRoute, z } from '@hono/zod-openapi'
import { ApiError } from '../errors.ts'
import type { Model, Price } from '../inference/snapshot.ts'
import { formatPricePerMillion } from '../ledger/money.ts'
import { createId } from './api-key.ts'
import { answers, type Control, type ControlApp, jsonBody } from './control-context.ts'
import {
  DollarsIn,
  formatPicodollars,
  formatTime,
  formatTimeOrNull,
  listOf,
  PageQuery,
  PriceIn,
  PriceOut,
  pageOf,
  TimeIn,
  TimeOut,
} from './fields.ts'

const PICODOLLARS_PER_NANODOLLAR = 1_000n
const ModelParams = z.object({ model: z.string().openapi({ description: 'The id; a / in it is written %2F.' }) })

/** A row of a model's price list, as answered. */
export const PriceBody = z
  .object({
    id: z.string(),
    model: z.string(),
    from: TimeOut.openapi({ description: 'In force from then on.' }),
    to: TimeOut.nullable().openapi({ description: 'No longer in force then; null: until further notice.' }),
    input: PriceOut,
    cached_input: PriceOut,
    output: PriceOut,
    request: z.string().openapi({ description: 'US dollars per request.', example: '0.00' }),
  })
  .openapi('Price')

/** What sets a price. */
export const PriceCreate = z
  .strictObject({
    input: PriceIn,
    cached_input: PriceIn,
    output: PriceIn,
    request: DollarsIn.default(0n).openapi({
      type: 'string',
      description: 'US dollars per request, at most 9 places.',
      default: '0',
    }),
    from: TimeIn.optional().openapi({ description: 'When it begins, not in the past. Defaults to now.' }),
  })
  .openapi('PriceCreate')

/** A page of a price list. */
export const PriceList = listOf(PriceBody).openapi('PriceList')

/** GET and POST /models/{model}/prices. */
export function priceRoutes(app: ControlApp, control: Control): void {
  app.openapi(
    createRoute({
      method: 'get',
      path: '/control/v1/models/{model}/prices',
      operationId: 'listPrices',
      summary: "A model's prices: past, in force and coming",
      request: { params: ModelParams, query: PageQuery },
      responses: answers(200, 'Prices in the order of time.', PriceList),
    }),
    context => {
      const { prices } = control.model(context.req.valid('param').model)
      // Padded, so that the order of text is the order of time.
      const page = pageOf(prices, price => String(price.fromMs).padStart(16, '0'), context.req.valid('query'))
      return context.json({ ...page, data: page.data.map(priceBody) }, 200)
    },
  )
  app.openapi(
    createRoute({
      method: 'post',
      path: '/control/v1/models/{model}/prices',
      operationId: 'setPrice',
      summary: 'Set the price of a model from now or a later time on',
      request: { params: ModelParams, body: jsonBody(PriceCreate) },
      responses: answers(201, 'The price. Requests admitted before it begins are charged the price before.', PriceBody),
    }),
    async context => {
      const { model: modelId } = context.req.valid('param')
      const body = context.req.valid('json')
      const id = createId('price', control.randomBytes)
      const price = await control.change(async () => {
        const nowMs = control.clock.nowMs()
        const { prices } = control.model(modelId)
        const fromMs = body.from ?? firstFreeMs(prices, nowMs)
        // What was charged must stay explicable, so history is never rewritten.
        if (fromMs < nowMs) {
          throw new ApiError('invalid_value', 'from: cannot be in the past; leave it out to begin now', {
            param: 'from',
          })
        }
        if (prices.some(other => other.fromMs === fromMs)) {
          throw new ApiError('conflict', `from: another price begins at ${formatTime(fromMs)}; choose another time`, {
            param: 'from',
          })
        }
        const price: Price = {
          id,
          modelId,
          fromMs,
          toMs: null,
          inputPicodollars: body.input,
          cachedInputPicodollars: body.cached_input,
          outputPicodollars: body.output,
          requestPicodollars: body.request * PICODOLLARS_PER_NANODOLLAR,
        }
        await control.store.setPrice(price)
        return price
      })
      const published = control.model(modelId).prices.find(each => each.id === id)
      return context.json(priceBody(published ?? price), 201)
    },
  )
}

function firstFreeMs(prices: readonly Price[], fromMs: number): number {
  let freeMs = fromMs
  while (prices.some(price => price.fromMs === freeMs)) freeMs++
  return freeMs
}

/** The price of a model at a time; undefined when it is not for sale then. */
export function priceInForce(model: Model, atMs: number): Price | undefined {
  return model.prices.find(price => price.fromMs <= atMs && (price.toMs === null || atMs < price.toMs))
}

/** A price as answered. */
export function priceBody(price: Price): z.infer<typeof PriceBody> {
  return {
    id: price.id,
    model: price.modelId,
    from: formatTime(price.fromMs),
    to: formatTimeOrNull(price.toMs),
    input: formatPricePerMillion(price.inputPicodollars),
    cached_input: formatPricePerMillion(price.cachedInputPicodollars),
    output: formatPricePerMillion(price.outputPicodollars),
    request: formatPicodollars(price.requestPicodollars),
  }
}
