import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allRows } from './client.ts'
import { createHarness } from './testing.ts'

test('an org is created, found, renamed, disabled and enabled', async () => {
  const { client, publisher } = await createHarness()
  const org = await client.createOrg({ name: ' Acme ' })
  assert.match(org.id, /^org_/)
  assert.deepEqual(org, { id: org.id, name: 'Acme', disabled: false, price_group: null })
  assert.deepEqual(await client.updateOrg(org.id, { name: 'Acme Ltd' }), { ...org, name: 'Acme Ltd' })
  await client.updateOrg(org.id, { disabled: true })
  assert.equal(publisher.current().orgs.get(org.id)?.disabled, true)
  assert.deepEqual(await client.getOrg(org.id), { id: org.id, name: 'Acme Ltd', disabled: true, price_group: null })
  assert.deepEqual(await client.updateOrg(org.id, { disabled: false, price_group: 'vip' }), {
    id: org.id,
    name: 'Acme Ltd',
    disabled: false,
    price_group: 'vip',
  })
})

test('pages of a list join without loss or repetition', async () => {
  const { client, refused } = await createHarness()
  for (let i = 0; i < 7; i++) await client.createOrg({ name: `org ${i}` })
  const first = await client.listOrgs({ limit: 3 })
  assert.deepEqual([first.data.length, first.has_more], [3, true])
  const ids: string[] = []
  for await (const org of allRows(client.listOrgs, { limit: 3 })) ids.push(org.id)
  assert.equal(new Set(ids).size, 7)
  assert.deepEqual(
    ids,
    (await client.listOrgs()).data.map(org => org.id),
  )
  await refused('GET /orgs?cursor=!', undefined, 400, 'invalid_value', /cursor: has to be the next_cursor/, 'cursor')
  await refused('GET /orgs?limit=0', undefined, 400, 'invalid_value', /limit: has to be from 1 to 1000/, 'limit')
})

test('what an org cannot be is refused with the field and the cure', async () => {
  const { client, refused } = await createHarness()
  const { id } = await client.createOrg({ name: 'Acme' })
  const other = await client.createOrg({ name: 'Other' })
  await refused('POST /orgs', {}, 400, 'missing_required_parameter', /name: is required/, 'name')
  await refused('POST /orgs', { name: ' ' }, 400, 'invalid_value', /name: cannot be empty/, 'name')
  await refused(
    'POST /orgs',
    { name: 'Acme' },
    409,
    'conflict',
    new RegExp(`name: the org ${id} is already called`),
    'name',
  )
  await refused(`PATCH /orgs/${other.id}`, { name: 'Acme' }, 409, 'conflict', /already called/, 'name')
  await refused(`PATCH /orgs/${id}`, { disabled: 'yes' }, 400, 'invalid_value', /disabled: .*boolean/, 'disabled')
  await refused('PATCH /orgs/org_gone', { disabled: true }, 404, 'not_found', /no org "org_gone"/)
  await refused('GET /orgs/org_gone', undefined, 404, 'not_found', /no org "org_gone"/)
})

test('two creations of one name at once: one wins', async () => {
  const { client } = await createHarness()
  const results = await Promise.allSettled([client.createOrg({ name: 'Acme' }), client.createOrg({ name: 'Acme' })])
  assert.deepEqual(results.map(result => result.status).sort(), ['fulfilled', 'rejected'])
})
