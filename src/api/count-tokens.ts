import { createRoute, z } from '@hono/zod-openapi'
import { refuseOtherModels } from '../admission/allowed-models.ts'
import type { Caller } from '../admission/authenticate.ts'
import { ApiError } from '../errors.ts'
import { inputTexts } from '../inference/input-texts.ts'
import { modelNamed } from '../inference/model-names.ts'
import type { InferenceRequest, JsonObject } from '../inference/request.ts'
import type { Model } from '../inference/snapshot.ts'
import { decodeCountTokens } from '../protocols/anthropic-messages/decode.ts'
import { CountTokensRequest } from '../protocols/anthropic-messages/schema.ts'
import { ANTHROPIC_BASES } from '../protocols/surface.ts'
import { answers, type ClientApiDeps, type ClientApp, jsonBody } from './context.ts'

const TokenCount = z
  .looseObject({
    input_tokens: z.int().openapi({ description: 'Tokens of the input, template and tools included.' }),
    counted_by: z.enum(['model', 'estimate']).openapi({
      description:
        '`model`: by its own tokenizer, and surely not below what it will read. `estimate`: nobody could count; four bytes of text are taken for a token.',
    }),
  })
  .openapi('TokenCount')

/** Bytes of a token on average, in English and in Chinese alike, with vocabularies of 100,000 and more. */
const TOKEN_BYTES_MEAN = 4
/** What a template adds around a message. */
const MESSAGE_TOKENS_MEAN = 5

/** POST /messages/count_tokens: how many tokens a request of the Messages API has. Free of charge; nothing is generated. */
export function countTokensRoutes(app: ClientApp, deps: ClientApiDeps): void {
  for (const base of ANTHROPIC_BASES)
    app.openapi(
      createRoute({
        method: 'post',
        path: `${base}/messages/count_tokens`,
        tags: ['Messages'],
        summary: 'Count the input tokens of a message',
        request: { body: jsonBody(CountTokensRequest) },
        responses: answers('How many tokens the input has.', TokenCount),
      }),
      async context => {
        const body: JsonObject = context.req.valid('json')
        const { requestId } = context.env as { requestId: string }
        const request = decodeCountTokens(body, Buffer.byteLength(JSON.stringify(body)), {
          requestId,
          surface: 'anthropic',
          headers: {},
        })
        const model = countedModel(deps, context.var.caller, request.model)
        const counted = await deps.countInput(request, model)
        return counted === undefined
          ? context.json({ input_tokens: estimate(request), counted_by: 'estimate' as const }, 200)
          : context.json({ input_tokens: counted, counted_by: 'model' as const }, 200)
      },
    )
}

/**
 * The model whose tokens are to be counted.
 *
 * @throws ApiError 404 when it is not offered, 403 when the caller may not use it.
 */
export function countedModel(deps: ClientApiDeps, caller: Caller, name: string): Model {
  const model = modelNamed(deps.snapshot(), name)
  if (model === undefined)
    throw new ApiError('model_not_found', `The model ${JSON.stringify(name)} is not offered here.`, { param: 'model' })
  refuseOtherModels(caller, model.id)
  return model
}

function estimate({ input }: InferenceRequest): number {
  if (input.kind !== 'chat') return 0
  const { texts } = inputTexts(input)
  const tools = input.tools.length === 0 ? 0 : Buffer.byteLength(JSON.stringify(input.tools))
  const calls = input.messages.reduce(
    (bytes, { tool_calls: called }) => bytes + (called === undefined ? 0 : Buffer.byteLength(JSON.stringify(called))),
    0,
  )
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), tools + calls)
  return Math.ceil(bytes / TOKEN_BYTES_MEAN) + input.messages.length * MESSAGE_TOKENS_MEAN
}
