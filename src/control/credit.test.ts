import assert from 'node:assert/strict'
import { test } from 'node:test'
import { expireGrants } from './expire-grants.ts'
import { createHarness, NOW, NOW_MS, settlement } from './testing.ts'

const NOTHING = {
  credited: '0.00',
  granted: '0.00',
  refunded: '0.00',
  charged_back: '0.00',
  corrected: '0.00',
  expired: '0.00',
  charged: '0.00',
  balance: '0.00',
  purchased: '0.00',
  granted_left: '0.00',
  held: '0.00',
  available: '0.00',
  grants: [],
}
const DAY_S = 86_400

test('credit is added once per id, and ready to be spent at once', async () => {
  const { client, books } = await createHarness()
  const { id: org } = await client.createOrg({ name: 'Acme' })
  const first = await client.addCredit(org, { amount: '5', memo: 'invoice 7', id: 'invoice-7' })
  const money = {
    org,
    currency: 'USD',
    ...NOTHING,
    credited: '5.00',
    balance: '5.00',
    purchased: '5.00',
    available: '5.00',
  }
  const change = { id: 'invoice-7', kind: 'credit', amount: '5.00', memo: 'invoice 7', by: null, expires_at: null }
  assert.deepEqual(first, { ...change, added: true, credit: money })
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
  await refused(
    path,
    { amount: '-5' },
    400,
    'invalid_value',
    /amount: cannot be negative; only a correction can/,
    'amount',
  )
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

test('one id serves one change; the field in which another one differs is named', async () => {
  const { client, refused } = await createHarness()
  const { id: org } = await client.createOrg({ name: 'Acme' })
  const path = `POST /orgs/${org}/credit`
  const grant = { kind: 'grant', amount: '5', id: 'a', memo: 'welcome', expires_in_s: DAY_S } as const
  assert.equal((await client.addCredit(org, grant)).added, true)
  assert.equal((await client.addCredit(org, grant)).added, false)
  const { expires_in_s: _, ...rest } = grant
  const at = new Date(NOW_MS + DAY_S * 1000).toISOString()
  assert.equal((await client.addCredit(org, { ...rest, expires_at: at })).added, false)
  const check = (change: object, field: string) =>
    refused(
      path,
      change,
      409,
      'conflict',
      new RegExp(`"a" was used before to grant 5\\.00, and ${field} differs`),
      'id',
    )
  await check({ ...grant, amount: '6' }, 'amount')
  await check({ ...rest, kind: 'credit' }, 'kind')
  await check({ ...grant, memo: 'hello' }, 'memo')
  await check({ ...grant, expires_in_s: DAY_S + 1 }, 'expires_in_s')
  await check({ ...rest, expires_at: NOW }, 'expires_at')
  await check(rest, 'expires_at')
  assert.equal((await client.getCredit(org)).granted, '5.00')
})

test('a correction takes the direction of its sign, and is not another one of the other sign', async () => {
  const { client, books, refused } = await createHarness()
  const { id: org } = await client.createOrg({ name: 'Acme' })
  const change = { kind: 'correction', amount: '2', memo: 'found', id: 'a' } as const
  assert.equal((await client.addCredit(org, change)).amount, '2.00')
  await refused(
    `POST /orgs/${org}/credit`,
    { ...change, amount: '-2' },
    409,
    'conflict',
    /correct by 2\.00, and amount differs/,
    'id',
  )
  assert.equal((await client.addCredit(org, { ...change, amount: '-3', id: 'b' })).amount, '-3.00')
  assert.equal(books.orgFunds(org).balanceNanodollars, -1_000_000_000n)
})

test('changes that make no sense are refused with the field and the cure', async () => {
  const { client, refused } = await createHarness()
  const { id } = await client.createOrg({ name: 'Acme' })
  const check = (change: object, param: string, message: RegExp) =>
    refused(`POST /orgs/${id}/credit`, { amount: '1', ...change }, 400, 'invalid_value', message, param)
  await check({ kind: 'gift' }, 'kind', /kind: Invalid option/)
  await check({ kind: 'correction', amount: '0', memo: 'x' }, 'amount', /cannot be zero/)
  await check({ kind: 'correction', memo: ' ' }, 'memo', /has to say what a correction corrects/)
  await check({ kind: 'refund', amount: '-1' }, 'amount', /cannot be negative/)
  await check({ expires_in_s: 5 }, 'expires_in_s', /only a grant ends/)
  await check({ kind: 'refund', expires_at: NOW }, 'expires_at', /only a grant ends/)
  await check({ kind: 'grant', expires_at: NOW, expires_in_s: 5 }, 'expires_in_s', /beside expires_at/)
  await check({ kind: 'grant', expires_at: NOW }, 'expires_at', /is over already/)
  await check({ kind: 'chargeback', force: true }, 'force', /only a refund/)
  assert.equal((await client.getCredit(id)).balance, '0.00')
})

test('what is taken back stops new holds and lets running ones settle', async () => {
  const { client, books } = await createHarness()
  const { id: org } = await client.createOrg({ name: 'Acme' })
  await client.addCredit(org, { amount: '5' })
  const ask = (requestId: string, amountNanodollars: bigint) =>
    books.hold({ requestId, orgId: org, budgets: [], amountNanodollars })
  const { hold } = ask('req_1', 4_000_000_000n)
  assert.ok(hold)
  const { credit } = await client.addCredit(org, { kind: 'chargeback', amount: '3' })
  assert.deepEqual([credit.balance, credit.held, credit.available], ['2.00', '4.00', '-2.00'])
  // One dollar fits the balance, so it may succeed when what is held was too much; three dollars never will.
  assert.equal(ask('req_2', 1_000_000_000n).refusal?.reason, 'credit_held')
  assert.equal(ask('req_3', 3_000_000_000n).refusal?.reason, 'credit')
  await books.settle(hold, settlement({ orgId: org, chargeNanodollars: 4_000_000_000n }))
  assert.equal(books.orgFunds(org).availableNanodollars, -2_000_000_000n)
  assert.deepEqual(ask('req_4', 0n).refusal, { reason: 'credit', budgetId: null, available: 0n })
})

test('what is left of a grant goes back when it is over, but not what is held', async () => {
  const { client, books, deps, fake } = await createHarness()
  const { id: org } = await client.createOrg({ name: 'Acme' })
  await client.addCredit(org, { kind: 'grant', amount: '2', id: 'soon', expires_in_s: DAY_S })
  await client.addCredit(org, { kind: 'grant', amount: '1', id: 'later' })
  const { hold } = books.hold({ requestId: 'req_1', orgId: org, budgets: [], amountNanodollars: 2_500_000_000n })
  assert.ok(hold)
  const clock = { nowMs: () => NOW_MS + DAY_S * 1000 }
  const end = () => expireGrants({ ...deps, clock }, null)
  assert.equal(await end(), 500_000_000n)
  assert.equal(await end(), 0n)
  assert.equal(books.orgFunds(org).availableNanodollars, 0n)
  const charged = settlement({ orgId: org, chargeNanodollars: 700_000_000n })
  await books.settle(hold, charged)
  fake.settle(charged)
  assert.equal(await end(), 800_000_000n)
  const credit = await client.getCredit(org)
  assert.deepEqual(
    [credit.granted, credit.expired, credit.charged, credit.balance, credit.available],
    ['3.00', '1.30', '0.70', '1.00', '1.00'],
  )
  assert.deepEqual(credit.grants, [{ id: 'later', amount: '1.00', remaining: '1.00', expires_at: null }])
})

test('a grant that cannot be ended on disk stays available', async () => {
  const { client, books, deps } = await createHarness()
  const { id: org } = await client.createOrg({ name: 'Acme' })
  await client.addCredit(org, { kind: 'grant', amount: '2', expires_in_s: 1 })
  const clock = { nowMs: () => NOW_MS + 1000 }
  const store = {
    dueGrants: (...args: [number, string | null]) => deps.store.dueGrants(...args),
    expireGrant: () => Promise.reject(new Error('disk full')),
  }
  await assert.rejects(expireGrants({ store, books, clock }, org), /disk full/)
  assert.equal(books.orgFunds(org).availableNanodollars, 2_000_000_000n)
})
