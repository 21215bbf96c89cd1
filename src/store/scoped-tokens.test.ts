import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import type { ScopedToken } from '../inference/scoped-token.ts'
import { MIGRATIONS } from './migrations.ts'
import { openStore, type Store } from './store.ts'
import { CHARGE, createKey, DROP_KEPT_BYTES, NOW_MS, settlement, setUp, withPath, withStore } from './testing.ts'

const LATER_MS = NOW_MS + 1000

function tokenOf(id: string, changes: Partial<ScopedToken> = {}): ScopedToken {
  return {
    ...{ id, orgId: 'org_a', keyId: 'key_a', models: null, limitNanodollars: null },
    ...{ createdMs: NOW_MS, expiresMs: LATER_MS, revokedMs: null },
    ...changes,
  }
}

async function spentOf(store: Store): Promise<(readonly [string, bigint])[]> {
  return (await store.tokens.live(NOW_MS)).map(({ token, spentNanodollars }) => [token.id, spentNanodollars])
}

test('a token and what was spent with it are there for the next process', () =>
  withPath(async path => {
    const limited = tokenOf('jti_1', { models: ['model_a', 'm/b'], limitNanodollars: 2n ** 62n })
    const first = await openStore({ path })
    await setUp(first)
    await first.tokens.add(limited)
    await first.tokens.add(tokenOf('jti_2'))
    await first.settle(settlement('req_1', { tokenId: 'jti_1' }))
    // A second settlement of a request changes nothing here either.
    await first.settle(settlement('req_1', { tokenId: 'jti_1' }))
    await first.settle(settlement('req_2', { tokenId: 'jti_1' }))
    await first.settle(settlement('req_3'))
    await first.tokens.revoke('jti_2', NOW_MS + 5)
    await first.tokens.revoke('jti_2', NOW_MS + 6)
    await first.close()

    const second = await openStore({ path })
    assert.deepEqual(await second.tokens.live(NOW_MS), [
      { token: limited, spentNanodollars: 2n * CHARGE },
      { token: tokenOf('jti_2', { revokedMs: NOW_MS + 5 }), spentNanodollars: 0n },
    ])
    assert.equal((await second.loadState()).spent.get('key_a'), 3n * CHARGE, 'the key has spent all of it')
    assert.equal((await second.usageByRequest('req_2'))?.tokenId, 'jti_1')
    assert.equal((await second.usageByRequest('req_3'))?.tokenId, undefined)
    assert.deepEqual((await second.verify()).problems, [])
    await second.close()
  }))

test('a token that is over is no longer there, and is deleted in time', () =>
  withStore(async store => {
    await store.tokens.add(tokenOf('jti_1', { expiresMs: NOW_MS }))
    await store.tokens.add(tokenOf('jti_2'))
    await store.settle(settlement('req_1', { tokenId: 'jti_1' }))
    assert.deepEqual(await spentOf(store), [['jti_2', 0n]])
    assert.equal(await store.tokens.sweep(NOW_MS), 0)
    assert.equal(await store.tokens.sweep(NOW_MS + 1), 1)
    assert.equal(await store.tokens.sweep(NOW_MS + 1), 0)
    assert.deepEqual((await store.verify()).problems, [])
  }))

test('a token is derived from a key of its own org', () =>
  withStore(async store => {
    await store.createOrg({ id: 'org_b', name: 'Bolt', createdMs: NOW_MS })
    await createKey(store, 'key_b', 'org_b')
    await assert.rejects(store.tokens.add(tokenOf('jti_1', { keyId: 'key_b' })), /has no key key_b/)
    await assert.rejects(store.tokens.add(tokenOf('jti_1', { keyId: 'key_c' })), /has no key key_c/)
    assert.deepEqual(await spentOf(store), [])
  }))

test('what was spent with a token outlives the rows of a month that is closed', () =>
  withStore(async store => {
    const endOfMonthMs = Date.UTC(2026, 1, 1)
    await store.tokens.add(tokenOf('jti_1', { expiresMs: endOfMonthMs + 10 }))
    const nextMonth = { admittedMs: endOfMonthMs + 1, settledMs: endOfMonthMs + 2 }
    await store.settle(settlement('req_1', { tokenId: 'jti_1' }))
    await store.settle(settlement('req_2', { tokenId: 'jti_1', ...nextMonth }))
    assert.deepEqual(await store.closeMonths(endOfMonthMs, endOfMonthMs + 3), ['2026_01'])
    assert.deepEqual(await spentOf(store), [['jti_1', 2n * CHARGE]])
    assert.deepEqual((await store.verify()).problems, [])
    // The clock was set back, so that the month comes to life again and is closed once more.
    await store.settle(settlement('req_3', { tokenId: 'jti_1' }))
    await store.closeMonths(endOfMonthMs, endOfMonthMs + 4)
    assert.deepEqual(await spentOf(store), [['jti_1', 3n * CHARGE]])
    assert.deepEqual((await store.verify()).problems, [])
  }))

test('the check of the books finds what is wrong with tokens', async () => {
  const check = (sql: string, ...problems: string[]) =>
    withPath(async path => {
      const store = await openStore({ path })
      await setUp(store)
      await createKey(store, 'key_b', 'org_a')
      await store.tokens.add(tokenOf('jti_1', { limitNanodollars: CHARGE }))
      await store.settle(settlement('req_1', { tokenId: 'jti_1' }))
      await store.close()
      const database = new DatabaseSync(path)
      database.exec(sql)
      database.close()
      const again = await openStore({ path })
      assert.deepEqual((await again.verify()).problems, problems)
      await again.close()
    })
  await check('UPDATE scoped_tokens SET revoked_ms = 1')
  await check(
    'UPDATE token_spent SET nanodollars = nanodollars - 1',
    'With the token jti_1 99999 n$ were spent, its requests sum to 100000 n$.',
  )
  await check('DELETE FROM token_spent', 'With the token jti_1 0 n$ were spent, its requests sum to 100000 n$.')
  await check(
    'UPDATE scoped_tokens SET limit_nanodollars = 99999',
    'With the token jti_1 100000 n$ were spent, more than its limit of 99999 n$.',
  )
  await check(
    "UPDATE scoped_tokens SET key_id = 'key_b'",
    'Request req_1 was made with the token jti_1, which was derived from another key than key_a.',
  )
})

test('a database from before tokens comes up to date, the months in it among the rest', () =>
  withPath(async path => {
    const before = await openStore({ path })
    await setUp(before)
    await before.settle(settlement('req_1'))
    await before.close()
    const database = new DatabaseSync(path)
    database.exec(`${DROP_KEPT_BYTES} DROP VIEW usage; DROP VIEW transfers; ALTER TABLE usage_2026_01 DROP COLUMN token;
      DROP TABLE scoped_tokens; DROP TABLE token_spent; DROP TABLE closed_token_charges; ALTER TABLE api_keys DROP COLUMN models;
      PRAGMA user_version = ${MIGRATIONS.findIndex(({ name }) => name.startsWith('tokens derived'))}`)
    database.close()
    const after = await openStore({ path })
    await after.tokens.add(tokenOf('jti_1'))
    await after.settle(settlement('req_2', { tokenId: 'jti_1' }))
    assert.equal((await after.usageByRequest('req_1'))?.tokenId, undefined)
    assert.equal((await after.usageByRequest('req_2'))?.tokenId, 'jti_1')
    assert.deepEqual((await after.verify()).problems, [])
    await after.close()
  }))
