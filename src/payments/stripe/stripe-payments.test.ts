import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { ApiError } from '../../errors.ts'
import type { Transfer } from '../../ledger/journal.ts'
import type { Notifier, PaymentReceived } from '../../ledger/notifier.ts'
import type { CheckoutWish } from '../checkout.ts'
import { PaymentRecorder, type RecordedEvent } from '../payment-recorder.ts'
import { createStripePayments } from './stripe-payments.ts'
import { dispute, paidSession, refundedCharge, signatureOf, stripeEvent, WEBHOOK_SECRET } from './testing.ts'

const NOW_MS = Date.UTC(2026, 0, 31, 12)
const NOW_S = NOW_MS / 1000
const SETTINGS = {
  secretKeyEnv: 'SK',
  webhookSecretEnv: 'WH',
  successUrl: 'https://example.com/paid',
  cancelUrl: 'https://example.com/credit',
  packs: [
    { id: 'medium', dollars: '25.00', bonus: '1.50' },
    { id: 'plain', dollars: '10.00', bonus: '0.00' },
  ],
  minDollars: '5.00',
  maxDollars: '1000.00',
}
const ENV = { SK: 'sk_test_123', WH: WEBHOOK_SECRET }

type Api = NonNullable<Parameters<typeof createStripePayments>[0]['api']>

/** Payments over books and records in memory, of an installation with the org `org_a`. */
async function createPayments(api?: Api) {
  const transfers = new Map<string, Transfer>()
  const credited: bigint[] = []
  const told: PaymentReceived[] = []
  const records: RecordedEvent[] = []
  let counter = 0
  const payments = await createStripePayments({
    settings: SETTINGS,
    env: ENV,
    events: new PaymentRecorder({
      async addCredit(transfer) {
        const before = transfers.get(transfer.id)
        if (before === undefined) transfers.set(transfer.id, transfer)
        return { added: before === undefined, transfer: before ?? transfer }
      },
      async post(transfer) {
        const before = transfers.get(transfer.id)
        if (before === undefined) transfers.set(transfer.id, transfer)
        return { added: before === undefined, transfer: before ?? transfer }
      },
      bookedTotal: async prefix =>
        [...transfers.values()]
          .filter(({ id }) => id.startsWith(prefix))
          .reduce((sum, { amountNanodollars }) => sum + amountNanodollars, 0n),
      credit: (orgId, amount) => {
        assert.equal(orgId, 'org_a')
        credited.push(amount)
      },
      isOrg: orgId => orgId === 'org_a' || orgId === 'org_b',
      async record(event) {
        records.push(event)
      },
      orgOf: async paymentId =>
        records.find(each => each.kind === 'credited' && each.paymentId === paymentId)?.orgId ?? null,
      notifier: { paymentReceived: payment => told.push(payment) } as Partial<Notifier> as Notifier,
      nowMs: () => NOW_MS,
      onOutcome: () => undefined,
    }),
    newId: prefix => `${prefix}${++counter}`,
    nowMs: () => NOW_MS,
    ...(api === undefined ? {} : { api }),
  })
  const receive = (body: string, headers: IncomingHttpHeaders = { 'stripe-signature': signatureOf(body, NOW_MS) }) =>
    payments.receive(headers, Buffer.from(body))
  return { payments, transfers, credited, told, records, receive }
}

const COMPLETED = 'checkout.session.completed'
const SUCCEEDED = 'checkout.session.async_payment_succeeded'
const event = (id: string, type: string, object: object) => JSON.stringify(stripeEvent(id, type, object, NOW_S))

/** What events lead to: the transfers as `id amount`, what the books were credited, and each record as `kind reason`. */
function check(
  name: string,
  events: readonly string[],
  expected: { transfers?: readonly string[]; credited?: readonly bigint[]; records: readonly string[] },
) {
  test(name, async () => {
    const { transfers, credited, told, records, receive } = await createPayments()
    for (const body of events) await receive(body)
    assert.deepEqual(
      [...transfers.values()].map(({ id, amountNanodollars }) => `${id} ${amountNanodollars}`),
      expected.transfers ?? [],
    )
    assert.deepEqual(credited, expected.credited ?? [])
    assert.equal(told.length, (expected.transfers ?? []).length === 0 ? 0 : 1)
    assert.deepEqual(
      records.map(({ kind, reason }) => `${kind} ${reason}`.trim()),
      expected.records,
    )
  })
}

const BOTH = ['stripe:cs_test_a1 25000000000', 'stripe:cs_test_a1:bonus 1500000000']
const CREDITED = [25_000_000_000n, 1_500_000_000n]

check('a payment is credited, and its bonus', [event('evt_1', COMPLETED, paidSession())], {
  transfers: BOTH,
  credited: CREDITED,
  records: ['credited'],
})
check(
  'an event that comes twice credits once',
  [event('evt_1', COMPLETED, paidSession()), event('evt_1', COMPLETED, paidSession())],
  { transfers: BOTH, credited: CREDITED, records: ['credited', 'credited'] },
)
check(
  'a slow payment is credited when the money has come',
  [event('evt_1', COMPLETED, paidSession({ payment_status: 'unpaid' })), event('evt_2', SUCCEEDED, paidSession())],
  { transfers: BOTH, credited: CREDITED, records: ['ignored not paid yet', 'credited'] },
)
check(
  'the events of a slow payment in the wrong order',
  [event('evt_2', SUCCEEDED, paidSession()), event('evt_1', COMPLETED, paidSession({ payment_status: 'unpaid' }))],
  { transfers: BOTH, credited: CREDITED, records: ['credited', 'ignored not paid yet'] },
)
check(
  'cents are exact',
  [event('evt_1', COMPLETED, paidSession({ amount_total: 99_999_999, metadata: { headrace_org: 'org_a' } }))],
  {
    transfers: ['stripe:cs_test_a1 999999990000000'],
    credited: [999_999_990_000_000n],
    records: ['credited'],
  },
)
check('another currency', [event('evt_1', COMPLETED, paidSession({ currency: 'eur' }))], {
  records: ['ignored it was paid in eur, and the books are in usd'],
})
check(
  'an org that is not here',
  [event('evt_1', COMPLETED, paidSession({ metadata: { headrace_org: 'org_of_another_installation' } }))],
  { records: ['ignored there is no org org_of_another_installation'] },
)
check('a checkout of something else', [event('evt_1', COMPLETED, paidSession({ metadata: {} }))], {
  records: ['ignored it names no org: the checkout was not begun here'],
})
check('a checkout without money', [event('evt_1', COMPLETED, paidSession({ amount_total: 0 }))], {
  records: ['ignored nothing was paid'],
})
check('a subscription', [event('evt_1', COMPLETED, paidSession({ mode: 'subscription' }))], {
  records: ['ignored not paid yet'],
})
check(
  'a session whose amount is another one the second time',
  [event('evt_1', COMPLETED, paidSession()), event('evt_2', SUCCEEDED, paidSession({ amount_total: 9_900 }))],
  {
    transfers: BOTH,
    credited: CREDITED,
    records: ['credited', 'ignored stripe:cs_test_a1 is on record already, with another amount or org'],
  },
)
check(
  'a session whose org is another one the second time',
  [
    event('evt_1', COMPLETED, paidSession()),
    event('evt_2', SUCCEEDED, paidSession({ metadata: { headrace_org: 'org_b', headrace_bonus: '1.50' } })),
  ],
  {
    transfers: BOTH,
    credited: CREDITED,
    records: ['credited', 'ignored stripe:cs_test_a1 is on record already, with another amount or org'],
  },
)
const PAID = event('evt_0', COMPLETED, paidSession())
check(
  'refunds are taken back once, whatever order they come in',
  [
    PAID,
    event('evt_1', 'charge.refunded', refundedCharge({ amount_refunded: 700 })),
    event('evt_2', 'charge.refunded', refundedCharge({ amount_refunded: 1000 })),
    event('evt_3', 'charge.refunded', refundedCharge({ amount_refunded: 700 })),
    event('evt_4', 'charge.refunded', refundedCharge({ amount_refunded: 1000 })),
  ],
  {
    transfers: [...BOTH, 'stripe:ch_1:refund:700 7000000000', 'stripe:ch_1:refund:1000 3000000000'],
    credited: [...CREDITED, -7_000_000_000n, -3_000_000_000n],
    records: ['credited', 'refunded', 'refunded', 'refunded', 'refunded'],
  },
)
check(
  'a dispute is taken back when the bank has taken the money',
  [
    PAID,
    event('evt_1', 'charge.dispute.created', dispute()),
    event('evt_2', 'charge.dispute.funds_withdrawn', dispute()),
    event('evt_3', 'charge.dispute.funds_withdrawn', dispute()),
  ],
  {
    transfers: [...BOTH, 'stripe:dp_1:chargeback 25000000000'],
    credited: [...CREDITED, -25_000_000_000n],
    records: [
      'credited',
      'ignored a dispute was opened, and no money taken yet: look at it at the provider',
      'charged_back',
      'charged_back',
    ],
  },
)
check(
  'what went back of payments that are not ours',
  [
    event('evt_1', 'charge.refunded', refundedCharge({ metadata: {} })),
    event('evt_2', 'charge.dispute.funds_withdrawn', dispute()),
  ],
  {
    records: [
      'ignored it names no org: the checkout was not begun here',
      'ignored it names no org: the checkout was not begun here',
    ],
  },
)
check(
  'events that say nothing of our money',
  [event('evt_1', 'customer.created', { id: 'cus_1', object: 'customer' })],
  {
    records: [],
  },
)

test('the record of an event says whose money it was', async () => {
  const { records, receive } = await createPayments()
  await receive(event('evt_1', COMPLETED, paidSession()))
  await receive(
    event('evt_2', 'charge.refunded', refundedCharge({ payment_intent: { id: 'pi_1', object: 'payment_intent' } })),
  )
  await receive(event('evt_3', 'charge.dispute.created', dispute()))
  await receive(event('evt_4', COMPLETED, paidSession({ currency: 'eur' })))
  await receive(event('evt_5', 'charge.dispute.created', dispute({ payment_intent: 'pi_of_another_shop' })))
  const common = { paymentId: 'pi_1', atMs: NOW_MS, receivedMs: NOW_MS }
  assert.deepEqual(
    records.map(({ kind: _, reason: __, ...rest }) => rest),
    [
      { ...common, id: 'stripe:evt_1', type: COMPLETED, orgId: 'org_a', amountNanodollars: 25_000_000_000n },
      { ...common, id: 'stripe:evt_2', type: 'charge.refunded', orgId: 'org_a', amountNanodollars: 10_000_000_000n },
      {
        ...common,
        id: 'stripe:evt_3',
        type: 'charge.dispute.created',
        orgId: 'org_a',
        amountNanodollars: 25_000_000_000n,
      },
      { ...common, id: 'stripe:evt_4', type: COMPLETED, orgId: 'org_a', amountNanodollars: null },
      {
        ...{ ...common, paymentId: 'pi_of_another_shop', id: 'stripe:evt_5', type: 'charge.dispute.created' },
        ...{ orgId: null, amountNanodollars: 25_000_000_000n },
      },
    ],
  )
})

test('a payment is told of once', async () => {
  const { told, transfers, receive } = await createPayments()
  await Promise.all([1, 2].map(i => receive(event(`evt_${i}`, COMPLETED, paidSession()))))
  assert.deepEqual(told, [
    {
      orgId: 'org_a',
      transferId: 'stripe:cs_test_a1',
      amountNanodollars: 25_000_000_000n,
      bonusNanodollars: 1_500_000_000n,
    },
  ])
  assert.equal(transfers.get('stripe:cs_test_a1')?.memo, 'payment pi_1, pack medium')
})

/** A delivery that is refused with 400, and leaves nothing behind. */
function checkRefused(
  name: string,
  headersOf: (body: string) => IncomingHttpHeaders,
  message: RegExp,
  body = event('evt_1', COMPLETED, paidSession()),
) {
  test(`refused: ${name}`, async () => {
    const { records, transfers, receive } = await createPayments()
    await assert.rejects(receive(body, headersOf(body)), error => {
      assert.ok(error instanceof ApiError)
      assert.equal(error.status, 400)
      assert.match(error.message, message)
      assert.doesNotMatch(error.message, /whsec_|sk_test/)
      return true
    })
    assert.deepEqual([records, transfers.size], [[], 0])
  })
}

const UNFIT = /signature does not fit the body and the secret .* or is older than 300 seconds/
checkRefused('no signature', () => ({}), /header stripe-signature is missing/)
checkRefused('nonsense', () => ({ 'stripe-signature': 'v1' }), UNFIT)
checkRefused(
  'the signature of another secret',
  body => ({ 'stripe-signature': signatureOf(body, NOW_MS, 'whsec_x') }),
  UNFIT,
)
checkRefused('the signature of another body', body => ({ 'stripe-signature': signatureOf(`${body} `, NOW_MS) }), UNFIT)
checkRefused('an old signature', body => ({ 'stripe-signature': signatureOf(body, NOW_MS - 301_000) }), UNFIT)
checkRefused(
  'what is not JSON',
  body => ({ 'stripe-signature': signatureOf(body, NOW_MS) }),
  /signed, and is not JSON/,
  '{',
)

test('a signature of five minutes ago is fresh enough', async () => {
  const { records, receive } = await createPayments()
  const body = event('evt_1', COMPLETED, paidSession())
  await receive(body, { 'stripe-signature': signatureOf(body, NOW_MS - 300_000) })
  assert.equal(records.length, 1)
})

test('what cannot be written down is not acknowledged, and credits once when it comes again', async () => {
  const { receive, records, transfers } = await createPayments()
  const body = event('evt_1', COMPLETED, paidSession())
  const add = transfers.set
  transfers.set = () => {
    throw new Error('disk full')
  }
  await assert.rejects(receive(body), /disk full/)
  assert.deepEqual(records, [])
  transfers.set = add
  await receive(body)
  assert.equal(transfers.size, 2)
})

/** One call as the API got it. */
interface Call {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly form: Record<string, string>
}

/** Stripe's API on loopback, as far as it is used: creating a Checkout Session. */
async function startApi(answer: (call: Call) => { status: number; body: object }) {
  const calls: Call[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const form = Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString()))
      const call = { path: `${request.method} ${request.url}`, headers: request.headers, form }
      calls.push(call)
      const { status, body } = answer(call)
      response.writeHead(status, { 'content-type': 'application/json', 'stripe-should-retry': 'false' })
      response.end(JSON.stringify(body))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  after(() => {
    server.closeAllConnections()
    server.close()
  })
  const api: Api = { host: '127.0.0.1', port: (server.address() as AddressInfo).port, protocol: 'http' }
  return { calls, api }
}

const OPEN = {
  ...paidSession({ payment_status: 'unpaid', status: 'open', payment_intent: null }),
  url: 'https://checkout.stripe.com/c/pay/cs_test_a1',
}
const WISH: CheckoutWish = { orgId: 'org_a', amountNanodollars: null, pack: null, id: null }

test('a checkout of a pack', async () => {
  const { calls, api } = await startApi(() => ({ status: 200, body: OPEN }))
  const { payments } = await createPayments(api)
  assert.deepEqual(await payments.checkout({ ...WISH, pack: 'medium' }), {
    id: 'cs_test_a1',
    url: 'https://checkout.stripe.com/c/pay/cs_test_a1',
    amountNanodollars: 25_000_000_000n,
    bonusNanodollars: 1_500_000_000n,
    expiresMs: 1_769_946_400_000,
  })
  const [call] = calls
  assert.equal(call?.path, 'POST /v1/checkout/sessions')
  assert.equal(call?.headers.authorization, 'Bearer sk_test_123')
  assert.equal(call?.headers['idempotency-key'], 'headrace:org_a:checkout_1')
  assert.equal(call?.headers['x-stripe-client-telemetry'], undefined)
  assert.deepEqual(call?.form, {
    mode: 'payment',
    'line_items[0][quantity]': '1',
    'line_items[0][price_data][currency]': 'usd',
    'line_items[0][price_data][unit_amount]': '2500',
    'line_items[0][price_data][product_data][name]': 'Credit of $25.00',
    'adaptive_pricing[enabled]': 'false',
    client_reference_id: 'org_a',
    'metadata[headrace_org]': 'org_a',
    'metadata[headrace_bonus]': '1.50',
    'metadata[headrace_pack]': 'medium',
    'payment_intent_data[metadata][headrace_org]': 'org_a',
    'payment_intent_data[metadata][headrace_bonus]': '1.50',
    'payment_intent_data[metadata][headrace_pack]': 'medium',
    success_url: 'https://example.com/paid',
    cancel_url: 'https://example.com/credit',
  })
})

test('a checkout of an amount, repeated with an id of the caller', async () => {
  const { calls, api } = await startApi(() => ({ status: 200, body: OPEN }))
  const { payments } = await createPayments(api)
  for (let i = 0; i < 2; i++) await payments.checkout({ ...WISH, amountNanodollars: 12_340_000_000n, id: 'invoice-17' })
  assert.deepEqual(
    calls.map(({ headers, form }) => [headers['idempotency-key'], form['line_items[0][price_data][unit_amount]']]),
    [
      ['headrace:org_a:invoice-17', '1234'],
      ['headrace:org_a:invoice-17', '1234'],
    ],
  )
})

test('what is begun and paid is what is credited', async () => {
  const { calls, api } = await startApi(({ form }) => ({
    status: 200,
    body: { ...OPEN, id: form.client_reference_id },
  }))
  const { payments, receive, credited } = await createPayments(api)
  await payments.checkout({ ...WISH, pack: 'medium' })
  const form = calls[0]?.form ?? {}
  const metadata = Object.fromEntries(
    Object.entries(form).flatMap(([name, value]) => {
      const key = /^metadata\[(\w+)\]$/.exec(name)?.[1]
      return key === undefined ? [] : [[key, value]]
    }),
  )
  const amount_total = Number(form['line_items[0][price_data][unit_amount]'])
  await receive(event('evt_1', COMPLETED, paidSession({ metadata, amount_total })))
  assert.deepEqual(credited, CREDITED)
})

/** A checkout that is not begun. */
function checkNotBegun(name: string, wish: Partial<CheckoutWish>, status: number, message: RegExp, answer?: object) {
  test(`no checkout: ${name}`, async () => {
    const { calls, api } = await startApi(() => ({ status: answer === undefined ? 200 : 400, body: { error: answer } }))
    const { payments } = await createPayments(api)
    await assert.rejects(payments.checkout({ ...WISH, ...wish }), error => {
      assert.ok(error instanceof ApiError, String(error))
      assert.equal(error.status, status)
      assert.match(error.message, message)
      return true
    })
    assert.equal(calls.length, answer === undefined ? 0 : 1)
  })
}

checkNotBegun('nothing was said', {}, 400, /^amount: is required, or a pack/)
checkNotBegun(
  'both were said',
  { amountNanodollars: 5_000_000_000n, pack: 'medium' },
  400,
  /^pack: cannot stand beside/,
)
checkNotBegun(
  'there is no such pack',
  { pack: 'huge' },
  400,
  /^pack: there is no pack "huge"; there are medium, plain$/,
)
checkNotBegun('finer than a cent', { amountNanodollars: 5_000_000_001n }, 400, /^amount: has to be in whole cents$/)
checkNotBegun(
  'too little',
  { amountNanodollars: 4_990_000_000n },
  400,
  /^amount: is 4\.99, and has to be from 5\.00 to/,
)
checkNotBegun('too much', { amountNanodollars: 1_000_010_000_000n }, 400, /has to be from 5\.00 to 1000\.00$/)
checkNotBegun('Stripe refuses', { pack: 'plain' }, 502, /^Stripe did not begin the checkout: No such thing$/, {
  type: 'invalid_request_error',
  message: 'No such thing',
})
checkNotBegun(
  'the id was used for another',
  { pack: 'plain', id: 'x' },
  409,
  /^id: was used before for another checkout/,
  {
    type: 'idempotency_error',
    message: 'Keys for idempotent requests can only be used with the same parameters they were first used with.',
  },
)

test('a secret that is not there', async () => {
  const parts = { settings: SETTINGS, events: {} as never, newId: () => '', nowMs: () => NOW_MS }
  await assert.rejects(
    createStripePayments({ ...parts, env: { SK: 'x' } }),
    /environment variable WH, which is not set/,
  )
})
