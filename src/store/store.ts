import type { ApiKey, Org, Price } from '../inference/snapshot.ts'
import type { CreditTotals, OpenGrant } from '../ledger/grant.ts'
import {
  type Admission,
  type Journal,
  JournalFailure,
  JournalRefusal,
  type Settlement,
  type Transfer,
} from '../ledger/journal.ts'
import type { Posted, StoredDocument } from './control-writes.ts'
import type { Batch } from './messages.ts'
import type { UsageGroup, UsageSelection, UsageSum } from './reads.ts'
import { type Cell, packAdmission, packSettlement } from './settlement-row.ts'
import type { Verification } from './verify.ts'
import { WorkerLink } from './worker-link.ts'

/** How to open the store. */
export interface StoreOptions {
  readonly path: string
  /** Told once when the disk has failed; nothing can be made durable any more. */
  readonly onFatal?: (error: Error) => void
  /** Bounds the database's pages, to stand in for a full disk in tests. */
  readonly pagesMax?: number
}

/** Everything the store holds that the data plane answers from. `Model` is the control plane's document. */
export interface StoreState<Model extends StoredDocument = StoredDocument> {
  readonly orgs: readonly Org[]
  readonly keys: readonly ApiKey[]
  readonly models: readonly Model[]
  readonly prices: readonly Price[]
  /** By org id, nanodollars. */
  readonly balances: ReadonlyMap<string, bigint>
  /** By key id, nanodollars. */
  readonly spent: ReadonlyMap<string, bigint>
}

/**
 * One batch is in flight at a time: what comes up meanwhile makes the next one larger, and a commit costs the same for one row as
 * for fifty. Under load, that is after a batch of at least so many settlements, the next one gathers for so long. Measured at saturation: the
 * cost of a settlement falls from 45 to 15 µs of CPU; a lone request never waits.
 */
const GATHER_AFTER_SETTLEMENTS = 4
const GATHER_MS = 2
/** After a batch of so many, which is some thousands a second, requests wait for each other longer than this anyway. */
const GATHER_LONG_AFTER_SETTLEMENTS = 10
const GATHER_LONG_MS = 4
/** A batch that has so many leaves at once: larger ones save little more, and the wait would cost throughput. */
const GATHER_SETTLEMENTS = 128
/** Admissions of requests that end sooner are not written at all. */
const ADMISSION_DELAY_MS = 100

interface Pending {
  resolve(): void
  reject(error: Error): void
}

/** Opens the store; runs migrations that are due. Rejects with `StoreOpenError` when it cannot. */
export async function openStore<Model extends StoredDocument = StoredDocument>(
  options: StoreOptions,
): Promise<Store<Model>> {
  const onFatal = options.onFatal ?? (() => undefined)
  const writer = await WorkerLink.open(
    { path: options.path, mode: 'write', ...(options.pagesMax === undefined ? {} : { pagesMax: options.pagesMax }) },
    onFatal,
  )
  return new Store(options.path, writer)
}

/**
 * Durable storage. Settlements of the same instant share one transaction and one fsync. When the worker is free and little goes on,
 * a batch leaves in the same turn of the event loop; under load it gathers for two milliseconds, at saturation for four.
 */
export class Store<Model extends StoredDocument = StoredDocument> implements Journal {
  readonly #path: string
  readonly #writer: WorkerLink
  #reader: Promise<WorkerLink> | null = null
  #cells: Cell[] = []
  #pending: Pending[] = []
  #ended: string[] = []
  readonly #admissions = new Map<string, { readonly admission: Admission; readonly dueMs: number }>()
  /** Requests whose admission was sent to be written and has to be removed when they end. */
  readonly #written = new Set<string>()
  #inFlight: Promise<void> | null = null
  #scheduled: 'soon' | NodeJS.Timeout | null = null
  #lastBatchSettlements = 0
  #admissionTimer: NodeJS.Timeout | null = null
  #closed = false

  constructor(path: string, writer: WorkerLink) {
    this.#path = path
    this.#writer = writer
  }

  admitted(admission: Admission): void {
    this.#admissions.set(admission.requestId, { admission, dueMs: performance.now() + ADMISSION_DELAY_MS })
    this.#awaitAdmissions()
  }

  voided(requestId: string): void {
    if (!this.#endAdmission(requestId)) return
    this.#schedule()
  }

  settle(settlement: Settlement): Promise<void> {
    if (this.#closed) return Promise.reject(new JournalFailure('The store is closed.'))
    this.#endAdmission(settlement.requestId)
    packSettlement(this.#cells, settlement)
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject })
      this.#schedule()
    })
  }

  // Requests that end soon never had their admission written, and then there is nothing to remove.
  #endAdmission(requestId: string): boolean {
    if (this.#admissions.delete(requestId) || !this.#written.delete(requestId)) return false
    this.#ended.push(requestId)
    return true
  }

  // All that settles in one turn of the event loop goes together; under load, all that settles in two milliseconds.
  #schedule(): void {
    if (this.#inFlight !== null) return
    if (this.#scheduled !== null) {
      if (this.#scheduled !== 'soon' && this.#pending.length >= GATHER_SETTLEMENTS) this.#send()
      return
    }
    if (this.#lastBatchSettlements < GATHER_AFTER_SETTLEMENTS || this.#pending.length >= GATHER_SETTLEMENTS) {
      this.#scheduled = 'soon'
      setImmediate(() => this.#send())
    } else {
      const gatherMs = this.#lastBatchSettlements < GATHER_LONG_AFTER_SETTLEMENTS ? GATHER_MS : GATHER_LONG_MS
      this.#scheduled = setTimeout(() => this.#send(), gatherMs)
    }
  }

  #send(): void {
    if (this.#scheduled !== 'soon' && this.#scheduled !== null) clearTimeout(this.#scheduled)
    this.#scheduled = null
    if (this.#inFlight !== null) return
    const admissions = this.#dueAdmissions()
    const pending = this.#pending
    const ended = this.#ended
    if (pending.length === 0 && admissions.length === 0 && ended.length === 0) return
    const batch: Batch = { settlements: this.#cells, admissions, ended }
    this.#cells = []
    this.#pending = []
    this.#ended = []
    this.#lastBatchSettlements = pending.length
    this.#inFlight = this.#writer.write(batch).then(
      refused => {
        this.#inFlight = null
        for (const { at, reason } of refused) pending[at]?.reject(new JournalRefusal(`The books refuse it: ${reason}`))
        for (const each of pending) each.resolve()
        if (this.#pending.length > 0 || this.#ended.length > 0) this.#schedule()
      },
      (error: Error) => {
        this.#inFlight = null
        const failure = error instanceof JournalFailure ? error : new JournalFailure(error.message, { cause: error })
        for (const each of pending) each.reject(failure)
        // These requests ended all the same: the next batch forgets their admissions. It is not made for that alone, since on a
        // full disk it would fail again at once.
        if (!this.#writer.dead) this.#ended.push(...ended)
        if (this.#pending.length > 0) this.#schedule()
      },
    )
  }

  #dueAdmissions(): Cell[] {
    const cells: Cell[] = []
    const nowMs = performance.now()
    for (const [requestId, { admission, dueMs }] of this.#admissions) {
      // In the order of admission: the rest is younger.
      if (dueMs > nowMs) break
      this.#admissions.delete(requestId)
      this.#written.add(requestId)
      packAdmission(cells, admission)
    }
    return cells
  }

  // While admissions wait to become due a timer looks after them; when a batch is in flight at its time, they go a round later.
  #awaitAdmissions(): void {
    if (this.#admissionTimer !== null || this.#admissions.size === 0 || this.#closed) return
    this.#admissionTimer = setTimeout(() => {
      this.#admissionTimer = null
      this.#schedule()
      this.#awaitAdmissions()
    }, ADMISSION_DELAY_MS).unref()
  }

  loadState(): Promise<StoreState<Model>> {
    return this.#writer.call('loadState')
  }

  createOrg(org: { id: string; name: string; createdMs: number }): Promise<void> {
    return this.#writer.call('createOrg', org)
  }

  updateOrg(orgId: string, change: { name?: string; disabled?: boolean }): Promise<void> {
    return this.#writer.call('updateOrg', orgId, change)
  }

  createKey(key: ApiKey): Promise<void> {
    return this.#writer.call('createKey', key)
  }

  updateKey(keyId: string, change: { name?: string; capNanodollars?: bigint | null }): Promise<void> {
    return this.#writer.call('updateKey', keyId, change)
  }

  revokeKey(keyId: string, revokedMs: number): Promise<void> {
    return this.#writer.call('revokeKey', keyId, revokedMs)
  }

  /** Adds the transfer unless one of its id is on record; answers the one on record. */
  addCredit(transfer: Transfer): Promise<{ added: boolean; transfer: Transfer }> {
    return this.#writer.call('addCredit', transfer)
  }

  /** Posts a transfer of any kind that is no request's, unless one of its id is on record; see `ControlWrites.post`. */
  post(transfer: Transfer, rule: { force: boolean }): Promise<Posted> {
    return this.#writer.call('post', transfer, rule)
  }

  /** Ends a grant that is over, as far as is said; answers what went back, nanodollars. See `ControlWrites.expireGrant`. */
  expireGrant(grantId: string, mostNanodollars: bigint, nowMs: number): Promise<bigint> {
    return this.#writer.call('expireGrant', grantId, mostNanodollars, nowMs)
  }

  /** Grants that are over and not given back; of one org, or of all. Asked of the writer, so that no second thread starts for it. */
  dueGrants(nowMs: number, orgId: string | null): Promise<readonly OpenGrant[]> {
    return this.#writer.call('dueGrants', nowMs, orgId)
  }

  putModel(model: Model): Promise<void> {
    return this.#writer.call('putModel', model)
  }

  removeModel(modelId: string): Promise<void> {
    return this.#writer.call('removeModel', modelId)
  }

  setPrice(price: Price): Promise<void> {
    return this.#writer.call('setPrice', price)
  }

  /**
   * Drops the usage rows of the months that ended at the latest at `beforeMs`; their charges are carried over, their hourly sums stay.
   * Answers the months dropped.
   */
  closeMonths(beforeMs: number, nowMs: number): Promise<readonly string[]> {
    return this.#writer.call('closeMonths', beforeMs, nowMs)
  }

  async usageByRequest(requestId: string): Promise<Settlement | null> {
    return (await this.#reads()).call('usageByRequest', requestId)
  }

  async usageList(
    selection: UsageSelection,
    page: { limit: number; cursor?: string },
  ): Promise<{ rows: readonly Settlement[]; nextCursor: string | null }> {
    return (await this.#reads()).call('usageList', selection, page)
  }

  async usageSummary(selection: UsageSelection, group: UsageGroup): Promise<readonly UsageSum[]> {
    return (await this.#reads()).call('usageSummary', selection, group)
  }

  async creditTotals(orgId: string): Promise<CreditTotals> {
    return (await this.#reads()).call('creditTotals', orgId)
  }

  /** The transfers of an org that are not charges, newest first. */
  async creditTransfers(
    orgId: string,
    page: { limit: number; cursor?: string },
  ): Promise<{ rows: readonly Transfer[]; nextCursor: string | null }> {
    return (await this.#reads()).call('creditTransfers', orgId, page)
  }

  async priceById(priceId: string): Promise<Price | null> {
    return (await this.#reads()).call('priceById', priceId)
  }

  async transfersOf(filter: { requestId: string }): Promise<readonly Transfer[]> {
    return (await this.#reads()).call('transfersOf', filter)
  }

  /** Requests that a crash interrupted. */
  async interrupted(): Promise<readonly Admission[]> {
    return (await this.#reads()).call('interrupted')
  }

  /** Recomputes the books from their transfers and rows, beside the traffic. */
  async verify(): Promise<Verification> {
    return (await this.#reads()).call('verify')
  }

  /** Writes what is pending, carries the log over into the database, and closes it. Later settlements are rejected. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#admissionTimer !== null) clearTimeout(this.#admissionTimer)
    await this.#inFlight
    this.#send()
    await this.#inFlight
    await this.#reader?.then(
      reader => reader.close(),
      () => undefined,
    )
    await this.#writer.close()
  }

  // A long query never holds settlements up: it runs in a thread and on a connection of its own, started when first needed.
  #reads(): Promise<WorkerLink> {
    if (this.#reader === null) {
      const forget = () => {
        this.#reader = null
      }
      this.#reader = WorkerLink.open({ path: this.#path, mode: 'read' }, forget)
      this.#reader.catch(forget)
    }
    return this.#reader
  }
}
