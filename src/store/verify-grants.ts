import type { DatabaseSync } from 'node:sqlite'
import { type GrantEvent, remainingOfGrants } from '../ledger/grant.ts'

/**
 * Works out anew what is left of every grant, from the transfers that gave and ended grants and the sum of the org's charges, and
 * compares. It is exact: the transfers say how much the org had been charged by then.
 */
export function* grantProblems(database: DatabaseSync): Iterable<string> {
  const kept = new Map<bigint, Map<string, bigint>>()
  for (const { account, id, remaining } of rowsOf(database, 'SELECT account, id, remaining FROM grants')) {
    const grants = kept.get(account as bigint) ?? new Map<string, bigint>()
    kept.set(account as bigint, grants.set(String(id), remaining as bigint))
  }
  if (kept.size === 0) return
  const charged = chargedByAccount(database)
  for (const [account, grants] of kept) {
    const events = eventsOf(database, account)
    const sum = charged.get(account) ?? 0n
    for (const { type, id, chargedNanodollars } of events) {
      if (chargedNanodollars < 0n || chargedNanodollars > sum)
        yield `The grant ${id} was ${type} when ${chargedNanodollars} n$ had been charged; the charges of its org sum to ${sum} n$.`
    }
    const expected = remainingOfGrants(events, sum)
    for (const [id, remaining] of grants) {
      const left = expected.get(id) ?? 0n
      if (remaining !== left)
        yield `Of the grant ${id} ${remaining} n$ are left; its transfers and the charges of its org leave ${left} n$.`
    }
  }
}

// By what had been charged; at the same point what was given comes before what ended, and between them nothing was spent.
function eventsOf(database: DatabaseSync, account: bigint): GrantEvent[] {
  const rows = rowsOf(
    database,
    `SELECT t.id, t.grant_id, t.nanodollars, t.charged, g.expires_ms FROM posted_transfers t JOIN grants g ON g.id = coalesce(t.grant_id, t.id)
     WHERE g.account = ? AND t.kind IN ('grant', 'expiry') ORDER BY t.charged, t.kind = 'expiry', g.seq`,
    account,
  )
  return [...rows].map(({ id, grant_id, nanodollars, charged, expires_ms }): GrantEvent => {
    const amounts = {
      amountNanodollars: nanodollars as bigint,
      chargedNanodollars: (charged as bigint | null) ?? -1n,
    }
    if (grant_id !== null) return { type: 'ended', id: String(grant_id), ...amounts }
    return { type: 'given', id: String(id), expiresMs: expires_ms === null ? null : Number(expires_ms), ...amounts }
  })
}

// Charges of the orgs that ever had a grant, those of dropped months included.
function chargedByAccount(database: DatabaseSync): Map<bigint, bigint> {
  const sums = new Map<bigint, bigint>()
  const rows = rowsOf(
    database,
    `SELECT account, sum(charge) AS charged FROM usage WHERE account IN (SELECT account FROM grants) GROUP BY account
     UNION ALL SELECT debit, sum(nanodollars) FROM posted_transfers WHERE kind = 'closing' AND debit IN (SELECT account FROM grants) GROUP BY debit`,
  )
  for (const { account, charged } of rows) {
    sums.set(account as bigint, (sums.get(account as bigint) ?? 0n) + (charged as bigint))
  }
  return sums
}

function rowsOf(database: DatabaseSync, sql: string, ...values: bigint[]): Iterable<Record<string, unknown>> {
  const statement = database.prepare(sql)
  statement.setReadBigInts(true)
  return statement.iterate(...values) as Iterable<Record<string, unknown>>
}
