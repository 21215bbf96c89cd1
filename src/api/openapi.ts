import { type OpenAPIHono, z } from '@hono/zod-openapi'
import type { Protocol } from '../inference/request.ts'
import type { ProtocolCodec, ProtocolDescription } from '../protocols/protocol.ts'
import { generateRoutes } from '../protocols/surface.ts'
import type { Variables } from './context.ts'
import { ERROR_ANSWER } from './schemas.ts'

const INFO = {
  openapi: '3.1.0',
  info: {
    title: 'Headrace API',
    version: '1',
    description:
      'Inference over open-weight models, metered to the token. Clients of OpenAI, Anthropic, DeepInfra, DeepSeek and OpenRouter work with ' +
      'another base URL. Send an API key as "Authorization: Bearer sk-hr-..." or in the header x-api-key. Every answer has an x-request-id; ' +
      'GET /v1/usage/{request} tells what it was charged.',
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
  security: [{ apiKey: [] }, { apiKeyHeader: [] }] as Record<string, string[]>[],
}

/** The headings of the reference, in its order. */
const TAGS = [
  ['Chat', 'Chats with a model.'],
  ['Responses', 'OpenAI’s Responses: items, kept conversations, work in the background.'],
  ['Messages', 'Anthropic’s Messages.'],
  ['Completions', 'Plain text to go on from.'],
  ['Embeddings', 'Vectors of texts.'],
  ['Rerank', 'How relevant documents are to a query.'],
  ['Inference', 'DeepInfra’s own form of inference.'],
  ['Models', 'What is on offer, and what it costs.'],
  ['Files', 'Files to work on and what came out.'],
  ['Batches', 'Many requests at the price of batches.'],
  ['Usage', 'What was used and charged.'],
  ['Account', 'Balance, limits, keys and scoped tokens.'],
].map(([name, description]) => ({ name: name as string, description }))

/** The app whose routes describe themselves. */
type DescribedApp = OpenAPIHono<{ Variables: Variables }>

/**
 * The OpenAPI 3.1 document of everything that clients can ask: the resources of the app, and the inference routes, which the pipeline
 * answers, described by the schemas that it checks bodies against. A protocol that is answered under several paths stands under the
 * first, which names the others.
 */
export function clientDocument(app: DescribedApp, codecs: readonly ProtocolCodec[]): object {
  const { openAPIRegistry: registry } = app
  registry.registerComponent('securitySchemes', 'apiKey', { type: 'http', scheme: 'bearer' })
  registry.registerComponent('securitySchemes', 'apiKeyHeader', { type: 'apiKey', in: 'header', name: 'x-api-key' })
  // A path that a resource describes itself is answered by a protocol, and asks another thing of it.
  const apart = new Set(registry.definitions.map(each => (each.type === 'route' ? each.route.path : '')))
  for (const { protocol, description } of codecs) {
    if (description !== undefined) registry.registerPath(inferenceRoute(protocol, description, apart))
  }
  const inference = new Set(codecs.map(({ description }) => description?.summary))
  return withoutAliases(app.getOpenAPI31Document({ ...INFO, tags: TAGS }) as unknown as Described, inference)
}

interface Described {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

interface Operation {
  readonly summary?: string
  readonly description?: string
}

/** The bases that the same resources stand under; the first that has a path is the one that is described. */
const BASE = /^\/(v1\/openai|api\/v1|anthropic\/v1|anthropic|beta|v1)(?=\/)/

/** The document with each resource once, which names the other paths that answer alike. Those of these summaries stand first. */
function withoutAliases(document: Described, first: ReadonlySet<string | undefined>): object {
  const kept = new Map<string, { path: string; method: string; operation: Operation; others: string[] }>()
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const name = `${method} ${path.replace(BASE, '')} ${operation.summary}`
      const known = kept.get(name)
      if (known === undefined) kept.set(name, { path, method, operation, others: [] })
      else known.others.push(path)
    }
  }
  const paths: Record<string, Record<string, Operation>> = {}
  const isFirst = ({ operation }: { operation: Operation }) => first.has(operation.summary)
  const all = [...kept.values()]
  for (const { path, method, operation, others } of [...all.filter(isFirst), ...all.filter(each => !isFirst(each))]) {
    const description = [operation.description, alsoAt(others)]
      .filter(text => text !== undefined && text !== '')
      .join(' ')
    paths[path] = { ...paths[path], [method]: { ...operation, ...(description !== '' && { description }) } }
  }
  return { ...document, paths }
}

function alsoAt(paths: readonly string[]): string {
  return paths.length === 0 ? '' : `Also at ${paths.join(', ')}.`
}

function inferenceRoute(
  protocol: Protocol,
  { summary, tag, text, body, answer, event }: ProtocolDescription,
  apart: ReadonlySet<string>,
) {
  const paths = generateRoutes().flatMap(([path, route]) =>
    route.protocol === protocol && !apart.has(path) ? [path] : [],
  )
  const [path = '', ...others] = paths
  return {
    method: 'post' as const,
    path,
    tags: [tag],
    summary,
    operationId: protocol.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase()),
    description: `${text} ${alsoAt(others)}`.trim(),
    request: {
      body: { required: true, content: json(body) },
      ...(path.includes('{model}') && { params: z.object({ model: z.string() }) }),
    },
    responses: {
      200: {
        description: event === undefined ? 'The answer.' : 'The answer; with "stream": true, server-sent events.',
        content: { ...json(answer), ...(event !== undefined && { 'text/event-stream': { schema: event } }) },
      },
      ...ERROR_ANSWER,
    },
  }
}

function json(schema: z.ZodType) {
  return { 'application/json': { schema } }
}
