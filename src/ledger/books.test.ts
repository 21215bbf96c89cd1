import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { USAGE_ABSENT } from '../inference/usage.ts'
import { Books, type Hold } from './books.ts'
import { type Journal, JournalFailure, type Settlement } from './journal.ts'

/**
 * A ledger table: a line an operation, its outcome last.
 *
 *     hold <name> <amount> [cap=<limit>]   ok | credit:<available> | credit_held:… | budget:… | budget_held:…
 *     extend <name> <amount>               likewise
 *     trim <name> <to>
 *     settle <name> <charge>               starts settling
 *     durable <name> | lost <name>         the journal answers
 *     void <name>
 *     credit <amount>
 *     balance <settled> <held> [key=<settled>/<held>]
 */
async function check(table: string): Promise<void> {
  const pending = new Map<string, { resolve: () => void; reject: (reason: Error) => void }>()
  const journal: Journal = {
    admitted: () => undefined,
    voided: () => undefined,
    settle: settlement => new Promise((resolve, reject) => pending.set(settlement.requestId, { resolve, reject })),
  }
  const books = new Books(journal, { balances: new Map(), spent: new Map() })
  const holds = new Map<string, Hold>()
  const settling = new Map<string, Promise<void>>()
  for (const line of table
    .split('\n')
    .map(text => text.trim())
    .filter(text => text !== '')) {
    const [operation, ...words] = line.split(/\s+/) as [string, ...string[]]
    const [name = '', amountText = '0'] = words
    const amount = /^\d+$/.test(amountText) ? BigInt(amountText) : 0n
    const hold = holds.get(name) as Hold
    switch (operation) {
      case 'hold': {
        const cap = words.find(word => word.startsWith('cap='))
        const budgets = [{ id: 'key:k', limitNanodollars: cap === undefined ? null : BigInt(cap.slice(4)) }]
        const outcome = books.hold({ requestId: name, orgId: 'o', budgets, amountNanodollars: amount })
        if (outcome.hold !== null) holds.set(name, outcome.hold)
        assert.equal(
          outcome.refusal === null ? 'ok' : `${outcome.refusal.reason}:${outcome.refusal.available}`,
          words.at(-1),
          line,
        )
        break
      }
      case 'extend': {
        const refusal = books.extend(hold, amount)
        assert.equal(refusal === null ? 'ok' : `${refusal.reason}:${refusal.available}`, words.at(-1), line)
        break
      }
      case 'trim':
        books.trim(hold, amount)
        break
      case 'settle':
        settling.set(name, books.settle(hold, settlement(name, amount)))
        break
      case 'durable':
        pending.get(name)?.resolve()
        await settling.get(name)
        break
      case 'lost':
        pending.get(name)?.reject(new JournalFailure('disk full'))
        await assert.rejects(settling.get(name) as Promise<void>, JournalFailure, line)
        break
      case 'void':
        books.void(hold)
        break
      case 'credit':
        books.credit('o', BigInt(name))
        break
      case 'balance': {
        const funds = books.orgFunds('o')
        const key = books.budgetSpent('key:k')
        const found = [
          `${funds.balanceNanodollars}`,
          `${funds.heldNanodollars}`,
          `key=${key.settledNanodollars}/${key.heldNanodollars}`,
        ]
        assert.deepEqual(found.slice(0, words.length), words, line)
        break
      }
      default:
        throw new Error(`unknown operation: ${line}`)
    }
  }
}

function settlement(requestId: string, chargeNanodollars: bigint): Settlement {
  return {
    requestId,
    orgId: 'o',
    keyId: 'k',
    modelId: 'm',
    protocol: 'openai-chat',
    stream: false,
    upstreamId: 'u',
    attempts: 1,
    ending: 'completed',
    serviceTier: 'standard',
    endUserId: null,
    usage: USAGE_ABSENT,
    priceId: 'p',
    chargeNanodollars,
    overrunNanodollars: 0n,
    costNanodollars: null,
    heldNanodollars: chargeNanodollars,
    admittedMs: 0,
    settledMs: 0,
    ttftMs: null,
    durationMs: 0,
  }
}

test('a hold takes from the balance until it is settled', () =>
  check(`
    credit 100
    hold a 60            ok
    balance 100 60
    hold b 50            credit_held:40
    hold b 101           credit:40
    settle a 25
    balance 100 60
    durable a
    balance 75 0 key=25/0
    hold b 75            ok
    void b
    balance 75 0 key=25/0
  `))

test('credit and budget are taken together or not at all', () =>
  check(`
    credit 100
    hold a 30 cap=50     ok
    hold b 30 cap=50     budget_held:20
    hold b 51 cap=50     budget:20
    balance 100 30 key=0/30
    settle a 30
    durable a
    hold c 21 cap=50     budget:20
    hold c 20 cap=50     ok
    balance 70 20 key=30/20
  `))

test('a hold grows only as far as there is money, and shrinks at once', () =>
  check(`
    credit 10
    hold a 4             ok
    extend a 6           ok
    extend a 1           credit_held:0
    trim a 3
    balance 10 3
    hold b 7             ok
    trim b 9
    balance 10 10
    void a
    void a
    balance 10 7
  `))

test('what the journal lost was not charged and is not held', () =>
  check(`
    credit 10
    hold a 10            ok
    settle a 10
    hold b 1             credit_held:0
    lost a
    balance 10 0 key=0/0
    hold b 10            ok
  `))

test('what is taken back stops new holds and growth, and lets running ones settle', () =>
  check(`
    credit 100
    hold a 60            ok
    hold b 30            ok
    credit -70
    balance 30 90
    hold c 30            credit_held:0
    hold c 31            credit:0
    hold c 0             credit_held:0
    extend a 1           credit_held:0
    trim a 40
    settle a 40
    durable a
    balance -10 30
    hold c 0             credit:0
    settle b 30
    durable b
    balance -40 0
    credit 41
    hold c 1             ok
    hold d 1             credit_held:0
  `))

test('a hold of nothing is a hold', () =>
  check(`
    hold a 0             ok
    settle a 0
    durable a
    hold b 1             credit:0
  `))

test('a hold dies once', async () => {
  const books = new Books(
    { admitted() {}, voided() {}, settle: async () => {} },
    { balances: new Map([['o', 10n]]), spent: new Map() },
  )
  const { hold } = books.hold({ requestId: 'a', orgId: 'o', budgets: [], amountNanodollars: 5n })
  assert.ok(hold)
  await books.settle(hold, settlement('a', 5n))
  assert.throws(() => books.settle(hold, settlement('a', 5n)), /dies once/)
  books.void(hold)
  assert.equal(books.orgFunds('o').balanceNanodollars, 5n)
  assert.equal(books.openHolds, 0)
})

test('whatever happens in whatever order, nothing is overspent and nothing stays held', async () => {
  const operations = fc.array(
    fc.record({
      kind: fc.constantFrom('hold', 'extend', 'trim', 'settle', 'void', 'credit', 'take', 'answer'),
      amount: fc.bigInt({ min: 0n, max: 60n }),
      pick: fc.nat(20),
      lost: fc.boolean(),
    }),
    { maxLength: 120 },
  )
  await fc.assert(
    fc.asyncProperty(operations, async script => {
      const answers: ((lost: boolean) => void)[] = []
      const journal: Journal = {
        admitted() {},
        voided() {},
        settle: () =>
          new Promise((resolve, reject) => answers.push(lost => (lost ? reject(new JournalFailure('x')) : resolve()))),
      }
      const books = new Books(journal, { balances: new Map([['o', 100n]]), spent: new Map() })
      const holds: Hold[] = []
      const settling: Promise<unknown>[] = []
      let credited = 100n
      let taken = 0n
      const cap = 150n
      for (const { kind, amount, pick, lost } of script) {
        const hold = holds[pick % Math.max(holds.length, 1)]
        const before = books.orgFunds('o')
        if (kind === 'hold') {
          const outcome = books.hold({
            requestId: `r${holds.length}`,
            orgId: 'o',
            budgets: [{ id: 'b', limitNanodollars: cap }],
            amountNanodollars: amount,
          })
          if (outcome.hold !== null) holds.push(outcome.hold)
        } else if (kind === 'credit') {
          books.credit('o', amount)
          credited += amount
        } else if (kind === 'take') {
          // A refund or a chargeback, whatever is left.
          books.credit('o', -amount)
          taken += amount
        } else if (kind === 'answer') {
          answers.shift()?.(lost)
          await new Promise(setImmediate)
        } else if (hold?.state === 'held') {
          if (kind === 'extend') books.extend(hold, amount)
          else if (kind === 'trim') books.trim(hold, amount)
          else if (kind === 'void') books.void(hold)
          else
            settling.push(
              books
                .settle(
                  hold,
                  settlement(hold.requestId, amount < hold.amountNanodollars ? amount : hold.amountNanodollars),
                )
                .catch(() => {}),
            )
        }
        const funds = books.orgFunds('o')
        const spent = books.budgetSpent('b')
        assert.ok(funds.availableNanodollars + taken >= 0n, 'only what is taken back leaves less than nothing')
        assert.equal(
          funds.balanceNanodollars + spent.settledNanodollars + taken,
          credited,
          'what was credited is there, settled or taken back',
        )
        if (funds.heldNanodollars > before.heldNanodollars)
          assert.ok(funds.availableNanodollars >= 0n, 'nothing is held, and no hold grows, of what is not there')
        assert.ok(spent.settledNanodollars + spent.heldNanodollars <= cap, 'the budget holds')
        assert.equal(funds.heldNanodollars, spent.heldNanodollars)
      }
      for (const hold of holds) books.void(hold)
      for (const answer of answers) answer(false)
      await Promise.all(settling)
      assert.equal(books.openHolds, 0)
      assert.equal(books.orgFunds('o').heldNanodollars, 0n)
    }),
    { numRuns: 200 },
  )
})

test('a budget of what is over is forgotten, unless something is held under it', () => {
  const journal: Journal = { admitted() {}, voided() {}, settle: async () => {} }
  const books = new Books(journal, { balances: new Map([['o', 100n]]), spent: new Map([['token:a', 5n]]) })
  const budgets = [{ id: 'token:b', limitNanodollars: 50n }]
  const { hold } = books.hold({ requestId: 'r', orgId: 'o', budgets, amountNanodollars: 10n })
  books.forgetBudgets(['token:a', 'token:b', 'token:c'])
  assert.equal(books.budgetSpent('token:a').settledNanodollars, 0n)
  assert.equal(books.budgetSpent('token:b').heldNanodollars, 10n)
  if (hold !== null) books.void(hold)
  assert.equal(books.budgetSpent('token:b').heldNanodollars, 0n)
})
