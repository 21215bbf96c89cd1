import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after } from 'node:test'

/** A request that the gateway sent to an upstream that answers whole. */
export interface PlainRequest {
  readonly path: string
  readonly headers: IncomingMessage['headers']
  // biome-ignore lint/suspicious/noExplicitAny: whatever the gateway sends
  readonly body: any
}

/** What it is answered: a status and a JSON body, or whatever is done with the response. */
export type PlainAnswer = { readonly status?: number; readonly json: unknown } | ((response: ServerResponse) => void)

/** Starts a server in the test's own process that answers JSON. Closed after the file's tests. */
export async function startPlainUpstream(
  answer: (request: PlainRequest) => PlainAnswer | Promise<PlainAnswer>,
): Promise<{ readonly origin: string; readonly requests: readonly PlainRequest[] }> {
  const requests: PlainRequest[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const text = Buffer.concat(chunks).toString('utf8')
    const seen = { path: request.url ?? '', headers: request.headers, body: text === '' ? null : JSON.parse(text) }
    requests.push(seen)
    const answered = await answer(seen)
    if (typeof answered === 'function') return answered(response)
    response.writeHead(answered.status ?? 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(answered.json))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests }
}
