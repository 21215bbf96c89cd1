import { createRoute, z } from '@hono/zod-openapi'
import { ApiError } from '../errors.ts'
import { modelNamed } from '../inference/model-names.ts'
import type { Model, Price } from '../inference/snapshot.ts'
import { openRouterEndpoints, openRouterModel } from '../protocols/openrouter-models.ts'
import { answers, type ClientApiDeps, type ClientApp, type Reader } from './context.ts'
import { priceFor } from './models.ts'

/** OpenRouter's own bound on a page. */
const PAGE_MAX = 500

const ModelPage = z
  .looseObject({
    data: z.array(
      z.looseObject({
        id: z.string(),
        canonical_slug: z.string(),
        pricing: z.looseObject({}).openapi({ description: 'US dollars per token, decimal strings.' }),
        supported_parameters: z.array(z.string()),
      }),
    ),
    total_count: z.int(),
    links: z.object({ next: z.string().nullable() }),
  })
  .openapi('OpenRouterModels')

const PageQuery = z.object({
  offset: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(PAGE_MAX).default(PAGE_MAX),
  supported_parameters: z
    .string()
    .optional()
    .openapi({ description: 'Names with commas between; only models that take all of them.' }),
  q: z.string().max(200).optional().openapi({ description: 'Part of an id or name.' }),
})

const Count = z.object({ data: z.object({ count: z.int() }) }).openapi('OpenRouterModelCount')

const Endpoints = z
  .object({
    data: z.looseObject({
      id: z.string(),
      endpoints: z.array(z.looseObject({ provider_name: z.string(), quantization: z.string(), status: z.int() })),
    }),
  })
  .openapi('OpenRouterEndpoints')

const Providers = z
  .object({ data: z.array(z.looseObject({ name: z.string(), slug: z.string() })) })
  .openapi('OpenRouterProviders')

/** `GET /api/v1/models`, `/models/count`, `/models/{author}/{slug}/endpoints` and `/providers`, as OpenRouter's clients ask them. */
export function openRouterModelRoutes(app: ClientApp, deps: ClientApiDeps): void {
  const onSale = (reader: Reader): { model: Model; price: Price }[] => {
    const models = new Set(deps.snapshot().models.values())
    return [...models].flatMap(model => {
      const price = priceFor(reader, model, deps.nowMs())
      return price === undefined ? [] : [{ model, price }]
    })
  }
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/models',
      tags: ['Models'],
      summary: 'List the models with all that OpenRouter tells of them',
      request: { query: PageQuery },
      responses: answers('At the price that you pay.', ModelPage),
    }),
    context => {
      const { offset, limit, supported_parameters, q } = context.req.valid('query')
      const wanted = supported_parameters?.split(',').map(name => name.trim()) ?? []
      const all = onSale(context.var.reader)
        .map(({ model, price }) => openRouterModel(model, price) as z.infer<typeof ModelPage>['data'][number])
        .filter(each => wanted.every(name => each.supported_parameters.includes(name)))
        .filter(each => q === undefined || `${each.id} ${String(each.name)}`.toLowerCase().includes(q.toLowerCase()))
      const end = offset + limit
      const next = new URLSearchParams({ ...context.req.query(), offset: String(end) })
      return context.json(
        {
          data: all.slice(offset, end),
          total_count: all.length,
          links: { next: end < all.length ? `/api/v1/models?${next}` : null },
        },
        200,
      )
    },
  )
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/models/count',
      tags: ['Models'],
      summary: 'Count the models',
      responses: answers('How many are on offer.', Count),
    }),
    context => context.json({ data: { count: onSale(context.var.reader).length } }, 200),
  )
  const endpoints = (reader: Reader, name: string) => {
    const model = modelNamed(deps.snapshot(), name)
    const price = model === undefined ? undefined : priceFor(reader, model, deps.nowMs())
    if (model === undefined || price === undefined)
      throw new ApiError('model_not_found', `The model ${JSON.stringify(name)} is not offered here.`, {
        param: 'model',
      })
    return { data: openRouterEndpoints(model, price, deps.targetState) as z.infer<typeof Endpoints>['data'] }
  }
  const summary = 'List the places where a model runs'
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/models/{author}/{slug}/endpoints',
      tags: ['Models'],
      summary,
      request: { params: z.object({ author: z.string(), slug: z.string() }) },
      responses: answers('The places, with how fast they were in the last half hour.', Endpoints),
    }),
    context => {
      const { author, slug } = context.req.valid('param')
      return context.json(endpoints(context.var.reader, `${author}/${slug}`), 200)
    },
  )
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/models/{slug}/endpoints',
      tags: ['Models'],
      summary: `${summary} whose id names no author`,
      request: { params: z.object({ slug: z.string() }) },
      responses: answers('The places, with how fast they were in the last half hour.', Endpoints),
    }),
    context => context.json(endpoints(context.var.reader, context.req.valid('param').slug), 200),
  )
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/providers',
      tags: ['Models'],
      summary: 'List the upstreams, as provider preferences name them',
      responses: answers('Those that run something that is on offer.', Providers),
    }),
    context => {
      const ids = new Set(
        onSale(context.var.reader)
          .flatMap(({ model }) => model.targets)
          .flatMap(target => (deps.targetState(target) === undefined ? [] : [target.upstreamId])),
      )
      const unknown = { privacy_policy_url: null, terms_of_service_url: null, status_page_url: null }
      return context.json({ data: [...ids].map(id => ({ name: id, slug: id, ...unknown })) }, 200)
    },
  )
}
