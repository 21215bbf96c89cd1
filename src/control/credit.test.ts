import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createHarness, settlement } from './testing.ts'

test('credit is added once per id, and ready to be spent at once', async () => {
  const { client, books } = await createHarness()
  const { id: org } = await client.createOrg({ name: 'Acme' })
  const first = await client.addCredit(org, { amount: '5', memo: 'invoice 7', id: 'invoice-7' })
  const money = {
    org,
    currency: 'USD',
    credited: '5.00',
    charged: '0.00',
    balance: '5.00',
    held: '0.00',
    available: '5.00',
  }
  assert.deepEqual(first, { id: 'invoice-7', amount: '5.00', memo: 'invoice 7', added: true, credit: money })
  const again = await client.addCredit(org, { amount: '5', memo: 'invoice 7', id: 'invoice-7' })
  assert.deepEqual([again.added, again.credit.balance], [false, '5.00'])
  books.hold({ requestId: 'r', orgId: org, budgets: [], amountNanodollars: 1n })
  assert.deepEqual(await client.getCredit(org), { ...money, held: '0.000000001', available: '4.999999999' })
})

test('one id may serve two orgs', async () => {
  const { client } = await createHarness()
  for (const name of ['a', 'b']) {
    const { id } = await client.createOrg({ name })
    assert.equal((await client.addCredit(id, { amount: '1', id: 'welcome' })).added, true)
  }
})

test('credit without an id is added every time', async () => {
  const { client } = await createHarness()
  const { id } = await client.createOrg({ name: 'Acme' })
  for (let i = 0; i < 3; i++) await client.addCredit(id, { amount: '0.10' })
  assert.equal((await client.getCredit(id)).balance, '0.30')
})

test('credit and charges add up, with a server and without', async () => {
  for (const offline of [false, true]) {
    const { client, books, fake } = await createHarness({ offline })
    const { id } = await client.createOrg({ name: 'Acme' })
    await client.addCredit(id, { amount: '5' })
    const charged = settlement({ orgId: id, chargeNanodollars: 2_000_000_000n })
    const { hold } = books.hold({ requestId: 'req_1', orgId: id, budgets: [], amountNanodollars: 3_000_000_000n })
    if (!offline && hold !== null) await books.settle(hold, charged)
    fake.settle(charged)
    const { credited, charged: spent, balance, available } = await client.getCredit(id)
    assert.deepEqual([credited, spent, balance, available], ['5.00', '2.00', '3.00', '3.00'])
  }
})

test('what cannot be credited is refused with the field and the cure', async () => {
  const { client, refused } = await createHarness()
  const { id } = await client.createOrg({ name: 'Acme' })
  await client.addCredit(id, { amount: '5', id: 'used' })
  const path = `POST /orgs/${id}/credit`
  await refused(path, {}, 400, 'missing_required_parameter', /amount: is required/, 'amount')
  await refused(path, { amount: 5 }, 400, 'invalid_value', /amount: has to be a string/, 'amount')
  await refused(path, { amount: '-5' }, 400, 'invalid_value', /amount: cannot be negative/, 'amount')
  await refused(path, { amount: '0.00' }, 400, 'invalid_value', /amount: has to be above zero/, 'amount')
  await refused(path, { amount: '0.0000000001' }, 400, 'invalid_value', /amount: .*finer/, 'amount')
  await refused(
    path,
    { amount: '9223372036.854775808' },
    400,
    'invalid_value',
    /amount: .*more than the books can hold/,
    'amount',
  )
  await refused(path, { amount: '5', id: 'a b' }, 400, 'invalid_value', /id: can have/, 'id')
  await refused(path, { amount: '6', id: 'used' }, 409, 'conflict', /id: .*5\.00/, 'id')
  await refused('POST /orgs/gone/credit', { amount: '5' }, 404, 'not_found', /no org "gone"/)
  await refused('GET /orgs/gone/credit', undefined, 404, 'not_found', /no org "gone"/)
})
