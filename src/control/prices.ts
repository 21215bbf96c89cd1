import { createRoute, z } from '@hono/zod-openapi'
import { ApiError } from '../errors.ts'
import type { Tariff } from '../inference/price.ts'
import type { Model, Price } from '../inference/snapshot.ts'
import { documentOfTariff } from '../pricing/document.ts'
import { overCost } from '../pricing/margin.ts'
import { parseRatio, RatioFormatError } from '../pricing/ratio.ts'
import { createId } from './api-key.ts'
import { answers, type Control, type ControlApp, jsonBody } from './control-context.ts'
import { formatTime, formatTimeOrNull, GroupIn, listOf, PageQuery, pageOf, TimeIn, TimeOut } from './fields.ts'
import { TARIFF_IN, TARIFF_OUT, tariffIn } from './tariff-fields.ts'

const ModelParams = z.object({ model: z.string().openapi({ description: 'The id; a / in it is written %2F.' }) })

/** A row of a model's price list, as answered. */
export const PriceBody = z
  .object({
    id: z.string(),
    model: z.string(),
    group: z
      .string()
      .optional()
      .openapi({ description: 'For the orgs of this price group; absent: for everybody else.' }),
    from: TimeOut.openapi({ description: 'In force from then on.' }),
    to: TimeOut.nullable().openapi({ description: 'No longer in force then; null: until further notice.' }),
    ...TARIFF_OUT,
  })
  .openapi('Price')

/** What sets a price. */
export const PriceCreate = z
  .strictObject({
    group: GroupIn.optional().openapi({ description: 'For the orgs of this price group alone.' }),
    from: TimeIn.optional().openapi({ description: 'When it begins, not in the past. Defaults to now.' }),
    to: TimeIn.optional().openapi({
      description:
        'When it ends. Defaults to where the next price begins, else never. Behind it the model is not sold until another price begins.',
    }),
    ...TARIFF_IN,
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
      const page = pageOf(prices, orderOf, context.req.valid('query'))
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
        const model = control.model(modelId)
        const group = body.group ?? null
        const prices = pricesOfGroup(model, group)
        const fromMs = body.from ?? firstFreeMs(prices, nowMs)
        // What was charged must stay explicable, so history is never rewritten.
        if (fromMs < nowMs) throw refused('from', 'cannot be in the past; leave it out to begin now')
        if (prices.some(other => other.fromMs === fromMs)) {
          throw new ApiError('conflict', `from: another price begins at ${formatTime(fromMs)}; choose another time`, {
            param: 'from',
          })
        }
        if (body.to !== undefined && body.to <= fromMs) throw refused('to', 'has to be after from')
        const price: Price = {
          id,
          modelId,
          ...(group !== null && { group }),
          fromMs,
          toMs: body.to ?? null,
          ...pricedBy(model, body),
        }
        await control.store.setPrices([price])
        return price
      })
      const published = control.model(modelId).prices.find(each => each.id === id)
      return context.json(priceBody(published ?? price), 201)
    },
  )
}

/** The rows of one price group, in the order of time; null: those for everybody. */
export function pricesOfGroup(model: Model, group: string | null): Price[] {
  return model.prices.filter(price => (price.group ?? null) === group)
}

/** The first instant, from `fromMs` on, at which no row begins. */
export function firstFreeMs(prices: readonly Pick<Price, 'fromMs'>[], fromMs: number): number {
  let freeMs = fromMs
  while (prices.some(price => price.fromMs === freeMs)) freeMs++
  return freeMs
}

/** The tariff that a body says, its prices taken from the cost list of an upstream where it says a margin and no prices. */
export function pricedBy(
  model: Model | undefined,
  body: Omit<z.output<typeof PriceCreate>, 'from' | 'to' | 'group'>,
  prefix: readonly (string | number)[] = [],
): Tariff {
  const { margin, input } = body
  if (margin === undefined || input !== undefined) return tariffIn(body, prefix)
  const at = (field: string) => [...prefix, 'margin', field].join('.')
  const cost = model?.targets.find(target => target.upstreamId === margin.upstream)?.cost
  if (cost === undefined)
    throw refused(
      at('upstream'),
      `${JSON.stringify(margin.upstream)} has no cost list for the model; write upstreams[].models[].cost, or give prices`,
    )
  try {
    return overCost(cost, margin.upstream, parseRatio(margin.multiplier))
  } catch (error) {
    if (!(error instanceof RatioFormatError)) throw error
    throw refused(at('multiplier'), error.message)
  }
}

/** A price as answered. */
export function priceBody(price: Price): z.output<typeof PriceBody> {
  return {
    id: price.id,
    model: price.modelId,
    ...(price.group != null && { group: price.group }),
    from: formatTime(price.fromMs),
    to: formatTimeOrNull(price.toMs),
    ...(documentOfTariff(price) as Mutable<ReturnType<typeof documentOfTariff>>),
  }
}

/** As zod types what it answers. */
type Mutable<T> = T extends string | number
  ? T
  : T extends readonly (infer Item)[]
    ? Mutable<Item>[]
    : { -readonly [K in keyof T]: Mutable<T[K]> }

function refused(param: string, message: string): ApiError {
  return new ApiError('invalid_value', `${param}: ${message}`, { param })
}

// Padded, so that the order of text is the order of time.
function orderOf({ fromMs, group }: Price): string {
  return `${String(fromMs).padStart(16, '0')} ${group ?? ''}`
}
