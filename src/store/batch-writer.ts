import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { OVERRUN, orgAccount, REVENUE } from '../ledger/account.ts'
import { closeMonths } from './close-months.ts'
import type { Grants } from './grants.ts'
import type { KeptBound } from './kept-bound.ts'
import { putDocument } from './kept-documents.ts'
import type { Batch, BatchExtras, PackedAnswer, PlacedDocument, RefusedSettlement } from './messages.ts'
import type { Names } from './names.ts'
import { StoreRefused } from './refusal.ts'
import { ADMISSION_CELLS, CELL, type Cell, endingOf, SETTLEMENT_CELLS } from './settlement-row.ts'
import { isRefusal } from './sqlite-failure.ts'
import { StoredAnswers } from './stored-answers.ts'
import { USAGE_COLUMNS, UsageWriter } from './usage-partitions.ts'

const HOUR_MS = 3_600_000
/**
 * Bounds on what one request may say, far beyond any real one. They keep an absurd report of an upstream from filling the 64 bits of
 * revenue or of an hourly sum, after which nothing more could be settled.
 */
const TOKENS_MAX = 1_000_000_000
const OVERRUN_NANODOLLARS_MAX = 1_000_000_000_000_000n
/** Orgs whose numbers are remembered. */
const ORGS_MAX = 10_000

const NO_ANSWERS: ReadonlyMap<number, PackedAnswer> = new Map()
const NO_DOCUMENTS: ReadonlyMap<number, readonly PlacedDocument[]> = new Map()

interface Rollup {
  readonly key: readonly (number | string)[]
  requests: number
  input: number
  cached: number
  output: number
  charge: bigint
}

/**
 * Writes batches of settlements, each batch in one transaction: the usage row of each request with the answer and documents that are stored for it, and
 * per batch, not per request, the balances, what is left of grants and the hourly sums that they change.
 */
export class BatchWriter {
  readonly #database: DatabaseSync
  readonly #names: Names
  readonly #grants: Grants
  readonly #usage: UsageWriter
  readonly #orgs = new Map<string, { readonly org: number; readonly account: number }>()
  readonly #stored: StoredAnswers
  readonly #keptBound: KeptBound
  /** Answers of the batch being written, by the place of their settlement. */
  #answers: ReadonlyMap<number, PackedAnswer> = NO_ANSWERS
  #documents: ReadonlyMap<number, readonly PlacedDocument[]> = NO_DOCUMENTS
  /** The columns of the row being written. */
  readonly #row: (Cell | bigint)[] = Array(USAGE_COLUMNS).fill(null)
  readonly #addBalance: StatementSync
  readonly #addSpent: StatementSync
  readonly #addTokenSpent: StatementSync
  readonly #addRollup: StatementSync
  readonly #insertAdmission: StatementSync
  readonly #deleteAdmission: StatementSync

  constructor(
    database: DatabaseSync,
    names: Names,
    grants: Grants,
    keptBound: KeptBound,
    answersBytesMax = Number.MAX_SAFE_INTEGER,
  ) {
    this.#database = database
    this.#names = names
    this.#grants = grants
    this.#keptBound = keptBound
    const marks = (count: number) => Array(count).fill('?').join(', ')
    this.#usage = new UsageWriter(database)
    this.#stored = new StoredAnswers(database, answersBytesMax)
    this.#addBalance = database.prepare(
      'INSERT INTO balances VALUES (?, ?) ON CONFLICT DO UPDATE SET nanodollars = nanodollars + excluded.nanodollars',
    )
    this.#addSpent = database.prepare(
      'INSERT INTO key_spent VALUES (?, ?) ON CONFLICT DO UPDATE SET nanodollars = nanodollars + excluded.nanodollars',
    )
    this.#addTokenSpent = database.prepare(
      'INSERT INTO token_spent VALUES (?, ?) ON CONFLICT DO UPDATE SET nanodollars = nanodollars + excluded.nanodollars',
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
  write(batch: Batch, extras?: BatchExtras): readonly RefusedSettlement[] {
    this.#answers = extras === undefined ? NO_ANSWERS : new Map(extras.answers.map(answer => [answer.at, answer]))
    this.#documents = extras === undefined ? NO_DOCUMENTS : Map.groupBy(extras.documents, ({ at }) => at)
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

  /** Drops the usage rows of the months that ended at the latest at `beforeMs`; see `close-months.ts`. */
  closeMonths(beforeMs: number, nowMs: number): readonly string[] {
    try {
      return closeMonths(this.#database, this.#names, beforeMs, nowMs)
    } finally {
      this.#usage.forget()
    }
  }

  /** Deletes a bounded number of answers that are over, each time; answers how many. */
  sweepAnswers(nowMs: number): number {
    return this.#stored.sweep(nowMs)
  }

  #transaction(batch: Batch, refused: RefusedSettlement[] | null): void {
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      this.#settlements(batch.settlements, refused)
      this.#makeRoom()
      this.#admissions(batch.admissions)
      for (const requestId of batch.ended) this.#deleteAdmission.run(requestId)
      this.#database.exec('COMMIT')
      this.#grants.kept()
    } catch (error) {
      // A full disk has rolled back by itself, and then there is nothing left to roll back.
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      this.#forget()
      throw error
    }
  }

  // Remembered, because to put the account's name together for each row takes as long as all its other names.
  #orgNumbers(orgId: string): { readonly org: number; readonly account: number } {
    let numbers = this.#orgs.get(orgId)
    if (numbers === undefined) {
      numbers = { org: this.#names.number(orgId), account: this.#names.number(orgAccount(orgId)) }
      if (this.#orgs.size >= ORGS_MAX) this.#orgs.clear()
      this.#orgs.set(orgId, numbers)
    }
    return numbers
  }

  // What was made in a transaction that was rolled back is not on disk.
  #forget(): void {
    this.#names.forget()
    this.#orgs.clear()
    this.#usage.forget()
    this.#stored.forget()
    this.#grants.forget()
  }

  #settlements(cells: readonly Cell[], refused: RefusedSettlement[] | null): void {
    let sums = new Sums()
    for (let at = 0; at < cells.length; at += SETTLEMENT_CELLS) {
      if (refused === null) {
        this.#settlement(cells, at, sums)
        continue
      }
      this.#database.exec('SAVEPOINT settlement')
      try {
        sums = new Sums()
        this.#settlement(cells, at, sums)
        // With its sums, since those too can be beyond what a column holds.
        this.#write(sums)
      } catch (error) {
        if (!isRefusal(error)) throw error
        this.#database.exec('ROLLBACK TO settlement')
        this.#forget()
        refused.push({ at: at / SETTLEMENT_CELLS, reason: (error as Error).message })
      }
      this.#database.exec('RELEASE settlement')
    }
    if (refused === null) this.#write(sums)
  }

  #write(sums: Sums): void {
    for (const [account, amount] of sums.balances) this.#addBalance.run(account, amount)
    for (const [account, amount] of sums.charged) this.#grants.spend(account, amount)
    for (const [key, amount] of sums.spent) this.#addSpent.run(key, amount)
    for (const [token, amount] of sums.tokens) this.#addTokenSpent.run(token, amount)
    for (const { key, requests, input, cached, output, charge } of sums.rollups.values()) {
      this.#addRollup.run(...key, requests, input, cached, output, charge)
    }
  }

  // Writes the row of one settlement, then adds it to the sums; a second settlement of a request changes nothing at all.
  #settlement(cells: readonly Cell[], at: number, sums: Sums): void {
    const names = this.#names
    const text = (cell: number) => cells[at + cell] as string
    const count = (cell: number) => cells[at + cell] as number
    const requestId = text(CELL.requestId)
    const { account, org } = this.#orgNumbers(text(CELL.orgId))
    const key = names.number(text(CELL.keyId))
    const model = names.number(text(CELL.modelId))
    const upstream = names.number(text(CELL.upstreamId))
    const price = names.number(text(CELL.priceId))
    const endUser = cells[at + CELL.endUserId] as string | null
    const input = count(CELL.input)
    const output = count(CELL.output)
    const charge = BigInt(cells[at + CELL.charge] as string | number)
    const overrun = BigInt(cells[at + CELL.overrun] as string | number)
    const settledMs = count(CELL.settledMs)
    if (input > TOKENS_MAX || output > TOKENS_MAX)
      throw new StoreRefused(`${requestId} counts more than ${TOKENS_MAX} tokens, which no request has.`)
    if (overrun > OVERRUN_NANODOLLARS_MAX)
      throw new StoreRefused(`${requestId} overran its hold by ${overrun} n$, more than a million dollars.`)
    const row = this.#row
    row[0] = requestId
    row[1] = account
    row[2] = org
    row[3] = key
    row[4] = model
    row[5] = upstream
    row[6] = price
    row[7] = endUser === null ? null : names.number(endUser)
    for (let i = CELL.facts; i < CELL.tokenId; i++) row[i + 1] = cells[at + i] as Cell
    const tokenId = cells[at + CELL.tokenId] as string | null
    const token = tokenId === null ? null : names.number(tokenId)
    row[CELL.tokenId + 1] = token
    if (!this.#usage.insert(row, count(CELL.admittedMs), settledMs)) return
    const answer = this.#answers.size === 0 ? undefined : this.#answers.get(at / SETTLEMENT_CELLS)
    if (answer !== undefined) this.#stored.put(answer, requestId, settledMs)
    if (this.#documents.size > 0)
      for (const { document } of this.#documents.get(at / SETTLEMENT_CELLS) ?? []) putDocument(this.#database, document)
    if (overrun > 0n) sums.move(names.number(OVERRUN), names.number(REVENUE), overrun)
    if (charge > 0n) {
      sums.move(account, names.number(REVENUE), charge)
      add(sums.charged, account, charge)
      add(sums.spent, key, charge)
      if (token !== null) add(sums.tokens, token, charge)
    }
    const hour = Math.floor(settledMs / HOUR_MS)
    const rollup = sums.rollup(hour, org, key, model, upstream, price, endingOf(count(CELL.facts)))
    rollup.requests++
    rollup.input += input
    rollup.cached += count(CELL.cached)
    rollup.output += output
    rollup.charge += charge
  }

  // Once for the batch, when all documents of a settlement are there: the items of a response that goes at once go with it.
  #makeRoom(): void {
    if (this.#documents.size === 0) return
    this.#keptBound.makeRoom([...this.#documents.values()].flatMap(placed => placed.map(({ document }) => document)))
  }

  #admissions(cells: readonly Cell[]): void {
    for (let at = 0; at < cells.length; at += ADMISSION_CELLS)
      this.#insertAdmission.run(...cells.slice(at, at + ADMISSION_CELLS))
  }
}

/** What a batch adds to the rows that many requests share. */
class Sums {
  readonly balances = new Map<number, bigint>()
  /** Charges by account of the org. */
  readonly charged = new Map<number, bigint>()
  readonly spent = new Map<number, bigint>()
  readonly tokens = new Map<number, bigint>()
  readonly rollups = new Map<string, Rollup>()
  #last: Rollup | null = null

  move(debit: number, credit: number, amount: bigint): void {
    add(this.balances, debit, -amount)
    add(this.balances, credit, amount)
  }

  rollup(
    hour: number,
    org: number,
    key: number,
    model: number,
    upstream: number,
    price: number,
    ending: string,
  ): Rollup {
    // Most rows of a batch belong to the sums of the row before.
    const last = this.#last
    if (last !== null && isOf(last, hour, org, key, model, upstream, price, ending)) return last
    const id = `${hour} ${key} ${model} ${upstream} ${price} ${ending} ${org}`
    let rollup = this.rollups.get(id)
    if (rollup === undefined) {
      rollup = {
        key: [hour, org, key, model, upstream, price, ending],
        requests: 0,
        input: 0,
        cached: 0,
        output: 0,
        charge: 0n,
      }
      this.rollups.set(id, rollup)
    }
    this.#last = rollup
    return rollup
  }
}

function isOf({ key }: Rollup, ...wanted: Rollup['key']): boolean {
  for (let i = 0; i < wanted.length; i++) if (key[i] !== wanted[i]) return false
  return true
}

function add(sums: Map<number, bigint>, key: number, amount: bigint): void {
  sums.set(key, (sums.get(key) ?? 0n) + amount)
}
