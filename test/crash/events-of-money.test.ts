import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { Webhook } from 'standardwebhooks'
import { paidSession, signatureOf, stripeEvent, WEBHOOK_SECRET } from '../../src/payments/stripe/testing.ts'
import { bounded, headrace, newHome, type ServerProcess, startServer } from '../support/server.ts'
import { chat } from '../support/stream.ts'

/** A server that sells credit and tells of it, killed in the middle: payments are credited once, events arrive. */

const SECRET = `whsec_${Buffer.alloc(32, 9).toString('base64')}`
// Servers of this file inherit them.
process.env.TEST_HOOK_SECRET = SECRET
process.env.TEST_STRIPE_KEY = 'sk_test_nobody'
process.env.TEST_STRIPE_WEBHOOK = WEBHOOK_SECRET

interface Received {
  readonly id: string
  readonly event: { readonly type: string; readonly data: Record<string, unknown> }
  readonly response: ServerResponse
}

/** Listens on loopback until the file's tests are over. */
async function serveOn(handle: (headers: IncomingHttpHeaders, body: string, response: ServerResponse) => void) {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => handle(request.headers, Buffer.concat(chunks).toString(), response))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** A receiver that checks each signature and hands the events out in order. */
async function startReceiver() {
  const waiting: Received[] = []
  let taker: ((received: Received) => void) | null = null
  const url = await serveOn((headers, body, response) => {
    const event = new Webhook(SECRET).verify(body, headers as Record<string, string>) as Received['event']
    const received = { id: String(headers['webhook-id']), event, response }
    if (taker === null) waiting.push(received)
    else taker(received)
    taker = null
  })
  const next = () => {
    const received = waiting.shift()
    if (received !== undefined) return Promise.resolve(received)
    return bounded(
      new Promise<Received>(resolve => {
        taker = resolve
      }),
      'an event',
    )
  }
  return { url: `${url}/hook`, next }
}

/** An upstream that answers one token, and says that it read as many as the request's `user` says. */
const upstream = await serveOn((_, body, response) => {
  const frame = (fields: object) =>
    response.write(
      `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', ...fields })}\n\n`,
    )
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  frame({ choices: [{ index: 0, delta: { role: 'assistant', content: 'x' }, finish_reason: 'stop' }] })
  const input = Number(JSON.parse(body).user ?? 1)
  frame({ choices: [], usage: { prompt_tokens: input, completion_tokens: 1, total_tokens: input + 1 } })
  response.end('data: [DONE]\n\n')
})

const receiver = await startReceiver()
const home = newHome()

function start(): Promise<ServerProcess> {
  return startServer(home, {
    // The first start gives $5.00, so the payment below lifts the balance to just this.
    money: { lowBalance: '31.50' },
    webhooks: [{ url: receiver.url, secretEnv: 'TEST_HOOK_SECRET', allowPrivate: true }],
    payments: {
      stripe: {
        secretKeyEnv: 'TEST_STRIPE_KEY',
        webhookSecretEnv: 'TEST_STRIPE_WEBHOOK',
        successUrl: 'https://example.com/paid',
        cancelUrl: 'https://example.com/credit',
      },
    },
    upstreams: [
      {
        id: 'outside',
        baseUrl: `${upstream}/v1`,
        allowPrivate: true,
        models: [
          {
            model: 'm',
            name: 'm',
            contextTokens: 8192,
            price: { input: '1000', cachedInput: '1000', output: '100000' },
          },
        ],
      },
    ],
    log: { level: 'error' },
  })
}

async function pay(server: ServerProcess, body: string, signature = signatureOf(body, Date.now())): Promise<number> {
  const response = await fetch(`${server.url}/webhooks/stripe`, {
    method: 'POST',
    headers: { 'stripe-signature': signature },
    body,
  })
  return response.status
}

test('credit is bought once, and every event arrives although the server is killed', async () => {
  let server = await start()
  const { key } = server
  const [org] = (await server.control.listOrgs()).data
  assert.ok(org)
  const metadata = { headrace_org: org.id, headrace_bonus: '1.50' }
  const paid = JSON.stringify(
    stripeEvent('evt_1', 'checkout.session.completed', paidSession({ metadata }), Math.floor(Date.now() / 1000)),
  )
  assert.equal(await pay(server, paid, signatureOf(paid, Date.now(), 'whsec_other')), 400)
  assert.equal(await pay(server, paid), 200)
  assert.equal((await server.control.getCredit(org.id)).available, '31.50')

  // The receiver has the event and has not answered when the server dies.
  const first = await receiver.next()
  assert.deepEqual(first.event.data, {
    org: org.id,
    transfer: 'stripe:cs_test_a1',
    amount: '25.00',
    bonus: '1.50',
    balance: '31.50',
  })
  await server.kill()
  server = await start()
  const again = await receiver.next()
  assert.deepEqual([again.id, again.event], [first.id, first.event])
  again.response.writeHead(204).end()

  // The provider repeats what it may not have heard the answer to.
  assert.equal(await pay(server, paid), 200)
  assert.equal((await server.control.getCredit(org.id)).credited, '31.50')
  assert.deepEqual(
    (await server.control.listPayments()).data.map(({ kind, org: whose, amount }) => [kind, whose, amount]),
    [['credited', org.id, '25.00']],
  )

  // One token of output costs $0.10: the balance falls below 31.50, once.
  const ask = (body: object) => chat({ url: server.url, key }, { model: 'm', max_tokens: 1, ...body })
  assert.equal((await ask({})).error, null)
  assert.equal((await ask({})).error, null)
  const low = await receiver.next()
  assert.deepEqual(
    [low.event.type, low.event.data],
    ['credit.low', { org: org.id, balance: '31.399', threshold: '31.50' }],
  )
  low.response.writeHead(200).end()

  assert.equal((await ask({ max_tokens: 2000 })).error?.code, 'insufficient_balance')
  assert.equal((await ask({ max_tokens: 2000 })).error?.code, 'insufficient_balance')
  const exhausted = await receiver.next()
  assert.deepEqual([exhausted.event.type, exhausted.event.data.available], ['credit.exhausted', '31.298'])
  exhausted.response.writeHead(200).end()

  assert.equal((await ask({ user: '5000' })).error, null)
  const overrun = await receiver.next()
  assert.deepEqual(
    [overrun.event.type, overrun.event.data.upstream, overrun.event.data.requests],
    ['overrun', 'outside', 1],
  )
  overrun.response.writeHead(500).end()

  const { id } = await headrace(home, 'webhooks', 'test')
  assert.match(id, /^msg_/)
  const { data } = await server.control.listDeliveries({ limit: 2 })
  assert.deepEqual(
    data.map(row => [row.type, row.state]),
    [
      ['webhook.test', 'pending'],
      ['overrun', 'pending'],
    ],
  )
  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  assert.match(metrics, /^headrace_webhook_deliveries_total\{outcome="delivered"\} 3$/m)
  assert.equal((await server.control.verifyLedger()).ok, true)
  await server.stop()
})
