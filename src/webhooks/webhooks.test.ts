import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { Webhook } from 'standardwebhooks'
import type { Config } from '../config/schema.ts'
import type { Clock } from '../std/clock.ts'
import { createIdMaker } from '../std/request-id.ts'
import { TRYING_MS } from './backoff.ts'
import { createEndpoint } from './endpoint.ts'
import type { Delivery, Outbox } from './outbox-port.ts'
import { Webhooks } from './webhooks.ts'

const SECRET = `whsec_${Buffer.alloc(24, 7).toString('base64')}`
const ENV = { SECRET }

/** One request as the receiver got it. */
interface Received {
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly response: ServerResponse
}

/** Items that are put in and taken out in order, each taker waiting for its own. */
class Mailbox<Item> {
  readonly #items: Item[] = []
  readonly #takers: ((item: Item) => void)[] = []

  put(item: Item): void {
    const taker = this.#takers.shift()
    if (taker === undefined) this.#items.push(item)
    else taker(item)
  }

  take(): Promise<Item> {
    const item = this.#items.shift()
    return item === undefined ? new Promise(resolve => this.#takers.push(resolve)) : Promise.resolve(item)
  }

  get left(): number {
    return this.#items.length
  }
}

/** A receiver on loopback; the test answers each request. */
async function startReceiver() {
  const requests = new Mailbox<Received>()
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () =>
      requests.put({ headers: request.headers, body: Buffer.concat(chunks).toString(), response }),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  after(() => {
    server.closeAllConnections()
    server.close()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`
  return {
    url,
    requests,
    async answer(status: number, headers: Record<string, string> = {}): Promise<Received> {
      const received = await requests.take()
      received.response.writeHead(status, headers).end('seen')
      return received
    },
  }
}

/** Time that passes when the test says so. Begins now, since the library that checks signatures looks at the machine's clock. */
class TestClock implements Clock {
  readonly sleeps = new Mailbox<number>()
  #nowMs = Date.now()
  #wakeUp: (() => void) | null = null

  nowMs(): number {
    return this.#nowMs
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  after(delayMs: number, callback: () => void): () => void {
    this.#wakeUp = callback
    this.sleeps.put(delayMs)
    return () => {
      if (this.#wakeUp === callback) this.#wakeUp = null
    }
  }

  pass(ms: number): void {
    this.#nowMs += ms
    const wakeUp = this.#wakeUp
    this.#wakeUp = null
    wakeUp?.()
  }
}

/** An outbox in memory, kept in an array that outlives the one who delivers. The store's own is tested in src/store. */
function memoryOutbox(rows: Delivery[], pendingMax = 100): Outbox {
  const waiting = (endpoint: string) => rows.filter(row => row.endpoint === endpoint && row.state === 'pending')
  const change = (rowsToChange: readonly Delivery[], parts: Partial<Delivery>) => {
    for (const row of rowsToChange) rows[rows.indexOf(row)] = { ...row, ...parts }
    return rowsToChange.length
  }
  return {
    async add(deliveries) {
      let dropped = 0
      for (const delivery of deliveries) {
        if (waiting(delivery.endpoint).length >= pendingMax) dropped++
        else {
          const { createdMs } = delivery
          const rest = { state: 'pending', tries: 0, sinceMs: createdMs, triedMs: null, outcome: '' } as const
          rows.push({ ...delivery, ...rest, seq: rows.length + 1, nextMs: createdMs })
        }
      }
      return dropped
    },
    head: async endpoint => waiting(endpoint)[0] ?? null,
    async tried(seq, tried) {
      const found = rows.filter(row => row.seq === seq)
      change(found, { ...tried, tries: (found[0]?.tries ?? 0) + 1 })
    },
    list: async ({ state, limit }) => rows.filter(row => (state ?? row.state) === row.state).slice(-limit),
    async pending() {
      return new Map(rows.map(row => [row.endpoint, waiting(row.endpoint).length]))
    },
    retry: async (id, nowMs) =>
      change(
        rows.filter(row => row.state === 'failed' && (id ?? row.id) === row.id),
        { state: 'pending', tries: 0, sinceMs: nowMs, nextMs: nowMs },
      ),
    failOthers: async endpoints =>
      change(
        rows.filter(row => row.state === 'pending' && !endpoints.includes(row.endpoint)),
        { state: 'failed' },
      ),
  }
}

type Setting = Config['webhooks'][number]

function start(
  urls: readonly (string | Partial<Setting>)[],
  options: Partial<{ rows: Delivery[]; outbox: Outbox; timeoutMs: number }> = {},
) {
  const rows = options.rows ?? []
  const clock = new TestClock()
  const settings = urls.map(url => ({
    url: '',
    secretEnv: 'SECRET',
    events: 'all' as const,
    allowPrivate: true,
    ...(typeof url === 'string' ? { url } : url),
  }))
  const outcomes = new Mailbox<{ outcome: string; answer?: string; id?: string }>()
  const errors: unknown[] = []
  const webhooks = new Webhooks({
    settings,
    outbox: options.outbox ?? memoryOutbox(rows),
    clock,
    newId: createIdMaker(() => Date.now()),
  })
  webhooks.start({
    env: ENV,
    chance: () => 0.5,
    timeoutMs: options.timeoutMs ?? 60_000,
    onOutcome: (outcome, detail) => outcomes.put({ outcome, ...detail }),
    onError: error => errors.push(error),
  })
  after(() => webhooks.close())
  return { webhooks, rows, clock, outcomes, errors }
}

const LOW = { org: 'org_a', balance: '0.99', threshold: '1.00' }

test('an event arrives signed as the specification says', async () => {
  const receiver = await startReceiver()
  const { webhooks, clock, outcomes } = start([receiver.url])
  webhooks.emit('credit.low', LOW)
  const { headers, body } = await receiver.answer(204)
  const verified = new Webhook(SECRET).verify(body, headers as Record<string, string>)
  assert.deepEqual(verified, { type: 'credit.low', timestamp: new Date(clock.nowMs()).toISOString(), data: LOW })
  assert.match(String(headers['webhook-id']), /^msg_[0-9a-z]{26}$/)
  assert.equal(headers['content-type'], 'application/json')
  assert.throws(
    () => new Webhook(SECRET).verify(`${body} `, headers as Record<string, string>),
    /No matching signature/,
  )
  assert.equal((await outcomes.take()).outcome, 'delivered')
})

test("the specification's own vector", () => {
  const setting = { url: 'https://a.example/', secretEnv: 'S', events: 'all', allowPrivate: false } as const
  const endpoint = createEndpoint(setting, { S: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' })
  const headers = endpoint.headers('msg_p5jXN8AQM9LWM0D4loKWxJek', '{"test": 2432232314}', 1_614_265_330_999)
  assert.deepEqual(headers, {
    'content-type': 'application/json',
    'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  })
})

for (const [name, secret, message] of [
  ['is missing', undefined, /S, which is not set.*openssl rand -base64 24/],
  ['is short', `whsec_${Buffer.alloc(23).toString('base64')}`, /24 to 64 bytes in base64/],
  ['has another form', 'secret', /has to be "whsec_"/],
] as const) {
  test(`a secret that ${name}`, () => {
    const setting = { url: 'https://a.example/', secretEnv: 'S', events: 'all', allowPrivate: false } as const
    assert.throws(() => createEndpoint(setting, { S: secret }), message)
  })
}

test('after a failure the same event comes again with the same id, signed anew, and the next ones wait for it', async () => {
  const receiver = await startReceiver()
  const { webhooks, clock, outcomes, rows } = start([receiver.url])
  webhooks.emit('credit.low', LOW)
  webhooks.emit('credit.exhausted', LOW)
  const first = await receiver.answer(500)
  assert.deepEqual((await outcomes.take()).outcome, 'retried')
  assert.equal(await clock.sleeps.take(), 5_000)
  assert.equal(receiver.requests.left, 0)
  clock.pass(5_000)
  const again = await receiver.answer(200)
  const next = await receiver.answer(200)
  assert.equal(again.headers['webhook-id'], first.headers['webhook-id'])
  assert.equal(again.body, first.body)
  assert.equal(Number(again.headers['webhook-timestamp']) - Number(first.headers['webhook-timestamp']), 5)
  new Webhook(SECRET).verify(again.body, again.headers as Record<string, string>)
  assert.equal(JSON.parse(next.body).type, 'credit.exhausted')
  await outcomes.take()
  await outcomes.take()
  assert.deepEqual(
    rows.map(({ state, tries, outcome }) => [state, tries, outcome]),
    [
      ['delivered', 2, '200'],
      ['delivered', 1, '200'],
    ],
  )
})

test('no answer in time is a failure', async () => {
  const receiver = await startReceiver()
  const rows: Delivery[] = []
  const before = start([receiver.url], { rows, timeoutMs: 50 })
  before.webhooks.emit('credit.low', LOW)
  const { outcome, answer, id } = await before.outcomes.take()
  assert.deepEqual([outcome, answer], ['retried', 'no answer within 50 ms'])
  await before.webhooks.close()
  // On a slow machine even a good answer would be too late for so short a time, so the next try is given more.
  const next = start([receiver.url], { rows })
  await next.clock.sleeps.take()
  next.clock.pass(10_000)
  let again = await receiver.answer(200)
  const firstTry = String(Math.floor(before.clock.nowMs() / 1000))
  if (again.headers['webhook-timestamp'] === firstTry) again = await receiver.answer(200)
  assert.equal(again.headers['webhook-id'], id)
  assert.equal((await next.outcomes.take()).outcome, 'delivered')
})

/** How one try that cannot succeed is told. */
function checkFailed(name: string, url: (own: string) => Partial<Setting>, answer: RegExp, status?: number) {
  test(`a try fails: ${name}`, async () => {
    const receiver = await startReceiver()
    const { webhooks, outcomes } = start([url(receiver.url)])
    webhooks.emit('credit.low', LOW)
    if (status !== undefined) await receiver.answer(status, { location: receiver.url })
    const told = await outcomes.take()
    assert.equal(told.outcome, 'retried')
    assert.match(told.answer ?? '', answer)
    assert.equal(receiver.requests.left, 0)
  })
}

checkFailed('an inside address', url => ({ url, allowPrivate: false }), /127\.0\.0\.1 is an inside address/)
checkFailed(
  'a name of an inside address',
  url => ({ url: url.replace('127.0.0.1', 'localhost'), allowPrivate: false }),
  /localhost resolves to the inside address/,
)
checkFailed('a redirect', url => ({ url }), /^307, and redirects are not followed$/, 307)
checkFailed('a refusal', url => ({ url }), /^404$/, 404)
checkFailed('nobody listens', () => ({ url: 'http://127.0.0.1:1/' }), /ECONNREFUSED/)

test('an endpoint that is down hinders no other', async () => {
  const receiver = await startReceiver()
  const { webhooks, outcomes } = start(['http://127.0.0.1:1/', receiver.url])
  webhooks.emit('credit.low', LOW)
  await receiver.answer(200)
  const told = [await outcomes.take(), await outcomes.take()].map(each => each.outcome)
  assert.deepEqual(told.sort(), ['delivered', 'retried'])
})

test('an endpoint gets what it wants', async () => {
  const receiver = await startReceiver()
  const { webhooks, rows } = start([{ url: receiver.url, events: ['overrun'] }])
  webhooks.emit('credit.low', LOW)
  webhooks.emit('overrun', {})
  assert.equal(JSON.parse((await receiver.answer(200)).body).type, 'overrun')
  assert.equal(rows.length, 1)
  const { id, urls } = await webhooks.test(null)
  assert.deepEqual(urls, [receiver.url])
  assert.equal((await receiver.answer(200)).headers['webhook-id'], id)
  assert.deepEqual((await webhooks.test('https://other.example/')).urls, [])
})

test('a try that was cut off by the end of the process is made again by the next, with the same id', async () => {
  const receiver = await startReceiver()
  const rows: Delivery[] = []
  const before = start([receiver.url], { rows })
  before.webhooks.emit('credit.low', LOW)
  const first = await receiver.requests.take()
  await before.webhooks.close()
  assert.deepEqual([rows[0]?.state, rows[0]?.tries, before.outcomes.left], ['pending', 0, 0])
  const next = start([receiver.url], { rows })
  const again = await receiver.answer(200)
  assert.equal(again.headers['webhook-id'], first.headers['webhook-id'])
  assert.equal((await next.outcomes.take()).outcome, 'delivered')
  assert.equal(rows[0]?.state, 'delivered')
})

test('a success that could not be written down is repeated once, with the same id', async () => {
  const receiver = await startReceiver()
  const rows: Delivery[] = []
  const outbox = memoryOutbox(rows)
  const before = start([receiver.url], {
    rows,
    outbox: { ...outbox, tried: () => Promise.reject(new Error('disk full')) },
  })
  before.webhooks.emit('credit.low', LOW)
  const first = await receiver.answer(200)
  assert.equal(await before.clock.sleeps.take(), 5_000)
  assert.match(String(before.errors), /disk full/)
  await before.webhooks.close()
  const next = start([receiver.url], { rows })
  const again = await receiver.answer(200)
  assert.equal(again.headers['webhook-id'], first.headers['webhook-id'])
  await next.outcomes.take()
  assert.equal(receiver.requests.left, 0)
})

test('after a day a delivery has failed, and goes again when it is asked for', async () => {
  const receiver = await startReceiver()
  const { webhooks, clock, outcomes, rows } = start([receiver.url])
  webhooks.emit('credit.low', LOW)
  const beganMs = clock.nowMs()
  let tries = 0
  while (true) {
    await receiver.answer(503)
    tries++
    if ((await outcomes.take()).outcome === 'failed') break
    // Long sleeps are slept in parts.
    while (receiver.requests.left === 0 && (rows[0] as Delivery).nextMs > clock.nowMs())
      clock.pass(await clock.sleeps.take())
  }
  assert.equal(clock.nowMs() - beganMs, TRYING_MS)
  assert.ok(tries > 10, String(tries))
  assert.deepEqual(await webhooks.endpoints(), [{ url: receiver.url, events: 'all', pending: 0 }])
  const [failed] = await webhooks.deliveries({ state: 'failed', limit: 10 })
  assert.deepEqual([failed?.tries, failed?.outcome], [tries, '503'])
  assert.equal(await webhooks.retry(failed?.id ?? ''), 1)
  await receiver.answer(200)
  assert.equal((await outcomes.take()).outcome, 'delivered')
})

test('while an endpoint is down, the turn of the next event does not mean a try at once', async () => {
  const receiver = await startReceiver()
  const rows: Delivery[] = []
  const { webhooks, clock, outcomes } = start([receiver.url], { rows })
  webhooks.emit('credit.low', LOW)
  webhooks.emit('overrun', LOW)
  const first = await receiver.requests.take()
  clock.pass(TRYING_MS)
  first.response.writeHead(500).end()
  assert.equal((await outcomes.take()).outcome, 'failed')
  assert.equal(await clock.sleeps.take(), 5_000)
  assert.equal(receiver.requests.left, 0)
  clock.pass(5_000)
  assert.equal(JSON.parse((await receiver.answer(200)).body).type, 'overrun')
})

test('what does not fit the outbox is dropped and told', async () => {
  const rows: Delivery[] = []
  const { webhooks, outcomes } = start(['http://127.0.0.1:1/'], { rows, outbox: memoryOutbox(rows, 0) })
  webhooks.emit('credit.low', LOW)
  const told = await outcomes.take()
  assert.deepEqual([told.outcome, told.answer], ['dropped', 'too many wait for the endpoint'])
})

test('without endpoints nothing is kept', () => {
  const { webhooks, rows } = start([])
  webhooks.emit('credit.low', LOW)
  assert.deepEqual(rows, [])
})
