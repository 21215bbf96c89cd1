import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allRows } from './client.ts'
import type { WebhookDelivery, WebhooksPort } from './ports.ts'
import { createHarness, NOW, NOW_MS } from './testing.ts'

const URL_A = 'https://a.example/hook'

function delivery(seq: number, state: WebhookDelivery['state']): WebhookDelivery {
  const common = { endpoint: URL_A, type: 'credit.low', body: '{}', createdMs: NOW_MS, nextMs: NOW_MS }
  return { ...common, seq, id: `msg_${seq}`, state, tries: seq, triedMs: null, outcome: '500' }
}

/** Webhooks in memory, with one endpoint. */
function fakeWebhooks(rows: readonly WebhookDelivery[]): WebhooksPort {
  return {
    endpoints: async () => [{ url: URL_A, events: 'all', pending: 1 }],
    deliveries: async ({ state, beforeSeq, limit }) =>
      rows
        .filter(row => (state ?? row.state) === row.state && row.seq < (beforeSeq ?? Number.POSITIVE_INFINITY))
        .toReversed()
        .slice(0, limit),
    test: async url => ({ id: 'msg_t', urls: (url ?? URL_A) === URL_A ? [URL_A] : [] }),
    retry: async id => rows.filter(row => row.state === 'failed' && (id ?? row.id) === row.id).length,
  }
}

const ROWS = [delivery(1, 'failed'), delivery(2, 'failed'), delivery(3, 'pending')]

test('endpoints and deliveries are listed', async () => {
  const { client, refused } = await createHarness({ webhooks: fakeWebhooks(ROWS) })
  assert.deepEqual(await client.listWebhooks(), { data: [{ url: URL_A, events: ['all'], pending: 1 }] })
  const page = await client.listDeliveries({ limit: 1 })
  const common = { url: URL_A, type: 'credit.low', outcome: '500', created_at: NOW, tried_at: null, body: '{}' }
  assert.deepEqual(page.data, [{ ...common, id: 'msg_3', state: 'pending', tries: 3, next_at: NOW }])
  const failed = []
  for await (const row of allRows(client.listDeliveries, { limit: 1, state: 'failed' })) failed.push(row)
  assert.deepEqual(failed, [
    { ...common, id: 'msg_2', state: 'failed', tries: 2, next_at: null },
    { ...common, id: 'msg_1', state: 'failed', tries: 1, next_at: null },
  ])
  await refused('GET /webhooks/deliveries?cursor=eA', undefined, 400, 'invalid_value', /cursor/, 'cursor')
  await refused('GET /webhooks/deliveries?state=odd', undefined, 400, 'invalid_value', /state/, 'state')
})

test('a test event goes to the endpoint that was named, or to all', async () => {
  const { client, refused } = await createHarness({ webhooks: fakeWebhooks(ROWS) })
  assert.deepEqual(await client.testWebhooks({}), { id: 'msg_t', urls: [URL_A] })
  assert.deepEqual(await client.testWebhooks({ url: URL_A }), { id: 'msg_t', urls: [URL_A] })
  await refused('POST /webhooks/test', { url: 'https://b.example/' }, 404, 'not_found', /no endpoint "https:\/\/b/)
})

test('what failed is tried again, one or all', async () => {
  const { client, refused } = await createHarness({ webhooks: fakeWebhooks(ROWS) })
  assert.deepEqual(await client.retryWebhooks({}), { retried: 2 })
  assert.deepEqual(await client.retryWebhooks({ id: 'msg_1' }), { retried: 1 })
  await refused(
    'POST /webhooks/retry',
    { id: 'msg_3' },
    404,
    'not_found',
    /No delivery of the event "msg_3" has failed/,
  )
  const none = await createHarness({ webhooks: fakeWebhooks([]) })
  assert.deepEqual(await none.client.retryWebhooks({}), { retried: 0 })
})
