import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ApiKey, Price } from '../inference/snapshot.ts'
import { FUNDING, orgAccount } from '../ledger/account.ts'
import type { Transfer } from '../ledger/journal.ts'
import type { Store } from './store.ts'
import { NOW_MS, withStore } from './testing.ts'
import { StoreRefused } from './worker-link.ts'

function keyOf(id: string, parts: Partial<ApiKey> = {}): ApiKey {
  const rest = { capNanodollars: null, createdMs: NOW_MS, expiresMs: null, revokedMs: null, projectId: null }
  return { id, orgId: 'org_a', name: id, hash: `hash of ${id}`, hint: 'wxyz', ...rest, ...parts }
}

function priceOf(id: string, inputPicodollars: bigint, parts: Partial<Price> = {}): Price {
  const rest = { cachedInputPicodollars: 0n, outputPicodollars: 0n, requestPicodollars: 0n }
  return { id, modelId: 'model_a', fromMs: 0, toMs: null, inputPicodollars, ...rest, ...parts }
}

function creditOf(orgId: string, amountNanodollars: bigint, id = 'credit'): Transfer {
  const rest = { kind: 'credit', requestId: null, atMs: NOW_MS, memo: null } as const
  return { id, debit: FUNDING, credit: orgAccount(orgId), amountNanodollars, ...rest }
}

/** A change that is refused: with which words, and with nothing of it kept. */
function check(name: string, change: (store: Store) => Promise<unknown>, message: RegExp): void {
  test(name, () =>
    withStore(async store => {
      const before = await store.loadState()
      await assert.rejects(change(store), error => {
        assert.ok(error instanceof StoreRefused, String(error))
        assert.match(error.message, message)
        return true
      })
      assert.deepEqual(await store.loadState(), before)
      assert.equal((await store.verify()).ok, true)
      // No transaction is left open: the next change goes through.
      await store.updateOrg('org_a', { name: 'Next' })
    }),
  )
}

const ORG = { id: 'org_a', name: 'Again', createdMs: 2 }
check('an org exists once', store => store.createOrg(ORG), /already an org org_a/)
check('an unknown org is not changed', store => store.updateOrg('ghost', { disabled: true }), /no org ghost/)
check('a key exists once', store => store.createKey(keyOf('key_a', { hash: 'h' })), /already a key key_a/)
check('a key belongs to an org', store => store.createKey(keyOf('k', { orgId: 'ghost' })), /no org ghost/)
check('a cap is not negative', store => store.createKey(keyOf('k', { capNanodollars: -1n })), /cap of -1 n\$/)
check('a cap has 64 bits', store => store.updateKey('key_a', { name: 'x', capNanodollars: 2n ** 63n }), /cap of 92233/)
check('an unknown key is not changed', store => store.updateKey('ghost', { name: 'x' }), /no key ghost/)
check('an unknown key is not revoked', store => store.revokeKey('ghost', 1), /no key ghost/)
check('an unknown model is not removed', store => store.removeModel('ghost'), /no model ghost/)
check('a price exists once', store => store.setPrice(priceOf('price_a', 5n, { fromMs: 9 })), /already a price price_a/)
check('a price ends after it begins', store => store.setPrice(priceOf('p', 5n, { toMs: 0 })), /ends before/)
check('a price is not negative', store => store.setPrice(priceOf('p', -5n)), /input_picodollars >= 0/)
check('a price has 64 bits', store => store.setPrice(priceOf('p', 2n ** 64n)), /too large/)
check('a credit is above zero', store => store.addCredit(creditOf('org_a', 0n, 'c')), /not above zero/)
check('a credit has 64 bits', store => store.addCredit(creditOf('org_a', 2n ** 63n, 'c')), /beyond what the books/)
check('a balance has 64 bits', store => store.addCredit(creditOf('org_a', 2n ** 63n - 1n, 'c')), /cannot store REAL/)
check(
  'a credit takes no id of a charge',
  store => store.addCredit(creditOf('org_a', 1n, 'req_1:charge')),
  /id of a charge: req_1:charge/,
)
check(
  'only credit is credited',
  store => store.addCredit({ ...creditOf('org_a', 1n, 'c'), kind: 'charge' }),
  /is no credit/,
)

check(
  'a secret exists once',
  async store => {
    const { keys } = await store.loadState()
    await store.createKey(keyOf('k', { hash: keys[0]?.hash as string }))
  },
  /already a key of this/,
)

test('credit of one id is on record once', () =>
  withStore(async store => {
    assert.equal((await store.addCredit(creditOf('org_a', 7n, 'c'))).added, true)
    const again = await store.addCredit(creditOf('org_a', 9n, 'c'))
    assert.deepEqual([again.added, again.transfer.amountNanodollars], [false, 7n])
    assert.equal((await store.creditTotals('org_a')).creditedNanodollars, 1_000_000_007n)
    assert.equal((await store.creditTotals('ghost')).creditedNanodollars, 0n)
  }))
