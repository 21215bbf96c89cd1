import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { OVERRUN, orgAccount, REVENUE } from '../ledger/account.ts'
import type { Batch, RefusedSettlement } from './messages.ts'
import type { Names } from './names.ts'
import { StoreRefused } from './refusal.ts'
import { ADMISSION_CELLS, type Cell, SETTLEMENT_CELLS } from './settlement-row.ts'
import { isRefusal } from './sqlite-failure.ts'

const HOUR_MS = 3_600_000
/**
 * Bounds on what one request may say, far beyond any real one. They keep an absurd report of an upstream from filling the 64 bits of
 * revenue or of an hourly sum, after which nothing more could be settled.
 */
const TOKENS_MAX = 1_000_000_000
const OVERRUN_NANODOLLARS_MAX = 1_000_000_000_000_000n

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
    // Not INSERT OR IGNORE: that would also pass over a row that breaks a CHECK, and report it as written.
    this.#insertUsage = database.prepare(
      `INSERT INTO usage VALUES (${marks(SETTLEMENT_CELLS)}) ON CONFLICT (request_id) DO NOTHING`,
    )
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
    this.#insertAdmission = database.prepare(
      `INSERT INTO admissions VALUES (${marks(ADMISSION_CELLS)}) ON CONFLICT (request_id) DO NOTHING`,
    )
    this.#deleteAdmission = database.prepare('DELETE FROM admissions WHERE request_id = ?')
  }

  /**
   * Writes a batch and returns once it is on disk. A settlement that breaks a rule of the schema is left out and named, so that
   * it cannot take the others of its batch with it. Throws SQLite's error; then nothing of the batch was written.
   */
  write(batch: Batch): readonly RefusedSettlement[] {
    try {
      this.#transaction(batch, null)
      return []
    } catch (error) {
      if (!isRefusal(error)) throw error
    }
    // Rare, so the batch is done again with the care that costs: each settlement can be taken back by itself.
    const refused: RefusedSettlement[] = []
    this.#transaction(batch, refused)
    return refused
  }

  #transaction(batch: Batch, refused: RefusedSettlement[] | null): void {
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      this.#settlements(batch.settlements, refused)
      this.#admissions(batch.admissions)
      for (const requestId of batch.ended) this.#deleteAdmission.run(requestId)
      this.#database.exec('COMMIT')
    } catch (error) {
      // A full disk has rolled back by itself, and then there is nothing left to roll back.
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      this.#names.forget()
      throw error
    }
  }

  #settlements(cells: readonly Cell[], refused: RefusedSettlement[] | null): void {
    let sums = new Sums()
    const row: Cell[] = Array(SETTLEMENT_CELLS).fill(null)
    for (let at = 0; at < cells.length; at += SETTLEMENT_CELLS) {
      for (let i = 0; i < SETTLEMENT_CELLS; i++) row[i] = cells[at + i] as Cell
      if (refused === null) {
        this.#settlement(row, sums)
        continue
      }
      this.#database.exec('SAVEPOINT settlement')
      try {
        sums = new Sums()
        this.#settlement(row, sums)
        // With its sums, since those too can be beyond what a column holds.
        this.#write(sums)
      } catch (error) {
        if (!isRefusal(error)) throw error
        this.#database.exec('ROLLBACK TO settlement')
        this.#names.forget()
        refused.push({ at: at / SETTLEMENT_CELLS, reason: (error as Error).message })
      }
      this.#database.exec('RELEASE settlement')
    }
    if (refused === null) this.#write(sums)
  }

  #write(sums: Sums): void {
    for (const [account, amount] of sums.balances) this.#addBalance.run(account, amount)
    for (const [key, amount] of sums.spent) this.#addSpent.run(key, amount)
    for (const { key, requests, input, cached, output, charge } of sums.rollups.values()) {
      this.#addRollup.run(...key, requests, input, cached, output, charge)
    }
  }

  // Writes the rows of one settlement, then adds it to the sums; a second settlement of a request changes nothing at all.
  #settlement(row: Cell[], sums: Sums): void {
    const names = this.#names
    const requestId = row[0] as string
    const account = names.number(orgAccount(row[1] as string))
    const org = names.number(row[1] as string)
    const key = names.number(row[2] as string)
    const model = names.number(row[3] as string)
    const upstream = names.number(row[6] as string)
    const price = names.number(row[19] as string)
    const charge = BigInt(row[20] as string)
    const overrun = BigInt(row[21] as string)
    const settledMs = row[24] as number
    if ((row[9] as number) > TOKENS_MAX || (row[15] as number) > TOKENS_MAX)
      throw new StoreRefused(`${requestId} counts more than ${TOKENS_MAX} tokens, which no request has.`)
    if (overrun > OVERRUN_NANODOLLARS_MAX)
      throw new StoreRefused(`${requestId} overran its hold by ${overrun} n$, more than a million dollars.`)
    row[1] = org
    row[2] = key
    row[3] = model
    row[6] = upstream
    row[19] = price
    if (this.#insertUsage.run(...row).changes === 0) return
    const revenue = names.number(REVENUE)
    if (charge > 0n) {
      this.#insertTransfer.run(`${requestId}:charge`, account, revenue, charge, 'charge', requestId, settledMs, null)
    }
    if (overrun > 0n) {
      const payer = names.number(OVERRUN)
      this.#insertTransfer.run(`${requestId}:overrun`, payer, revenue, overrun, 'overrun', requestId, settledMs, null)
      sums.move(payer, revenue, overrun)
    }
    if (charge > 0n) {
      sums.move(account, revenue, charge)
      add(sums.spent, key, charge)
    }
    const rollup = sums.rollup([Math.floor(settledMs / HOUR_MS), org, key, model, upstream, price, row[8] as string])
    rollup.requests++
    rollup.input += row[9] as number
    rollup.cached += row[11] as number
    rollup.output += row[15] as number
    rollup.charge += charge
  }

  #admissions(cells: readonly Cell[]): void {
    for (let at = 0; at < cells.length; at += ADMISSION_CELLS)
      this.#insertAdmission.run(...cells.slice(at, at + ADMISSION_CELLS))
  }
}

/** What a batch adds to the rows that many requests share. */
class Sums {
  readonly balances = new Map<number, bigint>()
  readonly spent = new Map<number, bigint>()
  readonly rollups = new Map<string, Rollup>()

  move(debit: number, credit: number, amount: bigint): void {
    add(this.balances, debit, -amount)
    add(this.balances, credit, amount)
  }

  rollup(key: Rollup['key']): Rollup {
    const id = key.join(' ')
    let rollup = this.rollups.get(id)
    if (rollup === undefined) {
      rollup = { key, requests: 0, input: 0, cached: 0, output: 0, charge: 0n }
      this.rollups.set(id, rollup)
    }
    return rollup
  }
}

function add(sums: Map<number, bigint>, key: number, amount: bigint): void {
  sums.set(key, (sums.get(key) ?? 0n) + amount)
}
