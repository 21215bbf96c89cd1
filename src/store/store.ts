import type { ApiKey, Org, Price } from '../inference/snapshot.ts'
import { type Admission, type Journal, JournalFailure, type Settlement, type Transfer } from '../ledger/journal.ts'
import type { StoredDocument } from './control-writes.ts'
import type { UsageGroup, UsageSelection } from './reads.ts'
import { type Cell, packSettlement } from './settlement-row.ts'
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

/** One batch at a time: what comes up meanwhile makes the next one larger, and a commit costs the same for one row as for fifty. */
const BATCHES_IN_FLIGHT_MAX = 1
/**
 * Under load, that is after a batch of at least so many settlements, the next one gathers for so long. Measured at saturation: the
 * cost of a settlement falls from 45 to 15 µs of CPU; a lone request never waits.
 */
const GATHER_AFTER_SETTLEMENTS = 4
const GATHER_MS = 2
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
 * Durable storage. Settlements of the same instant share one transaction and one fsync: a batch leaves as soon as the worker is
 * free, with all that came up meanwhile, so load makes batches larger instead of making them wait on a timer.
 */
export class Store<Model extends StoredDocument = StoredDocument> implements Journal {
  readonly #path: string
  readonly #writer: WorkerLink
  #reader: Promise<WorkerLink> | null = null
  #cells: Cell[] = []
  #pending: Pending[] = []
  #voided: string[] = []
  readonly #admissions = new Map<string, { readonly admission: Admission; readonly dueMs: number }>()
  readonly #written = new Set<string>()
  #inFlight = 0
  #scheduled = false
  #lastBatchSettlements = 0
  #admissionTimer: NodeJS.Timeout | null = null

  constructor(path: string, writer: WorkerLink) {
    this.#path = path
    this.#writer = writer
  }

  admitted(admission: Admission): void {
    this.#admissions.set(admission.requestId, { admission, dueMs: performance.now() + ADMISSION_DELAY_MS })
    this.#admissionTimer ??= setTimeout(() => {
      this.#admissionTimer = null
      this.#schedule()
    }, ADMISSION_DELAY_MS).unref()
  }

  voided(requestId: string): void {
    if (this.#admissions.delete(requestId) || !this.#written.delete(requestId)) return
    this.#voided.push(requestId)
    this.#schedule()
  }

  settle(settlement: Settlement): Promise<void> {
    if (!this.#admissions.delete(settlement.requestId)) this.#written.delete(settlement.requestId)
    packSettlement(this.#cells, settlement)
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject })
      this.#schedule()
    })
  }

  // All that settles in one turn of the event loop goes together; under load, all that settles in two milliseconds.
  #schedule(): void {
    if (this.#scheduled || this.#inFlight >= BATCHES_IN_FLIGHT_MAX) return
    this.#scheduled = true
    const send = () => {
      this.#scheduled = false
      this.#send()
    }
    if (this.#lastBatchSettlements >= GATHER_AFTER_SETTLEMENTS) setTimeout(send, GATHER_MS)
    else setImmediate(send)
  }

  #send(): void {
    const admissions = this.#dueAdmissions()
    if (this.#inFlight >= BATCHES_IN_FLIGHT_MAX) return
    if (this.#pending.length === 0 && admissions.length === 0 && this.#voided.length === 0) return
    const pending = this.#pending
    const batch = { settlements: this.#cells, admissions, voided: this.#voided }
    this.#cells = []
    this.#pending = []
    this.#voided = []
    this.#inFlight++
    this.#lastBatchSettlements = pending.length
    this.#writer.write(batch).then(
      () => {
        for (const each of pending) each.resolve()
        this.#landed()
      },
      (error: Error) => {
        const failure = error instanceof JournalFailure ? error : new JournalFailure(error.message, { cause: error })
        for (const each of pending) each.reject(failure)
        this.#landed()
      },
    )
  }

  #landed(): void {
    this.#inFlight--
    if (this.#pending.length > 0 || this.#voided.length > 0) this.#schedule()
  }

  #dueAdmissions(): Cell[] {
    const cells: Cell[] = []
    const nowMs = performance.now()
    for (const [requestId, { admission, dueMs }] of this.#admissions) {
      // In the order of admission: the rest is younger.
      if (dueMs > nowMs) break
      this.#admissions.delete(requestId)
      this.#written.add(requestId)
      cells.push(
        requestId,
        admission.orgId,
        admission.keyId,
        admission.modelId,
        admission.heldNanodollars,
        Math.round(admission.admittedMs),
      )
    }
    if (this.#admissions.size > 0 && this.#admissionTimer === null) {
      this.#admissionTimer = setTimeout(() => {
        this.#admissionTimer = null
        this.#schedule()
      }, ADMISSION_DELAY_MS).unref()
    }
    return cells
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

  putModel(model: Model): Promise<void> {
    return this.#writer.call('putModel', model)
  }

  removeModel(modelId: string): Promise<void> {
    return this.#writer.call('removeModel', modelId)
  }

  setPrice(price: Price): Promise<void> {
    return this.#writer.call('setPrice', price)
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

  async usageSummary(
    selection: UsageSelection,
    group: UsageGroup,
  ): Promise<
    readonly {
      group: string
      requests: number
      inputTokens: number
      cachedInputTokens: number
      outputTokens: number
      chargeNanodollars: bigint
    }[]
  > {
    return (await this.#reads()).call('usageSummary', selection, group)
  }

  async creditedTotal(orgId: string): Promise<bigint> {
    return (await this.#reads()).call('creditedTotal', orgId)
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

  /** Writes what is pending, then closes. */
  async close(): Promise<void> {
    if (this.#admissionTimer !== null) clearTimeout(this.#admissionTimer)
    while (this.#inFlight > 0 || this.#pending.length > 0 || this.#voided.length > 0) {
      this.#send()
      await new Promise(resolve => setImmediate(resolve))
    }
    await (await this.#reader)?.close()
    await this.#writer.close()
  }

  // A long query never holds settlements up: it runs in a thread and on a connection of its own, started when first needed.
  #reads(): Promise<WorkerLink> {
    this.#reader ??= WorkerLink.open({ path: this.#path, mode: 'read' }, () => undefined)
    return this.#reader
  }
}
