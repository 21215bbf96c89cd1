import { createRoute, z } from '@hono/zod-openapi'
import { mayUse } from '../admission/allowed-models.ts'
import { ApiError } from '../errors.ts'
import { modelNamed } from '../inference/model-names.ts'
import type { Model, Price } from '../inference/snapshot.ts'
import { priceAt } from '../pricing/calendar.ts'
import { modelAnswer, modelList } from '../protocols/model-list.ts'
import { deepInfraModel, deepInfraModelDetails, openRouterListing } from '../protocols/model-lists.ts'
import { modelObject } from '../protocols/model-object.ts'
import { MODELS_BASES } from '../protocols/surface.ts'
import { answers, type ClientApiDeps, type ClientApp, type Reader } from './context.ts'
import { ModelAnswer, ModelListAnswer } from './schemas.ts'

const LISTS: ReadonlySet<string> = new Set(['/models', '/models/list', '/openrouter/models', '/api/v1/providers'])

/** Whether a path is about the models on offer, which need no key where the lists are public. */
export function isModelPath(path: string): boolean {
  return (
    LISTS.has(path) ||
    /^\/(v1(\/openai)?|api\/v1|anthropic(\/v1)?)\/models(\/|$)/.test(path) ||
    path.startsWith('/models/')
  )
}

const ListedModel = z
  .looseObject({ model_name: z.string(), type: z.string(), pricing: z.looseObject({}) })
  .openapi('ListedModel')
const OpenRouterOffers = z.object({ data: z.array(z.looseObject({ id: z.string() })) }).openapi('OpenRouterOffers')
/** The first is the one that is described; without a base: DeepSeek's clients, who are told the host alone. */
const BASES = ['/v1', ...MODELS_BASES.filter(base => base !== '/v1'), ''] as const
const TAGS = { tags: ['Models'] }

/** What clients add to their lists: words of theirs that choose among the fields, all of which are always there. */
const ListQuery = z.object({
  filter: z.string().optional().openapi({ description: 'with_meta: accepted; the metadata are always there.' }),
  sort_by: z.string().optional().openapi({ description: 'Accepted; the order is that of the ids.' }),
})

/**
 * The price that whoever asks would pay for a model; undefined when it is not for them. What has no price cannot be bought, so it is on
 * no list.
 */
export function priceFor(reader: Reader, model: Model, nowMs: number): Price | undefined {
  if (reader !== null && !mayUse(reader, model.id)) return undefined
  return priceAt(model.prices, nowMs, reader?.org.priceGroup)
}

/** The models on offer, in the forms that the families of clients read. */
export function modelRoutes(app: ClientApp, deps: ClientApiDeps): void {
  const offered = (reader: Reader, model: Model) => priceFor(reader, model, deps.nowMs())
  const all = <Form>(reader: Reader, form: (model: Model, price: Price) => Form): Form[] =>
    [...new Set(deps.snapshot().models.values())].flatMap(model => {
      const price = offered(reader, model)
      return price === undefined ? [] : [form(model, price)]
    })
  const one = <Form>(reader: Reader, name: string, form: (model: Model, price: Price) => Form): Form => {
    const model = modelNamed(deps.snapshot(), name)
    const price = model === undefined ? undefined : offered(reader, model)
    if (model !== undefined && price !== undefined) return form(model, price)
    throw new ApiError('model_not_found', `The model ${JSON.stringify(name)} is not offered here.`, { param: 'model' })
  }

  for (const base of BASES) {
    app.openapi(
      createRoute({
        method: 'get',
        path: `${base}/models`,
        ...TAGS,
        operationId: 'listModels',
        summary: 'List the models',
        request: { query: ListQuery },
        responses: answers('Each at the price that you pay.', ModelListAnswer),
      }),
      context => {
        const list = modelList(all(context.var.reader, modelObject), context.var.surface)
        return context.json(list as z.infer<typeof ModelListAnswer>, 200)
      },
    )
  }
  app.openapi(
    createRoute({
      method: 'get',
      path: '/models/list',
      ...TAGS,
      summary: 'List the models in DeepInfra’s form',
      responses: answers('Prices are in cents per token.', z.array(ListedModel)),
    }),
    context => context.json(all(context.var.reader, deepInfraModel) as z.infer<typeof ListedModel>[], 200),
  )
  app.openapi(
    createRoute({
      method: 'get',
      path: '/openrouter/models',
      ...TAGS,
      summary: 'List the models in the form that OpenRouter reads from providers',
      responses: answers('Prices are decimal strings in dollars per token.', OpenRouterOffers),
    }),
    context => {
      // Whoever asks: the list is for everybody.
      const data = all(null, openRouterListing) as z.infer<typeof OpenRouterOffers>['data']
      return context.json({ data }, 200)
    },
  )
  // A model's id may hold slashes, raw or as `%2F`, which a description of the path cannot say.
  for (const base of BASES.filter(each => each !== '')) {
    app.openAPIRegistry.registerPath({
      method: 'get',
      path: `${base}/models/{model}`,
      ...TAGS,
      operationId: 'getModel',
      summary: 'Get a model',
      request: { params: NAME },
      responses: answers('At the price that you pay.', ModelAnswer),
    })
    app.get(`${base}/models/:model{.+}`, context =>
      context.json(modelAnswer(one(context.var.reader, context.req.param('model'), modelObject), context.var.surface)),
    )
  }
  app.openAPIRegistry.registerPath({
    method: 'get',
    path: '/models/{model}',
    ...TAGS,
    summary: 'Get a model in DeepInfra’s form',
    request: { params: NAME },
    responses: answers('As in the list, and more.', ListedModel),
  })
  app.get('/models/:model{.+}', context =>
    context.json(one(context.var.reader, context.req.param('model'), deepInfraModelDetails)),
  )
}

const NAME = z.object({
  model: z.string().openapi({ description: 'Its id or an alias; slashes may be written as they are.' }),
})
