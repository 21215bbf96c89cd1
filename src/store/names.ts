import type { DatabaseSync, StatementSync } from 'node:sqlite'

/** Most names kept in memory; beyond it they are looked up again. */
const NAMES_MAX = 100_000

/** Small numbers for names that repeat: ids of accounts, orgs, keys, models, upstreams and prices. */
export class Names {
  readonly #numbers = new Map<string, number>()
  readonly #find: StatementSync
  readonly #insert: StatementSync

  constructor(database: DatabaseSync) {
    this.#find = database.prepare('SELECT n FROM names WHERE name = ?')
    this.#insert = database.prepare('INSERT INTO names (name) VALUES (?)')
  }

  /** The number of a name, given out now if it has none. Only within a transaction that writes. */
  number(name: string): number {
    const known = this.#numbers.get(name)
    if (known !== undefined) return known
    const row = this.#find.get(name)
    const number = row === undefined ? Number(this.#insert.run(name).lastInsertRowid) : Number(row.n)
    if (this.#numbers.size >= NAMES_MAX) this.#numbers.clear()
    this.#numbers.set(name, number)
    return number
  }

  /** After a rollback: numbers given out in the lost transaction are not on disk. */
  forget(): void {
    this.#numbers.clear()
  }
}
