import assert from 'node:assert/strict'
import { test } from 'node:test'
import { USAGE_ABSENT } from '../inference/usage.ts'
import { JournalFailure, type Settlement } from '../ledger/journal.ts'
import type { Store } from './store.ts'
import { addCredit, CHARGE, settlement, withStore } from './testing.ts'

const counts = (inputTokens: number, outputTokens: number) => ({ ...USAGE_ABSENT, inputTokens, outputTokens })

/** Settles all in one batch; tells what became of each: its message when it was refused, else `kept`. */
async function fates(store: Store, settlements: readonly Settlement[]): Promise<string[]> {
  const results = await Promise.allSettled(settlements.map(each => store.settle(each)))
  return results.map(result => {
    if (result.status === 'fulfilled') return 'kept'
    assert.ok(result.reason instanceof JournalFailure)
    return result.reason.message
  })
}

/** One bad settlement between two good ones of its batch: it alone is refused, and the books balance. */
function check(name: string, bad: Partial<Settlement>, message: RegExp): void {
  test(name, () =>
    withStore(async store => {
      const [before, between, after] = await fates(store, [
        settlement('req_1'),
        settlement('req_2', bad),
        settlement('req_3'),
      ])
      assert.deepEqual([before, after], ['kept', 'kept'])
      assert.match(between as string, message)
      assert.equal(await store.usageByRequest('req_2'), null)
      assert.deepEqual(await fates(store, [settlement('req_2')]), ['kept'])
      const { balances, spent } = await store.loadState()
      assert.deepEqual([balances.get('org_a'), spent.get('key_a')], [1_000_000_000n - 3n * CHARGE, 3n * CHARGE])
      assert.deepEqual(await store.verify(), { ok: true, transfers: 4, settlements: 3, problems: [] })
    }),
  )
}

check('no request has 10^9 tokens', { usage: counts(1_000_000_001, 0) }, /req_2 counts more than 1000000000 tokens/)
check('counts beyond 2^53 are refused', { usage: counts(1, 2 ** 60) }, /counts more than/)
check('an overrun is bounded', { overrunNanodollars: 10n ** 15n + 1n }, /overran its hold by 1000000000000001 n\$/)
check('money beyond 64 bits is refused', { chargeNanodollars: 2n ** 63n, heldNanodollars: 2n ** 63n }, /cannot store/)
check('a charge above its hold is refused', { heldNanodollars: CHARGE - 1n }, /CHECK/)
check('half a token is refused', { usage: counts(1.5, 0) }, /cannot store REAL/)
check('what is not a number is refused', { durationMs: Number.NaN }, /NOT NULL/)
check('cached input is part of the input', { usage: { ...counts(1, 1), cachedInputTokens: 2 } }, /CHECK/)
// A new name, such as this model's, is given a number in the savepoint that is rolled back, and has to be given it again.
check('names of a refused row are forgotten', { modelId: 'new', upstreamId: 'new', heldNanodollars: 0n }, /CHECK/)

test('a row whose sums leave 64 bits is refused alone', () =>
  withStore(async store => {
    // Balances: revenue near its end, so that the next large charge does not fit there.
    await store.createOrg({ id: 'rich', name: 'Rich', createdMs: 1 })
    await addCredit(store, 'rich', 2n ** 63n - 1n - 1_000_000_000n)
    const most = { orgId: 'rich', chargeNanodollars: 2n ** 62n, heldNanodollars: 2n ** 62n }
    const results = await fates(store, [settlement('req_1', most), settlement('req_2', most), settlement('req_3')])
    assert.deepEqual([results[0], results[2]], ['kept', 'kept'])
    assert.match(results[1] as string, /cannot store REAL value in INTEGER column balances/)
    assert.equal((await store.loadState()).balances.get('org_a'), 1_000_000_000n - CHARGE)
  }))
