import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { USAGE_ABSENT } from '../inference/usage.ts'
import { openStore, type Store } from '../store/store.ts'
import { allRows } from './client.ts'
import { firstRun } from './first-run.ts'
import type { StoredModel } from './snapshot-builder.ts'
import { createHarness, NOW, NOW_MS, settlement } from './testing.ts'

/** Runs against a store on disk. A running server is stood in for by its books; without them the store's sums count. */
async function withStore(run: (store: Store<StoredModel>) => Promise<void>) {
  const folder = mkdtempSync(join(tmpdir(), 'headrace-control-'))
  const store = await openStore<StoredModel>({ path: join(folder, 'headrace.db') })
  try {
    await run(store)
  } finally {
    await store.close()
    rmSync(folder, { recursive: true })
  }
}

const TARGETS = [{ upstream: 'engine', upstream_model: 'small.gguf' }]

test('what was changed through the control plane is there for the next process', () =>
  withStore(async store => {
    const { client } = await createHarness({ store })
    const org = await client.createOrg({ name: 'Acme' })
    await client.updateOrg(org.id, { disabled: true })
    const { secret: _, ...key } = await client.createKey({ org: org.id, name: 'laptop', cap: '2.50' })
    await client.updateKey(key.id, { cap: null, name: 'desktop' })
    await client.revokeKey(key.id)
    const model = await client.putModel('acme/small', { context_tokens: 1_000, aliases: ['small'], targets: TARGETS })
    const price = await client.setPrice('acme/small', {
      input: '1.30',
      cached_input: '0.10',
      output: '2.60',
      request: '0.001',
    })
    await client.putModel('gone', { context_tokens: 1, targets: TARGETS })
    await client.removeModel('gone')

    const { client: next } = await createHarness({ store, offline: true })
    assert.deepEqual(await next.getOrg(org.id), { ...org, disabled: true })
    assert.deepEqual(await next.getKey(key.id), {
      ...key,
      name: 'desktop',
      cap: null,
      state: 'revoked',
      revoked_at: NOW,
    })
    assert.deepEqual((await next.listModels()).data, [{ ...model, price }])
  }))

test('credit is on record once, and an id is never used for two amounts', () =>
  withStore(async store => {
    const { client, refused } = await createHarness({ store })
    const { id } = await client.createOrg({ name: 'Acme' })
    assert.equal((await client.addCredit(id, { amount: '5', id: 'a', memo: 'first' })).added, true)
    const again = await client.addCredit(id, { amount: '5', id: 'a', memo: 'first' })
    assert.deepEqual([again.added, again.memo, again.credit.credited], [false, 'first', '5.00'])
    await refused(
      `POST /orgs/${id}/credit`,
      { amount: '6', id: 'a' },
      409,
      'conflict',
      /used before to add 5\.00/,
      'id',
    )
    assert.equal((await client.verifyLedger()).ok, true)
  }))

test('what changed credit is on record, by kind, and the books balance', () =>
  withStore(async store => {
    const { client, refused } = await createHarness({ store })
    const { id } = await client.createOrg({ name: 'Acme' })
    const path = `POST /orgs/${id}/credit`
    await client.addCredit(id, { amount: '5', id: 'bought', by: 'ada' })
    await client.addCredit(id, { kind: 'grant', amount: '2', id: 'welcome', expires_in_s: 86_400 })
    await client.addCredit(id, { kind: 'correction', amount: '-0.50', memo: 'typo', id: 'typo' })
    await refused(
      path,
      { kind: 'refund', amount: '4.51' },
      409,
      'conflict',
      /amount: 4\.50 of what was bought/,
      'amount',
    )
    await client.addCredit(id, { kind: 'refund', amount: '4.50', id: 'back' })
    const { credit } = await client.addCredit(id, { kind: 'chargeback', amount: '5', id: 'dp_1' })
    const { purchased, granted_left, balance, available, charged, corrected } = credit
    assert.deepEqual(
      [purchased, granted_left, balance, available, charged, corrected],
      ['-5.00', '2.00', '-3.00', '-3.00', '0.00', '-0.50'],
    )
    assert.deepEqual(
      await Array.fromAsync(allRows(query => client.listCreditTransfers(id, query), { limit: 2 })),
      [
        { id: 'welcome', kind: 'grant', amount: '2.00', expires_at: '2026-02-01T12:00:00.000Z' },
        { id: 'typo', kind: 'correction', amount: '-0.50', memo: 'typo' },
        { id: 'dp_1', kind: 'chargeback', amount: '-5.00' },
        { id: 'bought', kind: 'credit', amount: '5.00', by: 'ada' },
        { id: 'back', kind: 'refund', amount: '-4.50' },
      ].map(row => ({ at: NOW, memo: null, by: null, expires_at: null, ...row })),
    )
    const verified = await client.verifyLedger()
    assert.deepEqual([verified.ok, verified.transfers, verified.problems], [true, 5, []])
  }))

test('settled requests are listed, summed, told and verified', () =>
  withStore(async store => {
    const { client: setup, deps } = await createHarness({ store })
    const made = await firstRun({ ...deps, nowMs: NOW_MS }, 5_000_000_000n)
    assert.ok(made !== null)
    await deps.publish()
    await setup.putModel('acme/small', { context_tokens: 1_000, targets: TARGETS })
    const price = await setup.setPrice('acme/small', { input: '1', cached_input: '0.5', output: '2' })
    const usage = {
      ...USAGE_ABSENT,
      inputTokens: 100,
      inputSource: 'reported',
      outputTokens: 10,
      outputSource: 'counted',
    } as const
    for (const requestId of ['req_a', 'req_b', 'req_c']) {
      const parts = { orgId: made.orgId, keyId: made.keyId, priceId: price.id, usage, chargeNanodollars: 120_000n }
      await store.settle(settlement({ requestId, ...parts }))
    }

    const { client } = await createHarness({ store, offline: true })
    const rows = await Array.fromAsync(allRows(client.listUsage, { org: made.orgId, limit: 2 }))
    assert.deepEqual(
      rows.map(row => [row.request, row.charge]),
      [
        ['req_c', '0.00012'],
        ['req_b', '0.00012'],
        ['req_a', '0.00012'],
      ],
    )
    for (const group_by of ['org', 'key', 'model', 'upstream', 'ending', 'day', 'hour'] as const) {
      const { data } = await client.summarizeUsage({ group_by })
      assert.deepEqual(
        data.map(sum => [sum.requests, sum.input_tokens, sum.charge]),
        [[3, 300, '0.00036']],
        group_by,
      )
    }
    const story = await client.getUsage('req_b')
    assert.equal(story.arithmetic?.explanation, 'The usage at its price, rounded once.')
    assert.equal(story.row.usage.cached_input_source, 'absent')
    assert.deepEqual(
      story.transfers.map(transfer => [transfer.id, transfer.amount]),
      [['req_b:charge', '0.00012']],
    )
    const { credited, charged, balance } = await client.getCredit(made.orgId)
    assert.deepEqual([credited, charged, balance], ['5.00', '0.00036', '4.99964'])
    assert.equal((await client.getKey(made.keyId)).spent, '0.00036')
    assert.deepEqual((await client.listInterrupted()).data, [])
    const verified = await client.verifyLedger()
    assert.deepEqual([verified.ok, verified.transfers, verified.settlements, verified.problems], [true, 4, 3, []])
  }))
