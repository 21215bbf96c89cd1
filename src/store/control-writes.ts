import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import type { LimitRule, Project } from '../inference/limit-rule.ts'
import type { ApiKey, KeyUpdate, Price } from '../inference/snapshot.ts'
import { type AccountId, GRANTS } from '../ledger/account.ts'
import { smallestAmount } from '../ledger/grant.ts'
import type { Transfer } from '../ledger/journal.ts'
import { transferProblem } from '../ledger/transfer-rules.ts'
import { documentOfTerms } from '../pricing/document.ts'
import { balanceOf, chargedTotal, expiriesOf, type Grants, grantById, grantedLeft, insertGrant } from './grants.ts'
import type { Names } from './names.ts'
import { transferOf } from './reads.ts'
import { StoreRefused } from './refusal.ts'

/** A model as the operator set it, its prices apart; the document is opaque here. */
export interface StoredDocument {
  readonly id: string
}

/** What became of a transfer that was to be posted. */
export interface Posted {
  /** False when one of its id was there, or it was refused. */
  readonly added: boolean
  /** The one on record; null when it was refused. */
  readonly transfer: Transfer | null
  /** `not_purchased`: a refund of more than was bought and not spent. `ended`: a grant that would be over already. */
  readonly refusal: 'not_purchased' | 'ended' | null
  /** What the org has bought and not spent now, nanodollars; negative when more was taken back. */
  readonly purchasedNanodollars: bigint
}

/** The store's integers are signed 64 bits. */
const INTEGER_MAX = 2n ** 63n - 1n

function refuseCap(capNanodollars: bigint | null): void {
  if (capNanodollars !== null && (capNanodollars < 0n || capNanodollars > INTEGER_MAX))
    throw new StoreRefused(`A cap of ${capNanodollars} n$ is below zero, or beyond what the books hold.`)
}

function modelsJson(models: readonly string[] | null): string | null {
  return models === null ? null : JSON.stringify(models)
}

/** What the control plane changes: each method is one transaction, on disk when it returns. */
export class ControlWrites {
  readonly #database: DatabaseSync
  readonly #names: Names
  readonly #grants: Grants

  constructor(database: DatabaseSync, names: Names, grants: Grants) {
    this.#database = database
    this.#names = names
    this.#grants = grants
  }

  createOrg(org: { id: string; name: string; createdMs: number }): void {
    this.#change(() => {
      if (this.#has('orgs', 'id', org.id)) throw new StoreRefused(`There is already an org ${org.id}; use another id.`)
      this.#run('INSERT INTO orgs (id, name, created_ms) VALUES (?, ?, ?)', org.id, org.name, org.createdMs)
    })
  }

  updateOrg(orgId: string, change: { name?: string; disabled?: boolean; priceGroup?: string | null }): void {
    const disabled = change.disabled === undefined ? null : Number(change.disabled)
    this.#change(() => {
      this.#need('orgs', 'org', orgId)
      this.#run(
        'UPDATE orgs SET name = coalesce(?, name), disabled = coalesce(?, disabled) WHERE id = ?',
        change.name ?? null,
        disabled,
        orgId,
      )
      if (change.priceGroup !== undefined)
        this.#run('UPDATE orgs SET price_group = ? WHERE id = ?', change.priceGroup, orgId)
    })
  }

  createKey(key: ApiKey): void {
    this.#change(() => {
      this.#need('orgs', 'org', key.orgId)
      if (this.#has('api_keys', 'id', key.id))
        throw new StoreRefused(`There is already a key ${key.id}; use another id.`)
      if (this.#has('api_keys', 'hash', key.hash)) throw new StoreRefused('There is already a key of this secret.')
      refuseCap(key.capNanodollars)
      this.#run(
        `INSERT INTO api_keys (id, org_id, name, hash, hint, cap_nanodollars, created_ms, expires_ms, revoked_ms, project_id, models)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        key.id,
        key.orgId,
        key.name,
        key.hash,
        key.hint,
        key.capNanodollars,
        key.createdMs,
        key.expiresMs,
        key.revokedMs,
        key.projectId,
        modelsJson(key.models ?? null),
      )
    })
  }

  createProject(project: Project & { readonly createdMs: number }): void {
    this.#change(() => {
      this.#need('orgs', 'org', project.orgId)
      this.#run('INSERT INTO projects VALUES (?, ?, ?, ?)', project.id, project.orgId, project.name, project.createdMs)
    })
  }

  /** Adds a limit, or puts another in the place of the one of its id. */
  putLimit(limit: LimitRule): void {
    this.#change(() =>
      this.#run(
        'INSERT INTO limits VALUES (?, ?) ON CONFLICT DO UPDATE SET document = excluded.document',
        limit.id,
        JSON.stringify({ ...limit, amount: String(limit.amount) }),
      ),
    )
  }

  removeLimit(limitId: string): void {
    this.#change(() => this.#run('DELETE FROM limits WHERE id = ?', limitId))
  }

  updateKey(keyId: string, change: KeyUpdate): void {
    this.#change(() => {
      this.#need('api_keys', 'key', keyId)
      refuseCap(change.capNanodollars ?? null)
      if (change.name !== undefined) this.#run('UPDATE api_keys SET name = ? WHERE id = ?', change.name, keyId)
      if (change.capNanodollars !== undefined)
        this.#run('UPDATE api_keys SET cap_nanodollars = ? WHERE id = ?', change.capNanodollars, keyId)
      if (change.models !== undefined)
        this.#run('UPDATE api_keys SET models = ? WHERE id = ?', modelsJson(change.models), keyId)
    })
  }

  /** The first revocation stands. */
  revokeKey(keyId: string, revokedMs: number): void {
    this.#change(() => {
      this.#need('api_keys', 'key', keyId)
      this.#run('UPDATE api_keys SET revoked_ms = coalesce(revoked_ms, ?) WHERE id = ?', revokedMs, keyId)
    })
  }

  /** Adds a transfer of credit to an org unless one of its id is there; answers the one that is there afterwards. */
  addCredit(transfer: Transfer): { added: boolean; transfer: Transfer } {
    const { id, kind, debit, credit } = transfer
    if (kind !== 'credit') throw new StoreRefused(`${id} is no credit: it moves from ${debit} to ${credit} as ${kind}.`)
    const { added, transfer: posted } = this.post(transfer, { force: false })
    return { added, transfer: posted as Transfer }
  }

  /**
   * Posts a transfer of credit, of a grant, or of something taken back, unless one of its id is there; answers the one that is there
   * afterwards. Not posted is a refund of more than the org has bought and not spent, unless it is forced, and a grant that is over.
   *
   * @throws StoreRefused for a transfer between accounts, of an amount or with an id that its kind cannot have.
   */
  post(transfer: Transfer, { force }: { force: boolean }): Posted {
    return this.#change(() => {
      const problem = transferProblem(transfer)
      if (problem !== null) throw new StoreRefused(problem)
      const { id, kind, amountNanodollars, atMs, expiresMs = null } = transfer
      const account = this.#names.number(transfer.credit.startsWith('org:') ? transfer.credit : transfer.debit)
      const purchasedNanodollars = this.#purchased(account)
      const unchanged = { added: false, purchasedNanodollars }
      const earlier = transferOf(this.#database, id)
      if (earlier !== null) return { ...unchanged, transfer: earlier, refusal: null }
      if (kind === 'refund' && !force && amountNanodollars > purchasedNanodollars)
        return { ...unchanged, transfer: null, refusal: 'not_purchased' }
      if (expiresMs !== null && expiresMs <= atMs) return { ...unchanged, transfer: null, refusal: 'ended' }
      this.#insertTransfer(transfer, { account, isGrantEvent: kind === 'grant', grantId: null })
      if (kind === 'grant') {
        insertGrant(this.#database, { id, account, amountNanodollars, expiresMs })
        this.#grants.opened(account)
      }
      const posted = transferOf(this.#database, id)
      return { added: true, transfer: posted, refusal: null, purchasedNanodollars: this.#purchased(account) }
    })
  }

  /**
   * Gives what is left of a grant that is over back to the operator, at most as much as is said and as the balance has. Answers what
   * was moved, nanodollars: 0 when the grant is not over, or nothing is left of it.
   */
  expireGrant(grantId: string, mostNanodollars: bigint, nowMs: number): bigint {
    return this.#change(() => {
      const grant = grantById(this.#database, grantId)
      if (grant === undefined || grant.expires_ms === null || Number(grant.expires_ms) > nowMs) return 0n
      const account = Number(grant.account)
      const amountNanodollars = smallestAmount(mostNanodollars, grant.remaining, balanceOf(this.#database, account))
      if (amountNanodollars === 0n) return 0n
      const debit = this.#database.prepare('SELECT name FROM names WHERE n = ?').get(account)?.name as AccountId
      const id = `${debit}:expiry:${grantId.slice(`${debit}:credit:`.length)}:${expiriesOf(this.#database, grantId) + 1}`
      const parts = { kind: 'expiry', requestId: null, atMs: nowMs, memo: null } as const
      this.#insertTransfer(
        { id, debit, credit: GRANTS, amountNanodollars, ...parts },
        { grantId, isGrantEvent: true, account },
      )
      this.#run('UPDATE grants SET remaining = remaining - ? WHERE seq = ?', amountNanodollars, grant.seq)
      return amountNanodollars
    })
  }

  // A grant and its end say how much the org had been charged by then, so that what is left can be worked out from the rows alone.
  #insertTransfer(
    transfer: Transfer,
    { grantId, isGrantEvent, account }: { grantId: string | null; isGrantEvent: boolean; account: number },
  ): void {
    const { id, amountNanodollars, kind, requestId, atMs, memo, by = null } = transfer
    const debit = this.#names.number(transfer.debit)
    const credit = this.#names.number(transfer.credit)
    const charged = isGrantEvent ? chargedTotal(this.#database, account) : null
    this.#run(
      `INSERT INTO posted_transfers (id, debit, credit, nanodollars, kind, request_id, at_ms, memo, actor, grant_id, charged)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      ...[id, debit, credit, amountNanodollars, kind, requestId, atMs, memo, by, grantId, charged],
    )
    const balance =
      'INSERT INTO balances VALUES (?, ?) ON CONFLICT DO UPDATE SET nanodollars = nanodollars + excluded.nanodollars'
    this.#run(balance, debit, -amountNanodollars)
    this.#run(balance, credit, amountNanodollars)
  }

  // What the org has paid for and not spent; negative when more was taken back than that.
  #purchased(account: number): bigint {
    return balanceOf(this.#database, account) - grantedLeft(this.#database, account)
  }

  putModel(model: StoredDocument): void {
    this.#change(() =>
      this.#run(
        'INSERT INTO models VALUES (?, ?) ON CONFLICT DO UPDATE SET document = excluded.document',
        model.id,
        JSON.stringify(model),
      ),
    )
  }

  removeModel(modelId: string): void {
    this.#change(() => {
      this.#need('models', 'model', modelId)
      this.#run('DELETE FROM models WHERE id = ?', modelId)
    })
  }

  /**
   * Appends prices, all or none, in their order. Of the same model and group, one that is in force until further notice ends where
   * a new one begins, and a new one where one that was set before for later begins.
   */
  setPrices(prices: readonly Price[]): void {
    this.#change(() => {
      for (const price of prices) this.#appendPrice(price)
    })
  }

  #appendPrice(price: Price): void {
    const { id, modelId, fromMs, toMs, terms } = price
    const group = price.group ?? null
    if (this.#has('prices', 'id', id)) throw new StoreRefused(`There is already a price ${id}; use another id.`)
    if (toMs !== null && toMs <= fromMs) throw new StoreRefused(`The price ${id} ends before it begins.`)
    this.#run(
      'UPDATE prices SET to_ms = ? WHERE model_id = ? AND price_group IS ? AND to_ms IS NULL AND from_ms <= ?',
      fromMs,
      modelId,
      group,
      fromMs,
    )
    this.#run(
      `INSERT INTO prices (id, seq, model_id, price_group, from_ms, to_ms, input_picodollars, cached_input_picodollars,
       cache_write_picodollars, output_picodollars, reasoning_picodollars, request_picodollars, search_unit_picodollars, terms)
       VALUES (?, (SELECT coalesce(max(seq), 0) + 1 FROM prices), ?, ?, ?,
       coalesce(?, (SELECT min(from_ms) FROM prices WHERE model_id = ? AND price_group IS ? AND from_ms > ?)),
       ?, ?, ?, ?, ?, ?, ?, ?)`,
      id,
      modelId,
      group,
      fromMs,
      toMs,
      modelId,
      group,
      fromMs,
      price.inputPicodollars,
      price.cachedInputPicodollars,
      price.cacheWritePicodollars ?? null,
      price.outputPicodollars,
      price.reasoningPicodollars ?? null,
      price.requestPicodollars,
      price.searchUnitPicodollars ?? null,
      terms === undefined ? null : JSON.stringify(documentOfTerms(terms)),
    )
  }

  #run(sql: string, ...values: SQLInputValue[]): { changes: number | bigint } {
    return this.#database.prepare(sql).run(...values)
  }

  #has(table: 'orgs' | 'api_keys' | 'models' | 'prices', column: 'id' | 'hash', value: string): boolean {
    return this.#database.prepare(`SELECT 1 FROM ${table} WHERE ${column} = ?`).get(value) !== undefined
  }

  #need(table: 'orgs' | 'api_keys' | 'models', noun: string, id: string): void {
    if (!this.#has(table, 'id', id)) throw new StoreRefused(`There is no ${noun} ${id}.`)
  }

  #change<Result>(work: () => Result): Result {
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      const result = work()
      this.#database.exec('COMMIT')
      return result
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      this.#names.forget()
      throw error
    }
  }
}
