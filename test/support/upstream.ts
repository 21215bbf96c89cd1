import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after } from 'node:test'

/** An upstream in the test's own process that does just what the test says, when it says it. */

/** One request that the gateway sent, and the reins of its answer. */
export interface Exchange {
  readonly body: { readonly max_tokens?: number; readonly user?: string }
  /** Opens the stream with the assistant's role, and sends so many tokens of one frame each. */
  tokens(count: number): void
  /** Ends the answer as it should end: finish, usage of all that was sent, [DONE]. */
  finish(): void
  /** Ends the answer as it should end, but for the usage, of which it says nothing. */
  finishSilently(): void
  /** Ends the answer as if it were whole, without finish and usage. */
  cut(): void
  /** Refuses with a status. */
  refuse(status: number): void
  /** Breaks the connection off, answer or no answer. */
  destroy(): void
  /** Resolves when the connection of this answer is gone or the answer is out. */
  readonly closed: Promise<void>
}

/** Input tokens that every answer reports, and how many of them as cached. */
export const UPSTREAM_INPUT_TOKENS = 20
export const UPSTREAM_CACHED_TOKENS = 4

/** Milliseconds between the frames of `paced` answers. */
const PACE_MS = 2

/** Starts an upstream; `answer` is called for each request. Closed after the file's tests. */
export async function startUpstream(answer: (exchange: Exchange) => void): Promise<{ baseUrl: string }> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => answer(exchangeOf(JSON.parse(Buffer.concat(chunks).toString('utf8')), response)))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1` }
}

/** Sends as many tokens as were asked for, one every two milliseconds, and ends well. */
export function paced(exchange: Exchange): void {
  let left = exchange.body.max_tokens ?? 16
  const timer = setInterval(() => {
    if (left-- > 0) {
      exchange.tokens(1)
      return
    }
    clearInterval(timer)
    exchange.finish()
  }, PACE_MS)
  void exchange.closed.then(() => clearInterval(timer))
}

/** The section `upstreams` of a server that offers one model, named `paced`, of such an upstream. */
export function upstreamConfig(
  baseUrl: string,
  price: { input: string; cachedInput: string; output: string },
  trancheTokens = 8192,
): object[] {
  return [
    {
      id: 'outside',
      baseUrl,
      allowPrivate: true,
      connectionsMax: 512,
      models: [{ model: 'paced', name: 'paced', contextTokens: 8192, trancheTokens, price }],
    },
  ]
}

function exchangeOf(body: Exchange['body'], response: ServerResponse): Exchange {
  let sent = 0
  const closed = Promise.withResolvers<void>()
  response.on('close', closed.resolve)
  response.on('error', () => undefined)
  const open = () => {
    if (response.headersSent) return
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(frame({ choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }] }))
  }
  return {
    body,
    tokens(count) {
      open()
      sent += count
      for (let i = 0; i < count; i++)
        response.write(frame({ choices: [{ index: 0, delta: { content: ' token' }, finish_reason: null }] }))
    },
    finish() {
      open()
      const usage = {
        prompt_tokens: UPSTREAM_INPUT_TOKENS,
        completion_tokens: sent,
        total_tokens: UPSTREAM_INPUT_TOKENS + sent,
        prompt_tokens_details: { cached_tokens: UPSTREAM_CACHED_TOKENS },
      }
      const finish = frame({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })
      response.end(`${finish}${frame({ choices: [], usage })}data: [DONE]\n\n`)
    },
    finishSilently() {
      open()
      response.end(`${frame({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })}data: [DONE]\n\n`)
    },
    cut() {
      open()
      response.end()
    },
    refuse(status) {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ error: { message: 'Not now.', type: 'server_error', code: null, param: null } }))
    },
    destroy: () => void response.destroy(),
    closed: closed.promise,
  }
}

function frame(fields: object): string {
  const head = { id: 'chatcmpl-outside', object: 'chat.completion.chunk', created: 1_700_000_000, model: 'paced' }
  return `data: ${JSON.stringify({ ...head, ...fields })}\n\n`
}
