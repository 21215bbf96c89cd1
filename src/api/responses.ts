import { createRoute, z } from '@hono/zod-openapi'
import { ApiError } from '../errors.ts'
import type { JsonObject } from '../inference/request.ts'
import { type KeptResponse, readKeptResponse, UNFINISHED } from '../protocols/openai-responses/kept-response.ts'
import { replayFrames } from '../protocols/openai-responses/replay.ts'
import { RESPONSES_BODY } from '../protocols/openai-responses/schema.ts'
import { answers, type ClientApiDeps, type ClientApp, jsonBody, OPENAI_BASES } from './context.ts'
import { PAGE_QUERY, pageOf, pageSchema } from './paging.ts'
import { eventStream } from './response-stream.ts'

const Response = z
  .looseObject({ id: z.string(), object: z.literal('response'), status: z.string() })
  .openapi('Response')
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
    app.openapi(
      createRoute({
        ...{ method: 'post', path: `${base}/responses/input_tokens`, summary: 'Count the input tokens of a response' },
        request: { body: jsonBody(RESPONSES_BODY) },
        responses: answers('What the input would count, template and tools included. Nothing is charged.', Count),
      }),
      async context => {
        const body = Buffer.from(JSON.stringify(context.req.valid('json')))
        const tokens = await deps.countInput('openai-responses', body, context.var.caller, context.var.surface)
        return context.json({ object: 'response.input_tokens', input_tokens: tokens } as const, 200)
      },
    )
    app.openapi(
      createRoute({
        ...{ method: 'get', path, summary: 'Read a response' },
        request: { params, query: streamQuery },
        responses: answers('The response as it is now, or its events.', Response),
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
        ...{ method: 'delete', path, summary: 'Delete a response' },
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
        ...{ method: 'post', path: `${path}/cancel`, summary: 'Stop a response that runs in the background' },
        request: { params },
        responses: answers('The response once it has ended. What it produced until then is charged.', Response),
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
        ...{ method: 'get', path: `${path}/input_items`, summary: 'List the input items of a response' },
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
function asNow(deps: ClientApiDeps, response: JsonObject): z.infer<typeof Response> {
  const running = UNFINISHED.includes(String(response.status))
  const status = running ? deps.background.statusOf(String(response.id)) : response.status
  return { ...response, status } as z.infer<typeof Response>
}

function eventsOf(deps: ClientApiDeps, orgId: string, response: JsonObject, after = -1): globalThis.Response {
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
