import assert from 'node:assert/strict'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { openStore } from './store.ts'
import { addCredit, CHARGE, settlement, setUp, withPath } from './testing.ts'
import { verify } from './verify.ts'

const REVENUE = "(SELECT n FROM names WHERE name = 'operator:revenue')"
const ORG = "(SELECT n FROM names WHERE name = 'org:org_a')"

/** What somebody did to sound books, and what the check has to say of it. */
const CORRUPTIONS: readonly (readonly [what: string, sql: string, ...found: RegExp[]])[] = [
  [
    'a balance was raised',
    `UPDATE balances SET nanodollars = nanodollars + 1 WHERE account = ${ORG}`,
    /^The balance of org:org_a is 999730001 n\$, its transfers sum to 999730000 n\$\.$/,
    /^All balances sum to 1 n\$ instead of 0\.$/,
  ],
  [
    'money went from one balance to another',
    `UPDATE balances SET nanodollars = nanodollars + 5 WHERE account = ${ORG}; UPDATE balances SET nanodollars = nanodollars - 5 WHERE account = ${REVENUE}`,
    /^The balance of org:org_a is/,
    /^The balance of operator:revenue is/,
  ],
  [
    'a balance is gone',
    `DELETE FROM balances WHERE account = ${REVENUE}`,
    /^The balance of operator:revenue is 0 n\$/,
    /^All balances/,
  ],
  [
    'a charge’s transfer is gone',
    "DELETE FROM transfers WHERE id = 'req_1:charge'",
    /^The balance of operator:revenue/,
    /^The balance of org:org_a/,
    /^Request req_1 was charged 100000 n\$, its transfer says 0 n\$\.$/,
  ],
  [
    'an overrun’s transfer is gone',
    "DELETE FROM transfers WHERE id = 'req_3:overrun'",
    /^The balance of operator:overrun/,
    /^The balance of operator:revenue/,
    /^Request req_3 overran its hold by 30000 n\$, its transfer says 0 n\$\.$/,
  ],
  [
    'a transfer came from nowhere',
    `INSERT INTO transfers VALUES ('req_9:charge', ${ORG}, ${REVENUE}, 7, 'charge', 'req_9', 0, NULL)`,
    /^The balance of operator:revenue/,
    /^The balance of org:org_a/,
    /^Transfer req_9:charge belongs to no settled request\.$/,
  ],
  [
    'a charge went to another org',
    "UPDATE transfers SET debit = (SELECT n FROM names WHERE name = 'org:org_b') WHERE id = 'req_1:charge'",
    /^The balance of org:org_a/,
    /^The balance of org:org_b/,
    /^Request req_1 was charged to another org than its own\.$/,
  ],
  [
    'a key went to another org',
    "INSERT INTO orgs (id, name, disabled, created_ms) VALUES ('org_b', 'Bolt', 0, 0); UPDATE api_keys SET org_id = 'org_b'",
    ...['req_1', 'req_2', 'req_3'].map(
      id => new RegExp(`^Request ${id} was made with key key_a of another org than its own\\.$`),
    ),
  ],
  [
    'credit came out of revenue',
    `UPDATE transfers SET debit = ${REVENUE} WHERE id = 'credit_org_b'`,
    /^The balance of operator:funding/,
    /^The balance of operator:revenue/,
    /^Transfer credit_org_b is a credit from operator:revenue to org:org_b, which no credit is\.$/,
  ],
  [
    'a usage row was made cheaper',
    "UPDATE usage SET charge = 1 WHERE request_id = 'req_1'",
    /^Request req_1 was charged 1 n\$, its transfer says 100000 n\$\.$/,
    /^Request req_1 was charged 1 n\$ with 0 n\$ overrun, its counts at its price are worth 100000 n\$\.$/,
    /^Key key_a has spent/,
    /^The sums of the hour 2026-01-31T12:00Z say/,
  ],
  [
    'a usage row is gone',
    "DELETE FROM usage WHERE request_id = 'req_1'",
    /^Transfer req_1:charge belongs to no settled request\.$/,
    /^Key key_a has spent 270000 n\$, its requests sum to 170000 n\$\.$/,
    /^The sums of the hour 2026-01-31T12:00Z say 2 requests, 200000 n\$; its rows say 1 requests, 100000 n\$ \(org org_a, key key_a, model model_a, completed\)\.$/,
  ],
  [
    'a hold was made smaller than its charge',
    "UPDATE usage SET held = 99999 WHERE request_id = 'req_1'",
    /^Request req_1 was charged 100000 n\$, more than its hold of 99999 n\$\.$/,
    /^The database file is damaged: CHECK constraint failed in usage$/,
  ],
  [
    'counts were changed',
    "UPDATE usage SET output = 11 WHERE request_id = 'req_1'",
    /^Request req_1 .* worth 102000 n\$\.$/,
    /^The sums of the hour/,
  ],
  [
    'cached counts were changed in the sums',
    'UPDATE rollups SET cached = cached + 1 WHERE requests = 2',
    /^The sums of the hour/,
  ],
  [
    'a price is gone',
    'DELETE FROM prices',
    ...['req_1', 'req_2', 'req_3'].map(
      id => new RegExp(`^Request ${id} was charged by a price that is not on record\\.$`),
    ),
  ],
  [
    'a price was changed',
    'UPDATE prices SET output_picodollars = 0',
    ...Array(3).fill(/its counts at its price are worth 80000 n\$\.$/),
  ],
  [
    'what a key spent was lowered',
    'UPDATE key_spent SET nanodollars = nanodollars - 100000',
    /^Key key_a has spent 170000 n\$, its requests sum to 270000 n\$\.$/,
  ],
  ['what a key spent is gone', 'DELETE FROM key_spent', /^Key key_a has spent 0 n\$/],
  [
    'a key spent without requests',
    'INSERT INTO key_spent SELECT n, 5 FROM names WHERE n = 1',
    /has spent 5 n\$, its requests sum to 0 n\$/,
  ],
  [
    'an hour’s sums are gone',
    "DELETE FROM rollups WHERE ending = 'exhausted'",
    /say 0 requests, 0 n\$; its rows say 1 requests, 70000 n\$ .*exhausted\)/,
  ],
  [
    'sums came from nowhere',
    'INSERT INTO rollups SELECT hour + 1, org, key, model, upstream, price, ending, requests, input, cached, output, charge FROM rollups WHERE requests = 1',
    /^The sums of the hour 2026-01-31T13:00Z say 1 requests, 70000 n\$; its rows say 0 requests/,
  ],
]

test('sound books have no problems', () =>
  withBooks(path => {
    assert.deepEqual(problemsOf(path), [])
  }))

test('every planted corruption is found and named', () =>
  withBooks(path => {
    for (const [what, sql, ...expected] of CORRUPTIONS) {
      const copy = `${path}.copy`
      copyFileSync(path, copy)
      const database = new DatabaseSync(copy)
      const triggers = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'").all()
      for (const { name } of triggers) database.exec(`DROP TRIGGER ${name}`)
      database.exec(`PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF; ${sql}`)
      database.close()
      const found = problemsOf(copy)
      assert.equal(found.length, expected.length, `${what}: ${found.join('\n')}`)
      for (const pattern of expected)
        assert.ok(
          found.some(problem => pattern.test(problem)),
          `${what}: ${pattern} not in\n${found.join('\n')}`,
        )
    }
  }))

test('an overdrawn org is named', () =>
  withBooks(async path => {
    const store = await openStore({ path })
    await store.settle(settlement('req_4', { orgId: 'org_c', keyId: 'key_c' }))
    const { problems } = await store.verify()
    await store.close()
    assert.deepEqual(problems, [`The account org:org_c is overdrawn: -${CHARGE} n$.`])
  }))

test('a damaged page is a problem, not an error', () =>
  withBooks(path => {
    const bytes = readFileSync(path)
    const pageBytes = bytes.readUInt16BE(16)
    const database = new DatabaseSync(path)
    const page = Number(database.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'usage'").get()?.rootpage)
    database.close()
    bytes.fill(0x5a, (page - 1) * pageBytes, page * pageBytes)
    writeFileSync(path, bytes)
    const problems = problemsOf(path)
    assert.ok(
      problems.some(problem => /malformed|damaged/.test(problem)),
      problems.join('\n'),
    )
  }))

test('of many problems the first fifty are told and the rest counted', () =>
  withBooks(async path => {
    const store = await openStore({ path })
    const ids = Array.from({ length: 60 }, (_, i) => `req_many_${i}`)
    await Promise.all(ids.map(id => store.settle(settlement(id, { priceId: 'price_none' }))))
    const { problems, ok } = await store.verify()
    await store.close()
    assert.equal(ok, false)
    assert.equal(problems.length, 51)
    assert.equal(problems.at(-1), 'And 10 more.')
  }))

/** Books of two orgs, two whole answers and one beyond its hold; the file is closed. */
function withBooks(run: (path: string) => Promise<void> | void): Promise<void> {
  return withPath(async path => {
    const store = await openStore({ path })
    await setUp(store)
    await addCredit(store, 'org_b', 5n)
    await store.settle(settlement('req_1'))
    await store.settle(settlement('req_2'))
    const split = { heldNanodollars: 70_000n, chargeNanodollars: 70_000n, overrunNanodollars: 30_000n }
    await store.settle(settlement('req_3', { ...split, ending: 'exhausted' }))
    await store.close()
    await run(path)
  })
}

function problemsOf(path: string): readonly string[] {
  const database = new DatabaseSync(path)
  try {
    const { ok, problems } = verify(database)
    assert.equal(ok, problems.length === 0)
    return problems
  } finally {
    database.close()
  }
}
