import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { OutsideClient, type OutsideWish } from './outside-client.ts'
import { OutsideFailure, type OutsideReason } from './outside-failure.ts'
import type { EgressRules } from './outside-rules.ts'

/*
 * Servers on loopback stand in for the outside: 127.0.0.1 counts as public here, and every other address as inside.
 */

const RULES: EgressRules = { allowPrivate: false, allowedHosts: [], ports: 'all', bytesMax: 1_000, timeoutMs: 60_000 }
const isInside = (address: string) => address !== '127.0.0.1' && /^[\d.]+$|:/.test(address)
const IMAGES: OutsideWish = { payer: 'org', accepts: type => type.startsWith('image/'), accept: 'image/*' }

/** Answers every name with one address, the next one each time, the last one again and again. */
function resolver(...addresses: readonly string[]) {
  const asked: string[] = []
  return {
    asked,
    resolve: ((hostname, _options, callback) => {
      const address = addresses[Math.min(asked.length, addresses.length - 1)] as string
      asked.push(hostname)
      callback(null, [{ address, family: address.includes(':') ? 6 : 4 }])
    }) satisfies NonNullable<ConstructorParameters<typeof OutsideClient>[1]>['resolve'],
  }
}

function clientWith(rules: Partial<EgressRules> = {}, world: ConstructorParameters<typeof OutsideClient>[1] = {}) {
  const client = new OutsideClient({ ...RULES, ...rules }, { isInside, ...world })
  after(() => client.close())
  return client
}

async function serve(listener: RequestListener): Promise<number> {
  const server = createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  after(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

async function fails(fetched: Promise<unknown>, reason: OutsideReason, message: RegExp): Promise<void> {
  const error = await fetched.then(
    () => assert.fail('it was fetched'),
    thrown => thrown,
  )
  assert.ok(error instanceof OutsideFailure, String(error))
  assert.equal(error.reason, reason, error.message)
  assert.match(error.message, message)
  assert.doesNotMatch(error.message, /127\.0\.0\.2/, 'no address that the client did not write is told')
}

const image: RequestListener = (_request, response) => {
  response.writeHead(200, { 'content-type': 'Image/PNG; x=1' })
  response.end('pixels')
}

test('a document is fetched with its type', async () => {
  let headers: unknown
  const port = await serve((request, response) => {
    headers = request.headers
    image(request, response)
  })
  const { mediaType, bytes } = await clientWith().fetch(`http://127.0.0.1:${port}/a.png`, IMAGES)
  assert.deepEqual([mediaType, bytes.toString()], ['image/png', 'pixels'])
  assert.deepEqual(headers, {
    accept: 'image/*',
    'accept-encoding': 'identity',
    connection: 'keep-alive',
    host: `127.0.0.1:${port}`,
    'user-agent': 'Headrace',
  })
})

test('redirects are followed, and each is checked as the first URL was', async () => {
  const port = await serve((request, response) => {
    const [, hops = '0', target = ''] = /^\/(\d+)(?:\?to=(.*))?$/.exec(request.url ?? '') ?? []
    if (hops === '0' && target === '') return image(request, response)
    response.writeHead(302, { location: hops === '0' ? decodeURIComponent(target) : `/${Number(hops) - 1}` })
    response.end()
  })
  const client = clientWith()
  const at = (path: string) => client.fetch(`http://127.0.0.1:${port}${path}`, IMAGES)
  const to = (target: string) => at(`/0?to=${encodeURIComponent(target)}`)
  assert.equal((await at('/3')).bytes.toString(), 'pixels')
  await fails(at('/4'), 'status', /redirects more than 3 times/)
  await fails(to(`http://127.0.0.9:${port}/0`), 'refused', /not a public address/)
  await fails(to('http://[::1]/'), 'refused', /not a public address/)
  await fails(to('http://2130706442/'), 'refused', /not a public address/)
  await fails(to('file:///etc/passwd'), 'refused', /http or https/)
  await fails(to(`http://user:secret@127.0.0.1:${port}/0`), 'refused', /credentials/)
  await fails(to('http://[bad'), 'refused', /no URL/)
  const strict = clientWith({ allowedHosts: ['127.0.0.1'] })
  await fails(
    strict.fetch(`http://127.0.0.1:${port}/0?to=${encodeURIComponent('http://example.com/')}`, IMAGES),
    'refused',
    /not one of the hosts/,
  )
})

test('a name that resolves inside is refused, also where only one of its addresses is', async () => {
  const port = await serve(image)
  const url = `http://rebound.example:${port}/`
  await fails(clientWith({}, resolver('127.0.0.2')).fetch(url, IMAGES), 'refused', /rebound.example is not a public/)
  await fails(clientWith({}, resolver('::1')).fetch(url, IMAGES), 'refused', /not a public/)
  const mixed = clientWith(
    {},
    {
      resolve: (_hostname, _options, callback) =>
        callback(null, [
          { address: '127.0.0.1', family: 4 },
          { address: '127.0.0.2', family: 4 },
        ]),
    },
  )
  await fails(mixed.fetch(url, IMAGES), 'refused', /not a public/)
})

test('the address that was judged is the one that is connected to, whatever the name says later', async () => {
  const port = await serve((request, response) => {
    response.setHeader('connection', 'close')
    image(request, response)
  })
  const { asked, resolve } = resolver('127.0.0.1', '127.0.0.2')
  const client = clientWith({}, { resolve })
  const url = `http://rebound.example:${port}/`
  assert.equal((await client.fetch(url, IMAGES)).bytes.toString(), 'pixels')
  assert.deepEqual(asked, ['rebound.example'], 'a fetch looks the name up once')
  await fails(client.fetch(url, IMAGES), 'refused', /not a public/)
})

test('a redirect to a name that resolves inside is refused', async () => {
  const port = await serve((request, response) => {
    if (request.headers.host?.startsWith('inner')) return image(request, response)
    response.writeHead(307, { location: `http://inner.example:${port}/` })
    response.end()
  })
  const { resolve } = resolver('127.0.0.1', '127.0.0.2')
  await fails(clientWith({}, { resolve }).fetch(`http://outer.example:${port}/`, IMAGES), 'refused', /not a public/)
})

test('answers are bounded, announced or not', async () => {
  const announced = await serve((_request, response) => {
    response.writeHead(200, { 'content-type': 'image/png', 'content-length': 1_001 })
    response.write('x')
  })
  const endless = await serve((_request, response) => {
    response.writeHead(200, { 'content-type': 'image/png' })
    const more = () => {
      while (response.write('x'.repeat(500)));
    }
    response.on('drain', more)
    response.on('error', () => undefined)
    more()
  })
  const client = clientWith()
  await fails(client.fetch(`http://127.0.0.1:${announced}/`, IMAGES), 'too_large', /more than the 1000 bytes/)
  await fails(client.fetch(`http://127.0.0.1:${endless}/`, IMAGES), 'too_large', /more than the 1000 bytes/)
  await fails(client.fetch(`http://127.0.0.1:${endless}/`, { ...IMAGES, bytesMax: 10 }), 'too_large', /the 10 bytes/)
})

test('an answer that drips is given up when its time is over, and so is one that never begins', async () => {
  const dripping = await serve((_request, response) => {
    response.writeHead(200, { 'content-type': 'image/png' })
    const timer = setInterval(() => response.write('x'), 5)
    response.on('close', () => clearInterval(timer))
  })
  const silent = await serve(() => undefined)
  const client = clientWith({ timeoutMs: 150 })
  await fails(client.fetch(`http://127.0.0.1:${dripping}/`, IMAGES), 'timeout', /within 150 ms/)
  await fails(client.fetch(`http://127.0.0.1:${silent}/`, IMAGES), 'timeout', /within 150 ms/)
})

test('whoever asked can stop it', async () => {
  const stop = new AbortController()
  const port = await serve(() => stop.abort(new Error('the client left')))
  await assert.rejects(
    clientWith().fetch(`http://127.0.0.1:${port}/`, { ...IMAGES, signal: stop.signal }),
    /the client left/,
  )
})

test('what is packed, of another type or of another status is not taken', async () => {
  const check = async (
    headers: Record<string, string>,
    body: Buffer | string,
    reason: OutsideReason,
    message: RegExp,
    status = 200,
  ) => {
    const port = await serve((_request, response) => {
      response.writeHead(status, headers)
      response.end(body)
    })
    await fails(clientWith().fetch(`http://127.0.0.1:${port}/`, IMAGES), reason, message)
  }
  const bomb = gzipSync(Buffer.alloc(1 << 20))
  await check({ 'content-type': 'image/png', 'content-encoding': 'gzip' }, bomb.subarray(0, 900), 'type', /compressed/)
  await check({ 'content-type': 'text/html' }, 'x', 'type', /text\/html, not image/)
  await check({}, 'x', 'type', /no content type/)
  await check({ 'content-type': 'image/png' }, 'x', 'status', /status 404/, 404)
  await check({ 'content-type': 'image/png' }, '', 'status', /status 304/, 304)
})

test('a server that breaks off, or is not there, is unreachable', async () => {
  const port = await serve((request, response) => {
    response.writeHead(200, { 'content-type': 'image/png', 'content-length': 100 })
    response.write('x', () => request.socket.destroy())
  })
  await fails(clientWith().fetch(`http://127.0.0.1:${port}/`, IMAGES), 'unreachable', /cannot be reached/)
  await fails(clientWith().fetch('http://127.0.0.1:1/', IMAGES), 'unreachable', /cannot be reached/)
})

test('the proxies of the environment are not used', async () => {
  let proxied = 0
  const proxy = await serve((_request, response) => {
    proxied++
    response.end()
  })
  const port = await serve(image)
  const names = ['HTTP_PROXY', 'http_proxy', 'ALL_PROXY'] as const
  const before = names.map(name => process.env[name])
  for (const name of names) process.env[name] = `http://127.0.0.1:${proxy}`
  try {
    await clientWith().fetch(`http://127.0.0.1:${port}/`, IMAGES)
  } finally {
    for (const [i, name] of names.entries()) {
      if (before[i] === undefined) delete process.env[name]
      else process.env[name] = before[i]
    }
  }
  assert.equal(proxied, 0)
})

test('a post answers with its status, and follows nothing', async () => {
  const seen: string[] = []
  const port = await serve(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    seen.push(`${request.url} ${request.headers['content-type']} ${body}`)
    response.writeHead(request.url === '/moved' ? 302 : 204, { location: 'http://127.0.0.2/' })
    response.end()
  })
  const client = clientWith()
  const message = { payer: 'org', headers: { 'content-type': 'application/json' }, body: '{}' }
  assert.equal(await client.post(`http://127.0.0.1:${port}/`, message), 204)
  assert.equal(await client.post(`http://127.0.0.1:${port}/moved`, message), 302)
  await fails(client.post('http://127.0.0.9/', message), 'refused', /not a public/)
  assert.deepEqual(seen, ['/ application/json {}', '/moved application/json {}'])
})

test('more than so many at a time wait for their turn', async () => {
  const open: (() => void)[] = []
  let most = 0
  const arrived = Promise.withResolvers<void>()
  const port = await serve((request, response) => {
    open.push(() => image(request, response))
    most = Math.max(most, open.length)
    if (open.length === 8) arrived.resolve()
  })
  const client = clientWith()
  const all = Array.from({ length: 20 }, (_, i) =>
    client.fetch(`http://127.0.0.1:${port}/`, { ...IMAGES, payer: String(i) }),
  )
  await arrived.promise
  const pump = setInterval(() => open.shift()?.(), 1)
  const done = await Promise.all(all)
  clearInterval(pump)
  assert.equal(done.length, 20)
  assert.ok(most <= 8, `${most} at a time to one origin`)
})

test('one whose host never answers does not keep others waiting', async () => {
  const port = await serve(image)
  const silent = await serve(() => undefined)
  const client = clientWith()
  const leaving = new AbortController()
  const never = Array.from({ length: 40 }, () =>
    client.fetch(`http://127.0.0.1:${silent}/`, { ...IMAGES, payer: 'slow', signal: leaving.signal }),
  )
  const other = await client.fetch(`http://127.0.0.1:${port}/`, IMAGES)
  assert.equal(other.mediaType, 'image/png')
  leaving.abort()
  assert.ok((await Promise.allSettled(never)).every(({ status }) => status === 'rejected'))
})
