import { createRoute, z } from '@hono/zod-openapi'
import { ApiError } from '../errors.ts'
import type { Tariff } from '../inference/price.ts'
import type { Model, ModelCapabilities } from '../inference/snapshot.ts'
import { priceAt } from '../pricing/calendar.ts'
import { documentOfTariff } from '../pricing/document.ts'
import { answers, type Control, type ControlApp, jsonBody } from './control-context.ts'
import { formatTime, listOf, PageQuery, pageOf, TimeOut } from './fields.ts'
import { PriceBody, priceBody } from './prices.ts'
import { modelConflict, modelsOf, type StoredModel } from './snapshot-builder.ts'
import { CostBody, tariffIn } from './tariff-fields.ts'

const TRANCHE_TOKENS_DEFAULT = 8_192
const ModelId = z
  .string()
  .max(200, 'can have at most 200 characters')
  .regex(/^[\w.:@+-]+(\/[\w.:@+-]+)*$/, 'can have letters, digits and . _ : @ + - and / between parts')
const ModelParams = z.object({
  model: ModelId.openapi({
    description: 'The id; a / in it is written %2F.',
    example: 'deepseek-ai%2FDeepSeek-V4-Pro',
  }),
})
const TokenCount = z.int().min(1, 'has to be at least 1').max(100_000_000, 'can be at most 100000000')

const Capabilities = z
  .strictObject({
    chat: z.boolean().default(true),
    completion: z.boolean().default(true),
    tools: z.boolean().default(false),
    reasoning: z.boolean().default(false),
    json_schema: z.boolean().default(false),
    logprobs: z.boolean().default(false),
    vision: z.boolean().optional(),
    embeddings: z.boolean().optional(),
    rerank: z.boolean().optional(),
    suffix: z.boolean().optional(),
  })
  .openapi('ModelCapabilities')

const Target = z.strictObject({
  upstream: z.string().min(1, 'cannot be empty').openapi({ description: 'Id of the upstream.' }),
  upstream_model: z.string().min(1, 'cannot be empty').openapi({ description: 'Name of the model there.' }),
  cost: CostBody.optional().openapi({ description: 'What the upstream takes for the model.' }),
})

/** A model, as answered. */
export const ModelBody = z
  .object({
    id: z.string(),
    aliases: z.array(z.string()),
    name: z.string(),
    owned_by: z.string(),
    license: z.string(),
    created_at: TimeOut,
    context_tokens: z.int(),
    output_tokens_max: z.int(),
    tranche_tokens: z.int(),
    capabilities: Capabilities,
    targets: z.array(Target),
    price: PriceBody.nullable().openapi({ description: 'In force now; null: not for sale.' }),
  })
  .openapi('Model')

/** What creates or replaces a model. */
export const ModelPut = z
  .strictObject({
    name: z
      .string()
      .min(1, 'cannot be empty')
      .max(200, 'can have at most 200 characters')
      .optional()
      .openapi({ description: 'Defaults to the id.' }),
    aliases: z.array(ModelId).max(100, 'can have at most 100 entries').default([]),
    owned_by: z.string().min(1, 'cannot be empty').default('headrace'),
    license: z
      .string()
      .default('')
      .openapi({ description: 'SPDX id, or the name of the licence; empty when unknown.' }),
    context_tokens: TokenCount,
    output_tokens_max: TokenCount.optional().openapi({
      description: 'Most output tokens of one choice. Defaults to context_tokens.',
    }),
    tranche_tokens: TokenCount.optional().openapi({
      description: `Output tokens covered by the first hold. Defaults to ${TRANCHE_TOKENS_DEFAULT}, or output_tokens_max if less.`,
    }),
    capabilities: Capabilities.prefault({}),
    targets: z.array(Target).min(1, 'needs at least one target').max(100, 'can have at most 100 entries'),
  })
  .openapi('ModelPut')

/** A page of models. */
export const ModelList = listOf(ModelBody).openapi('ModelList')

/** GET /models; GET, PUT and DELETE /models/{model}. */
export function modelRoutes(app: ControlApp, control: Control): void {
  app.openapi(
    createRoute({
      method: 'get',
      path: '/control/v1/models',
      operationId: 'listModels',
      summary: 'List the models',
      request: { query: PageQuery },
      responses: answers(200, 'A page of models.', ModelList),
    }),
    context => {
      const page = pageOf(modelsOf(control.snapshot()), model => model.id, context.req.valid('query'))
      const nowMs = control.clock.nowMs()
      return context.json({ ...page, data: page.data.map(model => modelBody(model, nowMs)) }, 200)
    },
  )
  app.openapi(
    createRoute({
      method: 'get',
      path: '/control/v1/models/{model}',
      operationId: 'getModel',
      summary: 'Get a model',
      request: { params: ModelParams },
      responses: answers(200, 'The model.', ModelBody),
    }),
    context => context.json(modelBody(control.model(context.req.valid('param').model), control.clock.nowMs()), 200),
  )
  app.openapi(
    createRoute({
      method: 'put',
      path: '/control/v1/models/{model}',
      operationId: 'putModel',
      summary: 'Create or replace a model; its prices stay',
      request: { params: ModelParams, body: jsonBody(ModelPut) },
      responses: answers(200, 'The model.', ModelBody),
    }),
    async context => {
      const { model: id } = context.req.valid('param')
      const body = context.req.valid('json')
      await control.change(async () => {
        const existing = control.snapshot().models.get(id)
        const conflict = modelConflict(control.snapshot(), id, body.aliases)
        if (conflict !== null) throw new ApiError('conflict', conflict, { param: 'aliases' })
        const createdS = existing?.createdS ?? Math.floor(control.clock.nowMs() / 1000)
        await control.store.putModel({ id, createdS, ...modelFields(id, body) })
      })
      return context.json(modelBody(control.model(id), control.clock.nowMs()), 200)
    },
  )
  app.openapi(
    createRoute({
      method: 'delete',
      path: '/control/v1/models/{model}',
      operationId: 'removeModel',
      summary: 'Take a model off the list; its usage and prices stay on record',
      request: { params: ModelParams },
      responses: answers(200, 'The model as it was.', ModelBody),
    }),
    async context => {
      const { model: id } = context.req.valid('param')
      const removed = await control.change(async () => {
        const model = control.model(id)
        await control.store.removeModel(id)
        return model
      })
      return context.json(modelBody(removed, control.clock.nowMs()), 200)
    },
  )
}

function modelFields(id: string, body: z.output<typeof ModelPut>): Omit<StoredModel, 'id' | 'createdS'> {
  const outputTokensMax = body.output_tokens_max ?? body.context_tokens
  const trancheTokens = body.tranche_tokens ?? Math.min(TRANCHE_TOKENS_DEFAULT, outputTokensMax)
  refuseAbove('output_tokens_max', outputTokensMax, 'context_tokens', body.context_tokens)
  refuseAbove('tranche_tokens', trancheTokens, 'output_tokens_max', outputTokensMax)
  const { json_schema: jsonSchema, ...capabilities } = body.capabilities
  return {
    aliases: body.aliases,
    name: body.name ?? id,
    ownedBy: body.owned_by,
    license: body.license,
    contextTokens: body.context_tokens,
    outputTokensMax,
    trancheTokens,
    capabilities: { ...capabilities, jsonSchema } satisfies ModelCapabilities,
    targets: body.targets.map(({ upstream, upstream_model, cost }, index) => ({
      upstreamId: upstream,
      upstreamModel: upstream_model,
      ...(cost !== undefined && { cost: documentOfTariff(tariffIn(cost, ['targets', index, 'cost'])) }),
    })),
  }
}

function refuseAbove(field: string, value: number, boundField: string, bound: number): void {
  if (value > bound)
    throw new ApiError('invalid_value', `${field}: can be at most ${boundField}, ${bound}`, { param: field })
}

function costBody(cost: Tariff): z.output<typeof CostBody> {
  const { margin: _, ...document } = documentOfTariff(cost)
  return document as z.output<typeof CostBody>
}

function modelBody(model: Model, nowMs: number): z.infer<typeof ModelBody> {
  const { jsonSchema, ...capabilities } = model.capabilities
  const price = priceAt(model.prices, nowMs)
  return {
    id: model.id,
    aliases: [...model.aliases],
    name: model.name,
    owned_by: model.ownedBy,
    license: model.license,
    created_at: formatTime(model.createdS * 1000),
    context_tokens: model.contextTokens,
    output_tokens_max: model.outputTokensMax,
    tranche_tokens: model.trancheTokens,
    capabilities: { ...capabilities, json_schema: jsonSchema },
    targets: model.targets.map(({ upstreamId, upstreamModel, cost }) => ({
      upstream: upstreamId,
      upstream_model: upstreamModel,
      ...(cost !== undefined && { cost: costBody(cost) }),
    })),
    price: price === undefined ? null : priceBody(price),
  }
}
