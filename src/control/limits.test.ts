import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createHarness } from './testing.ts'

test('a limit is set, changed and removed, and the snapshot follows', async () => {
  const { client, publisher } = await createHarness()
  const org = await client.createOrg({ name: 'Acme' })
  const project = await client.createProject({ org: org.id, name: 'search' })
  const key = await client.createKey({ org: org.id, name: 'worker', project: project.id })
  const other = await client.createKey({ org: org.id, name: 'laptop' })
  assert.deepEqual([key.project, other.project], [project.id, null])
  const limit = await client.createLimit({ project: project.id, measure: 'dollars', amount: '20.00', window: 'day' })
  assert.deepEqual(limit, {
    id: limit.id,
    org: org.id,
    project: project.id,
    key: null,
    end_user: null,
    model: null,
    measure: 'dollars',
    amount: '20.00',
    window: 'day',
    hard: true,
    notify_percents: [80, 100],
    used: '0.00',
    held: '0.00',
    resets_at: limit.resets_at,
  })
  assert.match(limit.resets_at as string, /T00:00:00\.000Z$/)
  const { limitsByKey } = publisher.current()
  assert.deepEqual([limitsByKey.get(key.id)?.map(each => each.id), limitsByKey.get(other.id)], [[limit.id], undefined])
  const changed = await client.updateLimit(limit.id, { amount: '5', hard: false, notify_percents: [90, 50, 90] })
  assert.deepEqual([changed.amount, changed.hard, changed.notify_percents], ['5.00', false, [50, 90]])
  assert.deepEqual((await client.listLimits({ org: org.id })).data, [changed])
  assert.equal((await client.removeLimit(limit.id)).id, limit.id)
  assert.equal(publisher.current().limits.size, 0)
})

test('what no limit can be is refused with the field', async () => {
  const { client, refused } = await createHarness()
  const org = await client.createOrg({ name: 'Acme' })
  const other = await client.createOrg({ name: 'Other' })
  const key = await client.createKey({ org: org.id, name: 'k' })
  const check = (body: object, field: string, message: RegExp, status = 400, code = 'invalid_value') =>
    refused('POST /limits', { measure: 'requests', amount: '1', ...body }, status, code, message, field)
  await check({ amount: '0' }, 'amount', /amount: has to be a whole number from 1/)
  await check({ amount: '1.5' }, 'amount', /amount: has to be a whole number from 1/)
  await check({ measure: 'dollars', amount: '0.00' }, 'amount', /amount: has to be above zero/)
  await check({ measure: 'dollars', amount: '0.0000000001' }, 'amount', /finer than/)
  await check({ measure: 'concurrency', window: 'day' }, 'window', /window: concurrency counts what runs now/)
  await check({ org: org.id, end_user: 'each' }, 'window', /window: an end user can be limited for at most a month/)
  await check({ end_user: 'each', window: 'day' }, 'org', /org: has to be given with an end user/)
  await check({ org: other.id, key: key.id }, 'key', /key: it belongs to the org/)
  await check({ project: 'proj_none' }, 'project', /project: there is no project/)
  await check({ notify_percents: [0] }, 'notify_percents.0', /notify_percents/)
  await refused('GET /limits/limit_none', undefined, 404, 'not_found', /no limit "limit_none"/)
  await refused(
    'POST /keys',
    { org: org.id, name: 'x', project: 'proj_none' },
    404,
    'not_found',
    /project: /,
    'project',
  )
})
