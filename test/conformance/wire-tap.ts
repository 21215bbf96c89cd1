import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { HttpMessages, type MessageHead } from './http-messages.ts'

/**
 * A port that passes every byte to the server and back unchanged, and notes which requests went by. A client has a tap of its
 * own, so what it truly sent is known without asking it: how often it tried, and which request ids it was answered with.
 */

/** A request that a client sent. */
export interface Exchange {
  /** Milliseconds since the epoch when its head went by. */
  readonly startedMs: number
  readonly method: string
  /** With its query. */
  readonly path: string
  /** The first bytes of the body, for who looks for the reason of a failure. */
  requestText: string
  /** Null while there is no answer, and for good when none came. */
  status: number | null
  requestId: string | null
  /** The last bytes of the answer's body. */
  answerText: string
}

/** A tap in front of a server. */
export interface WireTap {
  readonly url: string
  /** In the order of their arrival. */
  readonly exchanges: readonly Exchange[]
  close(): void
}

const KEPT_CHARS_MAX = 64 * 1024

/** Opens a tap in front of a server, given by its URL. */
export async function openWireTap(serverUrl: string): Promise<WireTap> {
  const { hostname, port } = new URL(serverUrl)
  const exchanges: Exchange[] = []
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true, noDelay: true }, client => {
    const upstream = connect({ host: hostname, port: Number(port), allowHalfOpen: true, noDelay: true })
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
    }
    watch(client, upstream, exchanges)
    pass(client, upstream)
    pass(upstream, client)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    exchanges,
    close() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

/** Bytes, ends and breaks of one direction: a reset stays a reset, so a client sees what it would see without the tap. */
function pass(from: Socket, to: Socket): void {
  from.pipe(to)
  from.on('error', () => to.resetAndDestroy())
  from.on('close', () => {
    if (!from.readableEnded) to.destroy()
  })
}

function watch(client: Socket, upstream: Socket, exchanges: Exchange[]): void {
  const unanswered: Exchange[] = []
  let asking: Exchange | undefined
  const requests = new HttpMessages(
    'request',
    {
      head({ line }) {
        const [method = '', path = ''] = line.split(' ')
        asking = { startedMs: Date.now(), method, path, requestText: '', status: null, requestId: null, answerText: '' }
        exchanges.push(asking)
        unanswered.push(asking)
      },
      body(bytes) {
        if (asking !== undefined && asking.requestText.length < KEPT_CHARS_MAX)
          asking.requestText += bytes.toString('utf8')
      },
      end() {},
    },
    () => false,
  )
  const answers = new HttpMessages(
    'response',
    {
      head({ line, headers }) {
        const exchange = unanswered[0]
        if (exchange === undefined) return
        exchange.status = Number(line.split(' ')[1])
        exchange.requestId = headers.get('x-request-id') ?? null
      },
      body(bytes) {
        const exchange = unanswered[0]
        if (exchange !== undefined)
          exchange.answerText = (exchange.answerText + bytes.toString('utf8')).slice(-KEPT_CHARS_MAX)
      },
      end: () => void unanswered.shift(),
    },
    head => isBodiless(head, unanswered[0]),
  )
  client.on('data', (bytes: Buffer) => requests.push(bytes))
  upstream.on('data', (bytes: Buffer) => answers.push(bytes))
  upstream.on('end', () => answers.close())
}

function isBodiless({ line }: MessageHead, exchange: Exchange | undefined): boolean {
  const status = Number(line.split(' ')[1])
  return exchange?.method === 'HEAD' || status === 204 || status === 304
}
