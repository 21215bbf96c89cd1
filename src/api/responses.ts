import { createRoute, z } from '@hono/zod-openapi'
import type { Caller } from '../admission/authenticate.ts'
import { ApiError } from '../errors.ts'
import type { JsonObject } from '../inference/request.ts'
import { CompactionAnswer, ResponseAnswer } from '../protocols/openai-responses/answer-schema.ts'
import { type KeptResponse, readKeptResponse, UNFINISHED } from '../protocols/openai-responses/kept-response.ts'
import { replayFrames } from '../protocols/openai-responses/replay.ts'
import { RESPONSES_BODY } from '../protocols/openai-responses/schema.ts'
import type { DecodeContext, ProtocolCodec } from '../protocols/protocol.ts'
import { answers, type ClientApiDeps, type ClientApp, jsonBody, OPENAI_BASES } from './context.ts'
import { countedModel } from './count-tokens.ts'
import { keptReader } from './kept-reader.ts'
import { PAGE_QUERY, pageOf, pageSchema } from './paging.ts'
import { eventStream } from './response-stream.ts'

const params = z.object({ id: z.string().min(1) })

const Deleted = z
  .object({ id: z.string(), object: z.literal('response'), deleted: z.literal(true) })
  .openapi('DeletedResponse')
const Count = z
  .object({ object: z.literal('response.input_tokens'), input_tokens: z.int() })
  .openapi('ResponseInputTokens')
const streamQuery = z.object({
  stream: z
    .enum(['true', 'false'])
    .optional()
    .openapi({ description: 'The events of the response, from the first on.' }),
  starting_after: z.coerce
    .number()
    .int()
    .min(0)
    .optional()
    .openapi({ description: 'Only events with a higher number.' }),
})
const itemsQuery = z.object({ ...PAGE_QUERY, order: z.enum(['asc', 'desc']).default('desc') })

/** Responses that are kept: read, list their input, stop, delete; and what an input would count. */
export function responseRoutes(app: ClientApp, deps: ClientApiDeps): void {
  for (const base of [...OPENAI_BASES, '']) {
    const path = `${base}/responses/{id}`
    // Answered by the pipeline: a model writes the summary, and what it takes is charged.
    app.openAPIRegistry.registerPath({
      ...{
        tags: ['Responses'],
        method: 'post',
        path: `${base}/responses/compact`,
        summary: 'Make a conversation shorter',
      },
      description:
        'The model writes a summary of the conversation, which stands for it from then on; charged as any response.',
      request: { body: jsonBody(RESPONSES_BODY) },
      responses: answers('What to send as input in place of the conversation.', CompactionAnswer),
    })
    app.openapi(
      createRoute({
        ...{
          tags: ['Responses'],
          method: 'post',
          path: `${base}/responses/input_tokens`,
          summary: 'Count the input tokens of a response',
        },
        request: { body: jsonBody(RESPONSES_BODY) },
        responses: answers('What the input would count, template and tools included. Nothing is charged.', Count),
      }),
      async context => {
        const { caller, surface } = context.var
        const { requestId } = context.env as { requestId: string }
        const reading = { requestId, surface, headers: {}, kept: keptReader(deps.kept, caller, deps.nowMs) }
        const tokens = await count(deps, caller, context.req.valid('json'), reading)
        return context.json({ object: 'response.input_tokens', input_tokens: tokens } as const, 200)
      },
    )
    app.openapi(
      createRoute({
        ...{ tags: ['Responses'], method: 'get', path, summary: 'Read a response' },
        request: { params, query: streamQuery },
        responses: answers('The response as it is now, or its events.', ResponseAnswer),
      }),
      async context => {
        const { id } = context.req.valid('param')
        const { stream, starting_after: after } = context.req.valid('query')
        const { response } = await find(deps, context.var.caller.org.id, id)
        if (stream !== 'true') return context.json(asNow(deps, response), 200)
        return eventsOf(deps, context.var.caller.org.id, response, after) as never
      },
    )
    app.openapi(
      createRoute({
        ...{ tags: ['Responses'], method: 'delete', path, summary: 'Delete a response' },
        request: { params },
        responses: answers('It is gone, and what goes on from it is refused. One that ran was stopped.', Deleted),
      }),
      async context => {
        const { id } = context.req.valid('param')
        const { org } = context.var.caller
        await find(deps, org.id, id)
        // What has not ended would be written again when it ends.
        await deps.background.cancel(org.id, id)
        await deps.kept.remove('response', org.id, id)
        return context.json({ id, object: 'response', deleted: true } as const, 200)
      },
    )
    app.openapi(
      createRoute({
        ...{
          tags: ['Responses'],
          method: 'post',
          path: `${path}/cancel`,
          summary: 'Stop a response that runs in the background',
        },
        request: { params },
        responses: answers('The response once it has ended. What it produced until then is charged.', ResponseAnswer),
      }),
      async context => {
        const { id } = context.req.valid('param')
        const { org } = context.var.caller
        const { response } = await find(deps, org.id, id)
        if (response.background !== true) {
          throw new ApiError('invalid_value', 'Only a response with background: true can be cancelled.', {
            param: 'id',
          })
        }
        await deps.background.cancel(org.id, id)
        return context.json(asNow(deps, (await find(deps, org.id, id)).response), 200)
      },
    )
    app.openapi(
      createRoute({
        ...{
          tags: ['Responses'],
          method: 'get',
          path: `${path}/input_items`,
          summary: 'List the input items of a response',
        },
        request: { params, query: itemsQuery },
        responses: answers('Its own input, without that of the response it goes on from.', pageSchema('ResponseItems')),
      }),
      async context => {
        const { id } = context.req.valid('param')
        const { order, ...page } = context.req.valid('query')
        const { input } = await find(deps, context.var.caller.org.id, id)
        const items = input as readonly { id: string }[]
        return context.json(pageOf(order === 'asc' ? items : items.toReversed(), page) as never, 200)
      },
    )
  }
}

async function count(deps: ClientApiDeps, caller: Caller, body: JsonObject, context: DecodeContext): Promise<number> {
  const codec = deps.codecs.find(({ protocol }) => protocol === 'openai-responses') as ProtocolCodec
  const request = await codec.decode(Buffer.from(JSON.stringify(body)), context)
  const model = countedModel(deps, caller, request.model)
  const tokens = await deps.countInput(request, model)
  if (tokens === undefined) {
    throw new ApiError(
      'unsupported_parameter',
      `No place that runs ${model.id} can count tokens now; the usage of an answer says how many there were.`,
      { param: 'model' },
    )
  }
  return tokens
}

async function find(deps: ClientApiDeps, orgId: string, id: string): Promise<KeptResponse> {
  const document = await deps.kept.find('response', orgId, id, deps.nowMs())
  if (document === null) {
    throw new ApiError('response_not_found', `No response ${JSON.stringify(id)} of this organisation is kept here.`, {
      param: 'id',
    })
  }
  return readKeptResponse(document.json)
}

/** The response with the state that only the server that runs it knows. */
function asNow(deps: ClientApiDeps, response: JsonObject): z.infer<typeof ResponseAnswer> {
  const running = UNFINISHED.includes(String(response.status))
  const status = running ? deps.background.statusOf(String(response.id)) : response.status
  return { ...response, status } as z.infer<typeof ResponseAnswer>
}

function eventsOf(deps: ClientApiDeps, orgId: string, response: JsonObject, after = -1): Response {
  if (!UNFINISHED.includes(String(response.status))) {
    const frames = replayFrames(response)
    return eventStream(watcher => {
      for (const frame of frames) watcher.write(frame)
      watcher.end()
      return () => undefined
    }, after)
  }
  return eventStream(watcher => {
    const stop = deps.background.watch(orgId, String(response.id), watcher)
    if (stop === false || stop === undefined) {
      throw new ApiError(
        'invalid_value',
        'This response is not streamed; ask for it again without "stream" until it has ended.',
        { param: 'stream' },
      )
    }
    return stop
  }, after)
}
