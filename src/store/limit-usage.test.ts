import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EACH_END_USER, type LimitRule, type Measure } from '../inference/limit-rule.ts'
import { idStart } from '../std/request-id.ts'
import type { Store } from './store.ts'
import { CHARGE, createKey, settlement, withStore } from './testing.ts'

const T0 = Date.parse('2026-04-30T23:59:00Z')
const MINUTE_MS = 60_000

function rule(parts: Partial<LimitRule> = {}): LimitRule {
  const scope = { orgId: null, projectId: null, keyId: null, endUserId: null, modelId: null }
  return {
    id: 'l',
    ...scope,
    measure: 'nanodollars',
    amount: 1n,
    window: 'day',
    hard: true,
    notifyPercents: [],
    ...parts,
  }
}

/** Two orgs, three keys, two models, two end users; a request a minute from one minute before May on. */
function withUsage(run: (store: Store) => Promise<void>): Promise<void> {
  return withStore(async store => {
    await store.createOrg({ id: 'org_b', name: 'Bolt', createdMs: 1 })
    await store.createProject({ id: 'proj_a', orgId: 'org_a', name: 'search', createdMs: 1 })
    await createKey(store, 'key_b', 'org_b')
    const project = { projectId: 'proj_a', orgId: 'org_a', id: 'key_p', name: 'p', hash: 'p', hint: 'p' }
    await store.createKey({ ...project, capNanodollars: null, createdMs: 1, expiresMs: null, revokedMs: null })
    const requests = [
      { keyId: 'key_a', endUserId: 'ada' },
      { keyId: 'key_a', endUserId: 'bob' },
      { keyId: 'key_p', endUserId: 'ada', modelId: 'model_b' },
      { keyId: 'key_b', orgId: 'org_b' },
    ]
    for (const [i, parts] of requests.entries()) {
      const admittedMs = T0 + i * MINUTE_MS
      const id = `${idStart('req_', admittedMs - 5)}${'0'.repeat(16)}`
      await store.settle(settlement(id, { ...parts, admittedMs, settledMs: admittedMs + 90_000 }))
    }
    await run(store)
  })
}

test('what came under a limit, by its scope', () =>
  withUsage(async store => {
    const check = async (parts: Partial<LimitRule>, requests: number, fromMs = T0) => {
      const found = await store.limitUsage(rule({ ...parts, measure: 'requests' }), fromMs, null)
      const used = found.reduce((sum, each) => sum + each.used, 0n)
      assert.deepEqual([parts, used], [parts, BigInt(requests)])
    }
    await check({}, 4)
    await check({ orgId: 'org_a' }, 3)
    await check({ orgId: 'org_a', keyId: 'key_a' }, 2)
    await check({ orgId: 'org_a', projectId: 'proj_a' }, 1)
    await check({ orgId: 'org_a', endUserId: 'ada' }, 2)
    await check({ orgId: 'org_a', modelId: 'model_a' }, 2)
    await check({ orgId: 'org_a', modelId: 'model_none' }, 0)
    // By the time of admission, over the end of a month.
    await check({}, 3, T0 + 1)
    await check({}, 1, T0 + 3 * MINUTE_MS)
    await check({}, 4, Number.NEGATIVE_INFINITY)
    await check({ orgId: 'org_a' }, 3, Number.NEGATIVE_INFINITY)
    await check({ orgId: 'org_b', keyId: 'key_b' }, 1, Number.NEGATIVE_INFINITY)
  }))

test('each measure, each end user, each piece', () =>
  withUsage(async store => {
    const used = async (measure: Measure, parts: Partial<LimitRule> = {}) =>
      (await store.limitUsage(rule({ measure, ...parts }), T0, null)).reduce((sum, each) => sum + each.used, 0n)
    assert.equal(await used('nanodollars'), 4n * CHARGE)
    assert.equal(await used('tokens'), 440n)
    assert.equal(await used('uncached_tokens'), 280n)
    assert.equal(await used('input_tokens'), 400n)
    assert.equal(await used('output_tokens'), 40n)
    assert.equal(await used('concurrency'), 0n)
    const users = await store.limitUsage(
      rule({ orgId: 'org_a', measure: 'requests', endUserId: EACH_END_USER }),
      T0,
      null,
    )
    assert.deepEqual(
      new Map(users.map(each => [each.endUserId, each.used])),
      new Map([
        ['ada', 2n],
        ['bob', 1n],
      ]),
    )
    const pieces = await store.limitUsage(rule({ measure: 'requests' }), T0, 2 * MINUTE_MS)
    assert.deepEqual(
      pieces.map(each => [(each.atMs - T0) / MINUTE_MS, each.used]),
      [
        [0, 1n],
        [1, 2n],
        [3, 1n],
      ],
    )
  }))

test('limits and projects are kept', () =>
  withUsage(async store => {
    const kept = rule({ orgId: 'org_a', amount: 2n ** 62n, notifyPercents: [80] })
    await store.putLimit(kept)
    await store.putLimit(rule({ id: 'gone' }))
    await store.removeLimit('gone')
    const { limits, projects, keys } = await store.loadState()
    assert.deepEqual(limits, [kept])
    assert.deepEqual(projects, [{ id: 'proj_a', orgId: 'org_a', name: 'search' }])
    assert.equal(keys.find(key => key.id === 'key_p')?.projectId, 'proj_a')
    await store.putLimit({ ...kept, amount: 5n })
    assert.equal((await store.loadState()).limits[0]?.amount, 5n)
  }))
