import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from '../errors.ts'
import { allRows } from './client.ts'
import type { CheckoutWish, PaymentRecord, PaymentsPort } from './ports.ts'
import { createHarness, NOW, NOW_MS } from './testing.ts'

/** Payments in memory: a checkout of any amount, and so many events. */
function fakePayments(events: number): PaymentsPort & { readonly wishes: CheckoutWish[] } {
  const wishes: CheckoutWish[] = []
  const records = Array.from(
    { length: events },
    (_, i): PaymentRecord => ({
      id: `acme:evt_${events - i}`,
      type: 'paid',
      kind: i === 0 ? 'ignored' : 'credited',
      reason: i === 0 ? 'it was paid in eur' : '',
      orgId: i === 0 ? null : 'org_1',
      paymentId: 'pi_1',
      amountNanodollars: i === 0 ? null : 25_000_000_000n,
      atMs: NOW_MS,
    }),
  )
  return {
    wishes,
    async checkout(wish) {
      wishes.push(wish)
      if (wish.pack === 'none') throw new ApiError('invalid_value', 'pack: there is no pack', { param: 'pack' })
      return {
        id: 'cs_1',
        url: 'https://pay.example/cs_1',
        amountNanodollars: wish.amountNanodollars ?? 10_000_000_000n,
        bonusNanodollars: 500_000_000n,
        expiresMs: NOW_MS,
      }
    },
    async list({ limit, beforeId }) {
      const start = beforeId === undefined ? 0 : records.findIndex(({ id }) => id === beforeId) + 1
      return records.slice(start, start + limit)
    },
  }
}

test('a checkout answers where it is paid', async () => {
  const payments = fakePayments(0)
  const { client } = await createHarness({ payments })
  const { id: org } = await client.createOrg({ name: 'Acme' })
  const checkout = await client.beginCheckout(org, { amount: '12.34', id: 'invoice-7' })
  assert.deepEqual(checkout, {
    id: 'cs_1',
    url: 'https://pay.example/cs_1',
    amount: '12.34',
    bonus: '0.50',
    expires_at: NOW,
  })
  assert.equal((await client.beginCheckout(org, { pack: 'small' })).amount, '10.00')
  assert.deepEqual(payments.wishes, [
    { orgId: org, amountNanodollars: 12_340_000_000n, pack: null, id: 'invoice-7' },
    { orgId: org, amountNanodollars: null, pack: 'small', id: null },
  ])
})

test('a checkout that cannot be begun says why', async () => {
  const { client, refused } = await createHarness({ payments: fakePayments(0) })
  const { id } = await client.createOrg({ name: 'Acme' })
  await refused(`POST /orgs/${id}/checkout`, { pack: 'none' }, 400, 'invalid_value', /no pack/, 'pack')
  await refused(
    `POST /orgs/${id}/checkout`,
    { amount: 5 },
    400,
    'invalid_value',
    /amount: has to be a string/,
    'amount',
  )
  await refused('POST /orgs/org_x/checkout', { amount: '5' }, 404, 'not_found', /no org "org_x"/)
})

test('without payments nothing is sold, and nothing is listed', async () => {
  const { client, refused } = await createHarness()
  const { id } = await client.createOrg({ name: 'Acme' })
  await refused(`POST /orgs/${id}/checkout`, { amount: '5' }, 404, 'not_found', /Configure payments, then start/)
  assert.deepEqual((await client.listPayments()).data, [])
})

test('events of payments are listed page by page', async () => {
  const { client, refused } = await createHarness({ payments: fakePayments(3) })
  const page = await client.listPayments({ limit: 1 })
  assert.deepEqual(page.data, [
    {
      id: 'acme:evt_3',
      type: 'paid',
      kind: 'ignored',
      reason: 'it was paid in eur',
      org: null,
      payment: 'pi_1',
      amount: null,
      at: NOW,
    },
  ])
  assert.equal(page.has_more, true)
  const all = []
  for await (const row of allRows(client.listPayments, { limit: 2 })) all.push([row.id, row.amount])
  assert.deepEqual(all, [
    ['acme:evt_3', null],
    ['acme:evt_2', '25.00'],
    ['acme:evt_1', '25.00'],
  ])
  await refused('GET /payments?cursor=~', undefined, 400, 'invalid_value', /cursor/, 'cursor')
})
