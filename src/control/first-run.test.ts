import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hashSecret, isWellFormed } from './api-key.ts'
import { firstRun } from './first-run.ts'
import { createHarness, NOW_MS } from './testing.ts'

test('the first start makes an org with credit and a key; the second start nothing', async () => {
  const { deps, client, publisher } = await createHarness({ offline: true })
  const made = await firstRun({ ...deps, nowMs: NOW_MS }, 5_000_000_000n)
  assert.ok(made !== null && isWellFormed(made.secret))
  await publisher.publish()
  assert.equal((await client.getOrg(made.orgId)).name, 'default')
  assert.equal((await client.getCredit(made.orgId)).balance, '5.00')
  assert.equal(publisher.current().keysByHash.get(hashSecret(deps.pepper, made.secret))?.id, made.keyId)
  assert.equal(await firstRun({ ...deps, nowMs: NOW_MS }, 5_000_000_000n), null)
})

test('without starting credit there is no transfer', async () => {
  const { deps, fake } = await createHarness()
  assert.notEqual(await firstRun({ ...deps, nowMs: NOW_MS }, 0n), null)
  assert.equal(fake.transfers.length, 0)
})
