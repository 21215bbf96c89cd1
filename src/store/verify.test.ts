import assert from 'node:assert/strict'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { FUNDING, GRANTS } from '../ledger/account.ts'
import type { Transfer } from '../ledger/journal.ts'
import { openStore } from './store.ts'
import { addCredit, CHARGE, NOW_MS, settlement, setUp, withPath } from './testing.ts'
import { verify } from './verify.ts'

const REVENUE = "(SELECT n FROM names WHERE name = 'operator:revenue')"
/** The partition in which `settlement` settles. */
const ROWS = 'usage_2026_01'
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
    'a transfer came from nowhere',
    `INSERT INTO posted_transfers (id, debit, credit, nanodollars, kind, request_id, at_ms, memo) VALUES ('req_9:charge', ${ORG}, ${REVENUE}, 7, 'charge', 'req_9', 0, NULL)`,
    /^The balance of operator:revenue/,
    /^The balance of org:org_a/,
    /^Transfer req_9:charge is a charge from org:org_a to operator:revenue, which no charge is\.$/,
  ],
  [
    'a charge went to another org',
    `UPDATE ${ROWS} SET account = (SELECT n FROM names WHERE name = 'org:org_b') WHERE request_id = 'req_1'`,
    /^The balance of org:org_a/,
    /^The balance of org:org_b/,
    /^Request req_1 was charged to another org than its own\.$/,
  ],
  [
    'a row lies in a month in which it did not settle',
    `UPDATE ${ROWS} SET settled_ms = settled_ms + 86400000 WHERE request_id = 'req_1'`,
    /^Request req_1 is in the rows of the month 2026_01, in which it did not settle\.$/,
    /^The sums of the hour 2026-01-31T12:00Z say/,
    /^The sums of the hour 2026-02-01T12:00Z say/,
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
    `UPDATE posted_transfers SET debit = ${REVENUE} WHERE id = 'credit_org_b'`,
    /^The balance of operator:funding/,
    /^The balance of operator:revenue/,
    /^Transfer credit_org_b is a credit from operator:revenue to org:org_b, which no credit is\.$/,
  ],
  [
    'a usage row was made cheaper',
    `UPDATE ${ROWS} SET charge = 1 WHERE request_id = 'req_1'`,
    /^The balance of operator:revenue/,
    /^The balance of org:org_a/,
    /^Request req_1 was charged 1 n\$ with 0 n\$ overrun, its counts at its price are worth 100000 n\$\.$/,
    /^Key key_a has spent/,
    /^The sums of the hour 2026-01-31T12:00Z say/,
  ],
  [
    'a usage row is gone',
    `DELETE FROM ${ROWS} WHERE request_id = 'req_1'`,
    /^The balance of operator:revenue/,
    /^The balance of org:org_a/,
    /^Key key_a has spent 270000 n\$, its requests sum to 170000 n\$\.$/,
    /^The sums of the hour 2026-01-31T12:00Z say 2 requests, 200000 n\$; its rows say 1 requests, 100000 n\$ \(org org_a, key key_a, model model_a, completed\)\.$/,
  ],
  [
    'a hold was made smaller than its charge',
    `UPDATE ${ROWS} SET held = 99999 WHERE request_id = 'req_1'`,
    /^Request req_1 was charged 100000 n\$, more than its hold of 99999 n\$\.$/,
    /^The database file is damaged: CHECK constraint failed in usage_2026_01$/,
  ],
  [
    'counts were changed',
    `UPDATE ${ROWS} SET output = 11 WHERE request_id = 'req_1'`,
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
    'an answer is stored of a request that was not settled',
    `INSERT INTO stored_answers (key_hash, fingerprint, request_id, status, headers, deflated, bytes, settled_ms, expires_ms, body)
     VALUES ('k', 'f', 'req_none', 200, '{}', 0, 1, 1, 2, x'00')`,
    /^The answer of request req_none is stored, but the request was not settled\.$/,
  ],
  [
    'sums came from nowhere',
    'INSERT INTO rollups SELECT hour + 1, org, key, model, upstream, price, ending, requests, input, cached, output, charge FROM rollups WHERE requests = 1',
    /^The sums of the hour 2026-01-31T13:00Z say 1 requests, 70000 n\$; its rows say 0 requests/,
  ],
]

/** The same for books with grants: `soon` of 150,000 n$ of which 50,000 were spent and the rest went back, `never` of 500,000 of which 100,000 were spent. */
const GRANT_CORRUPTIONS: readonly (readonly [what: string, sql: string, ...found: RegExp[]])[] = [
  [
    'what is left of a grant was raised',
    "UPDATE grants SET remaining = remaining + 1 WHERE id GLOB '*never'",
    /^Of the grant org:org_a:credit:never 450001 n\$ are left; its transfers and the charges of its org leave 450000 n\$\.$/,
  ],
  [
    'more is left of a grant than there was',
    "UPDATE grants SET remaining = 500001 WHERE id GLOB '*never'",
    /^Of the grant org:org_a:credit:never 500001 n\$ are left/,
    /^The database file is damaged: CHECK constraint failed in grants$/,
  ],
  [
    'a grant is gone',
    "DELETE FROM grants WHERE id GLOB '*never'",
    /^The grant org:org_a:credit:never is a transfer of 500000 n\$ and is kept as nothing\.$/,
  ],
  [
    'a grant came from nowhere',
    `INSERT INTO grants (id, account, amount, remaining, expires_ms) VALUES ('x', ${ORG}, 5, 5, 1)`,
    /^The grant x was given by no transfer\.$/,
    /^Of the grant x 5 n\$ are left/,
  ],
  [
    'a grant never ended',
    "UPDATE grants SET expires_ms = NULL WHERE id GLOB '*soon'",
    /^Transfer org:org_a:expiry:soon:1 ends the grant org:org_a:credit:soon, which its org never had, or which had not ended\.$/,
  ],
  [
    'when a grant was given is said wrongly',
    "UPDATE posted_transfers SET charged = 100000000 WHERE id GLOB '*never'",
    /^The grant org:org_a:credit:never was given when 100000000 n\$ had been charged; the charges of its org sum to 200000 n\$\.$/,
    /^Of the grant/,
  ],
  [
    'a correction lost its reason',
    "UPDATE posted_transfers SET memo = ' ' WHERE kind = 'correction'",
    /^The correction org:org_a:credit:typo does not say what it corrects\.$/,
  ],
  [
    'a chargeback became a grant',
    "UPDATE posted_transfers SET kind = 'grant' WHERE kind = 'chargeback'",
    /^Transfer org:org_a:credit:dp is a grant from org:org_a to operator:funding, which no grant is\.$/,
    /^The grant org:org_a:credit:dp is a transfer of 7 n\$ and is kept as nothing\.$/,
  ],
  [
    'a refund names a grant',
    "UPDATE posted_transfers SET grant_id = 'x' WHERE kind = 'chargeback'",
    /^Transfer org:org_a:credit:dp is a chargeback and names a grant that it ends\.$/,
  ],
]

test('sound books have no problems', () =>
  withBooks(path => {
    assert.deepEqual(problemsOf(path), [])
  }))

test('every planted corruption is found and named', () => withBooks(path => checkCorruptions(path, CORRUPTIONS)))

test('so is every one of grants and of what was taken back', () =>
  withPath(async path => {
    const store = await openStore({ path })
    await setUp(store)
    await store.settle(settlement('req_1'))
    const org = 'org:org_a' as const
    const post = (kind: Transfer['kind'], id: string, amountNanodollars: bigint, parts: Partial<Transfer>) =>
      store.post(
        {
          id: `${org}:credit:${id}`,
          kind,
          amountNanodollars,
          requestId: null,
          atMs: NOW_MS,
          memo: null,
          ...(SIDES[kind] as Pick<Transfer, 'debit' | 'credit'>),
          ...parts,
        },
        { force: false },
      )
    await post('grant', 'soon', 150_000n, { expiresMs: NOW_MS + 1 })
    await post('grant', 'never', 500_000n, {})
    await store.expireGrant(`${org}:credit:soon`, 100_000n, NOW_MS + 1)
    await store.settle(settlement('req_2'))
    await post('chargeback', 'dp', 7n, {})
    await post('correction', 'typo', 5n, { memo: 'found' })
    await store.close()
    assert.deepEqual(problemsOf(path), [])
    checkCorruptions(path, GRANT_CORRUPTIONS)
  }))

const SIDES: Record<string, Pick<Transfer, 'debit' | 'credit'>> = {
  grant: { debit: GRANTS, credit: 'org:org_a' },
  chargeback: { debit: 'org:org_a', credit: FUNDING },
  correction: { debit: FUNDING, credit: 'org:org_a' },
}

function checkCorruptions(path: string, corruptions: typeof CORRUPTIONS): void {
  for (const [what, sql, ...expected] of corruptions) {
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
}

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
    const page = Number(
      database.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'usage_2026_01'").get()?.rootpage,
    )
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
