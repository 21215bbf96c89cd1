import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { OVERRUN, orgAccount, REVENUE } from '../ledger/account.ts'
import type { Batch } from './messages.ts'
import type { Names } from './names.ts'
import { type Cell, SETTLEMENT_CELLS } from './settlement-row.ts'

const HOUR_MS = 3_600_000
const ADMISSION_CELLS = 6

interface Rollup {
  readonly key: readonly (number | string)[]
  requests: number
  input: number
  cached: number
  output: number
  charge: bigint
}

/**
 * Writes batches of settlements, each batch in one transaction: the usage row and the transfers of each request, and per batch, not
 * per request, the balances and the hourly sums that they change.
 */
export class BatchWriter {
  readonly #database: DatabaseSync
  readonly #names: Names
  readonly #insertUsage: StatementSync
  readonly #insertTransfer: StatementSync
  readonly #addBalance: StatementSync
  readonly #addSpent: StatementSync
  readonly #addRollup: StatementSync
  readonly #insertAdmission: StatementSync
  readonly #deleteAdmission: StatementSync

  constructor(database: DatabaseSync, names: Names) {
    this.#database = database
    this.#names = names
    const marks = (count: number) => Array(count).fill('?').join(', ')
    this.#insertUsage = database.prepare(`INSERT OR IGNORE INTO usage VALUES (${marks(SETTLEMENT_CELLS)})`)
    this.#insertTransfer = database.prepare(`INSERT INTO transfers VALUES (${marks(8)})`)
    this.#addBalance = database.prepare(
      'INSERT INTO balances VALUES (?, ?) ON CONFLICT DO UPDATE SET nanodollars = nanodollars + excluded.nanodollars',
    )
    this.#addSpent = database.prepare(
      'INSERT INTO key_spent VALUES (?, ?) ON CONFLICT DO UPDATE SET nanodollars = nanodollars + excluded.nanodollars',
    )
    this.#addRollup = database.prepare(
      `INSERT INTO rollups VALUES (${marks(12)}) ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, input = input + excluded.input,
       cached = cached + excluded.cached, output = output + excluded.output, charge = charge + excluded.charge`,
    )
    this.#insertAdmission = database.prepare(`INSERT OR IGNORE INTO admissions VALUES (${marks(ADMISSION_CELLS)})`)
    this.#deleteAdmission = database.prepare('DELETE FROM admissions WHERE request_id = ?')
  }

  /** Writes a batch and returns once it is on disk. Throws SQLite's error; then nothing of the batch was written. */
  write(batch: Batch): void {
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      this.#settlements(batch.settlements)
      this.#admissions(batch.admissions)
      for (const requestId of batch.voided) this.#deleteAdmission.run(requestId)
      this.#database.exec('COMMIT')
    } catch (error) {
      // A full disk has rolled back by itself, and then there is nothing left to roll back.
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      this.#names.forget()
      throw error
    }
  }

  #settlements(cells: readonly Cell[]): void {
    const balances = new Map<number, bigint>()
    const spent = new Map<number, bigint>()
    const rollups = new Map<string, Rollup>()
    const names = this.#names
    const revenue = names.number(REVENUE)
    const overrunAccount = names.number(OVERRUN)
    for (let at = 0; at < cells.length; at += SETTLEMENT_CELLS) {
      const row = cells.slice(at, at + SETTLEMENT_CELLS)
      const requestId = row[0] as string
      const account = names.number(orgAccount(row[1] as string))
      const org = names.number(row[1] as string)
      const key = names.number(row[2] as string)
      const model = names.number(row[3] as string)
      const upstream = names.number(row[6] as string)
      const price = names.number(row[19] as string)
      row[1] = org
      row[2] = key
      row[3] = model
      row[6] = upstream
      row[19] = price
      // A second settlement of a request changes nothing at all.
      if (this.#insertUsage.run(...row).changes === 0) continue
      const charge = row[20] as bigint
      const overrun = row[21] as bigint
      const settledMs = row[24] as number
      if (charge > 0n) {
        this.#insertTransfer.run(`${requestId}:charge`, account, revenue, charge, 'charge', requestId, settledMs, null)
        add(balances, account, -charge)
        add(balances, revenue, charge)
        add(spent, key, charge)
      }
      if (overrun > 0n) {
        this.#insertTransfer.run(
          `${requestId}:overrun`,
          overrunAccount,
          revenue,
          overrun,
          'overrun',
          requestId,
          settledMs,
          null,
        )
        add(balances, overrunAccount, -overrun)
        add(balances, revenue, overrun)
      }
      const hour = Math.floor(settledMs / HOUR_MS)
      const rollupKey = [hour, org, key, model, upstream, price, row[8] as string] as const
      const id = rollupKey.join(' ')
      let rollup = rollups.get(id)
      if (rollup === undefined) {
        rollup = { key: rollupKey, requests: 0, input: 0, cached: 0, output: 0, charge: 0n }
        rollups.set(id, rollup)
      }
      rollup.requests++
      rollup.input += row[9] as number
      rollup.cached += row[11] as number
      rollup.output += row[15] as number
      rollup.charge += charge
      // Short requests never had theirs written; those have no business in the index either.
      this.#deleteAdmission.run(requestId)
    }
    for (const [account, amount] of balances) this.#addBalance.run(account, amount)
    for (const [key, amount] of spent) this.#addSpent.run(key, amount)
    for (const { key, requests, input, cached, output, charge } of rollups.values()) {
      this.#addRollup.run(...key, requests, input, cached, output, charge)
    }
  }

  #admissions(cells: readonly Cell[]): void {
    for (let at = 0; at < cells.length; at += ADMISSION_CELLS)
      this.#insertAdmission.run(...cells.slice(at, at + ADMISSION_CELLS))
  }
}

function add(sums: Map<number, bigint>, key: number, amount: bigint): void {
  sums.set(key, (sums.get(key) ?? 0n) + amount)
}
