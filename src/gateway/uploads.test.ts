import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { ApiError } from '../errors.ts'
import { type ListenerParts, listen } from './listener.ts'

/** Bodies that are files at the edge: their bounds, and what becomes of those that nobody reads. */

const UPLOADS = { paths: new Set(['/v1/files']), fileBytesMax: 100_000, formBytesMax: 100, timeoutMs: 60_000 }

async function withListener(
  settings: object,
  api: (request: Request) => Promise<Response>,
  work: (port: number) => Promise<void>,
): Promise<void> {
  const listener = await listen({
    newId: (prefix: string) => `${prefix}1`,
    api,
    settings: {
      ...{ host: '127.0.0.1', port: 0, tls: null, allowedHosts: [], corsOrigins: [], clientAddress: () => '' },
      ...{ bodyBytesMax: 1000, headerBytesMax: 2048, connectionsMax: 10, requestTimeoutMs: 60_000, uploads: UPLOADS },
      ...settings,
    },
  } as unknown as ListenerParts)
  try {
    await work(listener.address.port)
  } finally {
    await listener.close(0)
  }
}

async function readWhole(request: Request): Promise<Response> {
  return Response.json({ bytes: (await request.arrayBuffer()).byteLength })
}

const head = (path: string, bytes: number) =>
  `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${bytes}\r\n\r\n`

function open(port: number, text: string): Socket & { answer: string } {
  const socket = Object.assign(connect(port, '127.0.0.1'), { answer: '' })
  socket.on('data', data => {
    socket.answer += data
  })
  socket.on('error', () => undefined)
  socket.write(text)
  return socket
}

async function answered(socket: Socket & { answer: string }): Promise<string> {
  while (!/\r\n\r\n[\s\S]*\}/.test(socket.answer)) await Promise.race([once(socket, 'data'), once(socket, 'close')])
  return socket.answer
}

test('a file may be larger than a request, up to its own bound', () =>
  withListener({}, readWhole, async port => {
    const post = async (path: string, bytes: number) => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', body: Buffer.alloc(bytes) })
      const body = (await response.json()) as { bytes?: number; error?: { code: string } }
      return body.bytes ?? `${response.status} ${body.error?.code}`
    }
    assert.equal(await post('/v1/files', 100_100), 100_100)
    assert.equal(await post('/v1/files/?x=1', 100_100), 100_100)
    assert.equal(await post('/v1/files', 100_101), '413 file_too_large')
    assert.equal(await post('/v1/batches', 1000), 1000)
    assert.equal(await post('/v1/batches', 1001), '413 request_too_large')
    assert.equal(await post('/v1/files/file-1', 1001), '413 request_too_large')
  }))

test('a file may take longer than a request', () =>
  withListener({ requestTimeoutMs: 200 }, readWhole, async port => {
    const file = open(port, `${head('/v1/files', 10)}12345`)
    await once(file, 'connect')
    const request = open(port, `${head('/v1/batches', 10)}12345`)
    // When the younger of the two has been given up, the older one would have been too.
    assert.match(await answered(request), /^HTTP\/1.1 408 /)
    file.write('67890')
    assert.match(await answered(file), /^HTTP\/1.1 200 [\s\S]*\{"bytes":10\}/)
    // The connection goes on, with a request's bounds.
    file.answer = ''
    file.write(head('/v1/batches', 0))
    assert.match(await answered(file), /\{"bytes":0\}/)
    file.destroy()
  }))

test('a file has to come in its own time', () =>
  withListener({ uploads: { ...UPLOADS, timeoutMs: 50 } }, readWhole, async port => {
    const file = open(port, `${head('/v1/files', 10)}12345`)
    await once(file, 'close')
    assert.equal(file.answer, '')
  }))

test('an answer does not wait for the rest of a body, and the connection can be used again', async () => {
  const early = async (request: Request) => {
    if (request.url.endsWith('peek')) {
      const reader = request.body?.getReader()
      await reader?.read()
      await reader?.cancel()
    }
    throw new ApiError('file_storage_full', 'Full.')
  }
  await withListener({}, early, async port => {
    for (const path of ['/v1/files', '/v1/files?peek']) {
      const socket = open(port, head(path, 90_000) + 'x'.repeat(10_000))
      assert.match(await answered(socket), /^HTTP\/1.1 413 /)
      socket.answer = ''
      socket.write(`${'x'.repeat(80_000) + head(path, 1)}x`)
      assert.match(await answered(socket), /^HTTP\/1.1 413 /)
      socket.destroy()
    }
  })
})

test('a client that leaves in the middle of a file ends its reading', async () => {
  const failed = Promise.withResolvers<unknown>()
  const reading = async (request: Request) => {
    try {
      return await readWhole(request)
    } catch (error) {
      failed.resolve(error)
      throw error
    }
  }
  await withListener({}, reading, async port => {
    const socket = open(port, `${head('/v1/files', 10)}12345`)
    await once(socket, 'connect')
    setImmediate(() => socket.destroy())
    assert.ok((await failed.promise) instanceof Error)
  })
})
