import type { DatabaseSync, StatementSync } from 'node:sqlite'

/** The order in which grants are spent: what ends first goes first, of those that end together the one given first. */
export const SPENDING_ORDER = 'expires_ms IS NULL, expires_ms, seq'

/**
 * What is left of each grant, lowered in the transaction that writes the charges: once for each org and batch, and not at all for orgs
 * without an open grant, which are known here by their account.
 */
export class Grants {
  readonly #open = new Set<number>()
  /** Accounts whose last grant was used up in the transaction that is being written. */
  readonly #used = new Set<number>()
  readonly #ofAccount: StatementSync
  readonly #lower: StatementSync

  constructor(database: DatabaseSync) {
    this.#ofAccount = database.prepare(
      `SELECT seq, remaining FROM grants WHERE account = ? AND remaining > 0 ORDER BY ${SPENDING_ORDER}`,
    )
    this.#ofAccount.setReadBigInts(true)
    this.#lower = database.prepare('UPDATE grants SET remaining = remaining - ? WHERE seq = ?')
    for (const row of database.prepare('SELECT DISTINCT account FROM grants WHERE remaining > 0').all())
      this.#open.add(Number(row.account))
  }

  /** An account has got a grant. */
  opened(account: number): void {
    this.#open.add(account)
  }

  /** Takes a charge, nanodollars, from the open grants of an account as far as they go. Only within a transaction. */
  spend(account: number, nanodollars: bigint): void {
    if (!this.#open.has(account)) return
    let rest = nanodollars
    for (const { seq, remaining } of this.#ofAccount.all(account) as { seq: bigint; remaining: bigint }[]) {
      if (rest === 0n) return
      const taken = rest < remaining ? rest : remaining
      this.#lower.run(taken, seq)
      rest -= taken
    }
    // All of them were walked through: nothing is left, unless it was just enough.
    if (this.#ofAccount.get(account) !== undefined) return
    this.#open.delete(account)
    this.#used.add(account)
  }

  /** The transaction is on disk. */
  kept(): void {
    this.#used.clear()
  }

  /** After a rollback: what was used up is there again. An account that is here without an open grant costs one look. */
  forget(): void {
    for (const account of this.#used) this.#open.add(account)
    this.#used.clear()
  }
}

/** All charges of an account so far, nanodollars: what was posted to it and is not there any more. */
export function chargedTotal(database: DatabaseSync, account: number): bigint {
  const posted = database.prepare(
    "SELECT credit, nanodollars FROM posted_transfers WHERE (credit = ? OR debit = ?) AND kind <> 'closing'",
  )
  posted.setReadBigInts(true)
  let sum = -balanceOf(database, account)
  for (const { credit, nanodollars } of posted.all(account, account) as { credit: bigint; nanodollars: bigint }[])
    sum += Number(credit) === account ? nanodollars : -nanodollars
  return sum
}

/** The balance of an account, nanodollars. */
export function balanceOf(database: DatabaseSync, account: number): bigint {
  const statement = database.prepare('SELECT nanodollars FROM balances WHERE account = ?')
  statement.setReadBigInts(true)
  return (statement.get(account)?.nanodollars as bigint | undefined) ?? 0n
}

/** What is left of the grants of an account, nanodollars. */
export function grantedLeft(database: DatabaseSync, account: number): bigint {
  const statement = database.prepare('SELECT remaining FROM grants WHERE account = ? AND remaining > 0')
  statement.setReadBigInts(true)
  return (statement.all(account) as { remaining: bigint }[]).reduce((sum, { remaining }) => sum + remaining, 0n)
}

/** A grant as the store keeps it, with the account's number. */
export interface GrantRow {
  readonly seq: bigint
  readonly account: bigint
  readonly remaining: bigint
  readonly expires_ms: bigint | null
}

/** The grant of an id; undefined when there is none. */
export function grantById(database: DatabaseSync, id: string): GrantRow | undefined {
  const statement = database.prepare('SELECT seq, account, remaining, expires_ms FROM grants WHERE id = ?')
  statement.setReadBigInts(true)
  return statement.get(id) as GrantRow | undefined
}

/** Opens a grant, within the transaction that posts its transfer. */
export function insertGrant(
  database: DatabaseSync,
  grant: { id: string; account: number; amountNanodollars: bigint; expiresMs: number | null },
): void {
  const { id, account, amountNanodollars, expiresMs } = grant
  database
    .prepare('INSERT INTO grants (id, account, amount, remaining, expires_ms) VALUES (?, ?, ?, ?, ?)')
    .run(id, account, amountNanodollars, amountNanodollars, expiresMs)
}

/** How many transfers have ended a part of the grant. */
export function expiriesOf(database: DatabaseSync, grantId: string): number {
  return Number(database.prepare('SELECT count(*) AS n FROM posted_transfers WHERE grant_id = ?').get(grantId)?.n)
}
