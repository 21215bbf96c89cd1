import { createRoute, z } from '@hono/zod-openapi'
import { ApiError } from '../errors.ts'
import type { KeptDocument } from '../ledger/kept-document.ts'
import { Metadata } from '../protocols/generation-fields.ts'
import { type KeptCompletion, readKeptCompletion } from '../protocols/openai-chat/kept-completion.ts'
import { answers, type ClientApiDeps, type ClientApp, jsonBody, OPENAI_BASES } from './context.ts'
import { listPage, PAGE_QUERY, pageOf, pageSchema } from './paging.ts'

const Completion = z
  .looseObject({ id: z.string(), object: z.literal('chat.completion'), model: z.string() })
  .openapi('StoredChatCompletion')
type Completion = z.infer<typeof Completion>
const Deleted = z
  .object({ id: z.string(), object: z.literal('chat.completion.deleted'), deleted: z.literal(true) })
  .openapi('DeletedChatCompletion')
const Update = z.object({ metadata: Metadata.nullable() }).openapi('UpdateChatCompletion')
const params = z.object({ id: z.string().min(1) })
const order = z.enum(['asc', 'desc']).default('asc')
const listQuery = z
  .looseObject({ ...PAGE_QUERY, order, model: z.string().optional() })
  .openapi({ description: 'metadata[name]=value lists those with that value.' })

/** Documents that are looked at for one page; beyond them a filter answers what it has found. */
const LOOKED_AT_MAX = 10_000
/** Read at a time: each may be as long as a request. */
const BATCH = 16

/** Chat completions that were made with `store: true`. */
export function chatCompletionRoutes(app: ClientApp, deps: ClientApiDeps): void {
  for (const base of [...OPENAI_BASES, '']) {
    const path = `${base}/chat/completions/{id}`
    app.openapi(
      createRoute({
        ...{ tags: ['Chat'], method: 'get', path: `${base}/chat/completions`, summary: 'List stored chat completions' },
        request: { query: listQuery },
        responses: answers('Those of the organisation, oldest first.', pageSchema('StoredChatCompletions')),
      }),
      async context => {
        const { org } = context.var.caller
        const { after, limit, order: direction, model } = context.req.valid('query')
        const wanted = metadataFilter(context.req.queries())
        const found: Completion[] = []
        let lastId = after
        for (let looked = 0; looked < LOOKED_AT_MAX && found.length <= limit; looked += BATCH) {
          const selection = {
            kind: 'chat_completion',
            orgId: org.id,
            ...(model !== undefined && { states: [model] }),
          } as const
          const page = { order: direction, limit: BATCH, ...(lastId !== undefined && { afterId: lastId }) }
          const documents = await deps.kept.list(selection, page, deps.nowMs())
          for (const document of documents) {
            const { completion } = readKeptCompletion(document.json)
            const metadata = completion.metadata as Record<string, string>
            if (wanted.every(([name, value]) => metadata[name] === value)) found.push(completion as Completion)
          }
          if (documents.length < BATCH) break
          lastId = documents.at(-1)?.id
        }
        return context.json(listPage(found.slice(0, limit), found.length > limit) as never, 200)
      },
    )
    app.openapi(
      createRoute({
        ...{ tags: ['Chat'], method: 'get', path, summary: 'Read a stored chat completion' },
        request: { params },
        responses: answers('The completion.', Completion),
      }),
      async context => {
        const { completion } = await find(deps, context.var.caller.org.id, context.req.valid('param').id)
        return context.json(completion as Completion, 200)
      },
    )
    app.openapi(
      createRoute({
        ...{ tags: ['Chat'], method: 'post', path, summary: 'Change the metadata of a stored chat completion' },
        request: { params, body: jsonBody(Update) },
        responses: answers('The completion as it is now.', Completion),
      }),
      async context => {
        const { document, completion, messages } = await find(
          deps,
          context.var.caller.org.id,
          context.req.valid('param').id,
        )
        const changed = { ...completion, metadata: context.req.valid('json').metadata ?? {} }
        const kept: KeptCompletion = { completion: changed, messages }
        await deps.kept.replace({ ...document, json: JSON.stringify(kept) })
        return context.json(changed as unknown as Completion, 200)
      },
    )
    app.openapi(
      createRoute({
        ...{ tags: ['Chat'], method: 'delete', path, summary: 'Delete a stored chat completion' },
        request: { params },
        responses: answers('It is gone.', Deleted),
      }),
      async context => {
        const { id } = context.req.valid('param')
        const { org } = context.var.caller
        if (!(await deps.kept.remove('chat_completion', org.id, id))) throw notFound(id)
        return context.json({ id, object: 'chat.completion.deleted', deleted: true } as const, 200)
      },
    )
    app.openapi(
      createRoute({
        ...{
          tags: ['Chat'],
          method: 'get',
          path: `${path}/messages`,
          summary: 'List the messages of a stored chat completion',
        },
        request: { params, query: z.object({ ...PAGE_QUERY, order }) },
        responses: answers('What the model was asked.', pageSchema('StoredChatMessages')),
      }),
      async context => {
        const { id } = context.req.valid('param')
        const { order: direction, ...page } = context.req.valid('query')
        const { messages } = await find(deps, context.var.caller.org.id, id)
        const named = messages.map((message, i) => ({ ...message, id: `${id}-${i}` }))
        return context.json(pageOf(direction === 'asc' ? named : named.toReversed(), page) as never, 200)
      },
    )
  }
}

/** The pairs of `metadata[name]=value`. */
function metadataFilter(queries: Record<string, string[]>): [string, string][] {
  return Object.entries(queries).flatMap(([key, values]): [string, string][] => {
    const [, name] = /^metadata\[(.+)\]$/.exec(key) ?? []
    return name === undefined ? [] : [[name, values.at(-1) ?? '']]
  })
}

async function find(
  deps: ClientApiDeps,
  orgId: string,
  id: string,
): Promise<KeptCompletion & { readonly document: KeptDocument }> {
  const document = await deps.kept.find('chat_completion', orgId, id, deps.nowMs())
  if (document === null) throw notFound(id)
  return { ...readKeptCompletion(document.json), document }
}

function notFound(id: string): ApiError {
  return new ApiError(
    'response_not_found',
    `No chat completion ${JSON.stringify(id)} of this organisation is stored here; those made with store: true are.`,
    { param: 'id' },
  )
}
