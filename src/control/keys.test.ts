import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hashSecret, isWellFormed } from './api-key.ts'
import { createHarness, NOW, NOW_MS } from './testing.ts'

test('a key tells its secret once, and works from then on', async () => {
  const { client, publisher, deps } = await createHarness()
  const org = await client.createOrg({ name: 'Acme' })
  const created = await client.createKey({ org: org.id, name: 'laptop', cap: '2.5' })
  const { secret, ...key } = created
  assert.ok(isWellFormed(secret))
  assert.deepEqual(key, {
    id: key.id,
    org: org.id,
    name: 'laptop',
    project: null,
    hint: secret.slice(-4),
    state: 'active',
    cap: '2.50',
    models: null,
    spent: '0.00',
    held: '0.00',
    created_at: NOW,
    expires_at: null,
    revoked_at: null,
  })
  assert.equal(publisher.current().keysByHash.get(hashSecret(deps.pepper, secret))?.id, key.id)
  assert.deepEqual(await client.getKey(key.id), key)
  assert.doesNotMatch(JSON.stringify(await client.listKeys()), new RegExp(secret))
})

test('a key is renamed, capped, uncapped, and revoked once for good', async () => {
  const { client, publisher } = await createHarness()
  const org = await client.createOrg({ name: 'Acme' })
  const { id } = await client.createKey({ org: org.id, name: 'laptop' })
  assert.equal((await client.updateKey(id, { name: 'desktop' })).cap, null)
  assert.equal((await client.updateKey(id, { cap: '0.000000001' })).cap, '0.000000001')
  assert.equal(publisher.current().keys.get(id)?.capNanodollars, 1n)
  assert.equal((await client.updateKey(id, { cap: null })).cap, null)
  const revoked = await client.revokeKey(id)
  assert.deepEqual([revoked.name, revoked.state, revoked.revoked_at], ['desktop', 'revoked', NOW])
  assert.deepEqual(await client.revokeKey(id), revoked)
})

test('a key is for the models that it names, by their ids', async () => {
  const { client, refused, publisher } = await createHarness()
  const org = await client.createOrg({ name: 'Acme' })
  const targets = [{ upstream: 'engine', upstream_model: 'small.gguf' }]
  await client.putModel('a/b', { context_tokens: 100, aliases: ['small'], targets })
  const { id, models } = await client.createKey({ org: org.id, name: 'app', models: ['small', 'a/b'] })
  assert.deepEqual(models, ['a/b'])
  assert.deepEqual(publisher.current().keys.get(id)?.models, ['a/b'])
  assert.deepEqual((await client.updateKey(id, { name: 'other' })).models, ['a/b'])
  assert.equal((await client.updateKey(id, { models: null })).models, null)
  for (const line of ['POST /keys', `PATCH /keys/${id}`]) {
    const body = { ...(line.startsWith('POST') && { org: org.id, name: 'k' }), models: ['gone'] }
    await refused(line, body, 404, 'model_not_found', /models: there is no model "gone"/, 'models')
    await refused(line, { ...body, models: [] }, 400, 'invalid_value', /models/, 'models')
  }
})

test('spent and held come from the books', async () => {
  const { client, books } = await createHarness()
  const org = await client.createOrg({ name: 'Acme' })
  const { id } = await client.createKey({ org: org.id, name: 'laptop' })
  await client.addCredit(org.id, { amount: '1' })
  const budgets = [{ id: `key:${id}`, limitNanodollars: null }]
  books.hold({ requestId: 'r', orgId: org.id, budgets, amountNanodollars: 250_000_000n })
  assert.equal((await client.getKey(id)).held, '0.25')
})

test('keys are listed for one org or all', async () => {
  const { client, refused } = await createHarness()
  const orgs = [await client.createOrg({ name: 'a' }), await client.createOrg({ name: 'b' })] as const
  for (const org of orgs) await client.createKey({ org: org.id, name: 'k' })
  assert.equal((await client.listKeys()).data.length, 2)
  assert.deepEqual(
    (await client.listKeys({ org: orgs[1].id })).data.map(key => key.org),
    [orgs[1].id],
  )
  await refused('GET /keys?org=gone', undefined, 404, 'not_found', /no org "gone"/)
})

test('an expired key says so', async () => {
  const { client, deps } = await createHarness()
  const org = await client.createOrg({ name: 'Acme' })
  const { id } = await client.createKey({ org: org.id, name: 'k', expires_at: '2026-01-31T14:00:00+01:00' })
  assert.deepEqual(
    [(await client.getKey(id)).expires_at, (await client.getKey(id)).state],
    ['2026-01-31T13:00:00.000Z', 'active'],
  )
  deps.clock.nowMs = () => NOW_MS + 3_600_000
  assert.equal((await client.getKey(id)).state, 'expired')
})

test('what a key cannot be is refused with the field and the cure', async () => {
  const { client, refused } = await createHarness()
  const { id: org } = await client.createOrg({ name: 'Acme' })
  const { id } = await client.createKey({ org, name: 'k' })
  await refused('POST /keys', { name: 'k' }, 400, 'missing_required_parameter', /org: is required/, 'org')
  await refused('POST /keys', { org: 'gone', name: 'k' }, 404, 'not_found', /no org "gone"/)
  await refused('POST /keys', { org, name: 'k', cap: 5 }, 400, 'invalid_value', /cap: has to be a string/, 'cap')
  await refused('POST /keys', { org, name: 'k', cap: '-1' }, 400, 'invalid_value', /cap: cannot be negative/, 'cap')
  await refused(
    'POST /keys',
    { org, name: 'k', cap: 'much' },
    400,
    'invalid_value',
    /cap: expected a dollar amount/,
    'cap',
  )
  await refused('POST /keys', { org, name: 'k', cap: '0.0000000001' }, 400, 'invalid_value', /cap: .*finer/, 'cap')
  await refused(
    'POST /keys',
    { org, name: 'k', expires_at: 'soon' },
    400,
    'invalid_value',
    /expires_at: has to be a time/,
    'expires_at',
  )
  await refused('POST /keys', { org, name: 'k', expires_at: NOW }, 400, 'invalid_value', /in the future/, 'expires_at')
  await refused(`PATCH /keys/${id}`, { cap: '1e3' }, 400, 'invalid_value', /cap: expected a dollar amount/, 'cap')
  for (const line of ['GET /keys/gone', 'DELETE /keys/gone'])
    await refused(line, undefined, 404, 'not_found', /no key "gone"/)
  await refused('PATCH /keys/gone', { name: 'k' }, 404, 'not_found', /no key "gone"/)
})
