import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Books } from './books.ts'
import type { Journal, Settlement } from './journal.ts'
import { LowBalance } from './low-balance.ts'

/** Which of the balances, after each other, are told of; the first is that of the start. */
function told(threshold: bigint, balances: readonly bigint[]): bigint[] {
  const [start = 0n, ...later] = balances
  const heard: bigint[] = []
  const watch = new LowBalance(threshold, new Map([['org_a', start]]), (orgId, balance) => {
    assert.equal(orgId, 'org_a')
    heard.push(balance)
  })
  for (const balance of later) watch.balanceIs('org_a', balance)
  return heard
}

function check(name: string, balances: readonly bigint[], expected: readonly bigint[]) {
  test(name, () => assert.deepEqual(told(100n, balances), expected))
}

check('nothing is told above the threshold', [200n, 150n, 100n], [])
check('the fall below it is told once', [200n, 99n, 50n, 0n], [99n])
check('it is told again after it was above', [200n, 99n, 100n, 99n], [99n, 99n])
check('at the start nothing is told again', [50n, 40n, 100n, 1n], [1n])
check('credit that is not enough arms nothing', [200n, 10n, 60n, 20n], [10n])

test('an org is told of exactly as often as its balance falls below the threshold', () =>
  fc.assert(
    fc.property(fc.array(fc.bigInt(0n, 20n), { minLength: 1 }), balances => {
      const falls = balances.filter((balance, i) => i > 0 && balance < 10n && (balances[i - 1] as bigint) >= 10n)
      assert.deepEqual(told(10n, balances), falls)
    }),
  ))

test('the books tell a balance after each settlement and credit, and not for holds', async () => {
  const journal: Journal = { admitted() {}, voided() {}, async settle() {} }
  const heard: [string, bigint][] = []
  const books = new Books(
    journal,
    { balances: new Map([['org_a', 100n]]), spent: new Map() },
    {
      onBalance: (orgId, balance) => heard.push([orgId, balance]),
    },
  )
  const hold = (requestId: string) =>
    books.hold({ requestId, orgId: 'org_a', budgets: [], amountNanodollars: 80n }).hold ?? assert.fail('refused')
  books.void(hold('r1'))
  await books.settle(hold('r2'), { orgId: 'org_a', chargeNanodollars: 30n, overrunNanodollars: 0n } as Settlement)
  books.credit('org_a', 5n)
  books.credit('org_b', 1n)
  assert.deepEqual(heard, [
    ['org_a', 70n],
    ['org_a', 75n],
    ['org_b', 1n],
  ])
})

test('a settlement that failed changes no balance, and tells none', async () => {
  const journal: Journal = { admitted() {}, voided() {}, settle: () => Promise.reject(new Error('disk full')) }
  const books = new Books(
    journal,
    { balances: new Map([['org_a', 100n]]), spent: new Map() },
    {
      onBalance: () => assert.fail('a balance was told'),
    },
  )
  const { hold } = books.hold({ requestId: 'r', orgId: 'org_a', budgets: [], amountNanodollars: 80n })
  const settlement = { orgId: 'org_a', chargeNanodollars: 30n, overrunNanodollars: 0n } as Settlement
  await assert.rejects(books.settle(hold ?? assert.fail('refused'), settlement), /disk full/)
})
