import type { LimitRule, Project } from '../inference/limit-rule.ts'
import type { ApiKey, KeyUpdate, Org, Price } from '../inference/snapshot.ts'
import type { CreditTotals, OpenGrant } from '../ledger/grant.ts'
import {
  type Admission,
  type Journal,
  JournalFailure,
  JournalRefusal,
  type Settlement,
  type Transfer,
} from '../ledger/journal.ts'
import type { KeptDocument, KeptDocuments } from '../ledger/kept-document.ts'
import type { StoredAnswer } from '../ledger/stored-answer.ts'
import type { Posted, StoredDocument } from './control-writes.ts'
import { keptDocumentsOver } from './kept-documents.ts'
import type { LimitUse } from './limit-usage.ts'
import type { Batch, BatchExtras, PackedAnswer, PlacedDocument } from './messages.ts'
import { type Outbox, outboxOver } from './outbox.ts'
import { type PaymentRecords, paymentRecordsOver } from './payment-events.ts'
import type { UsageGroup, UsageSelection, UsageSum } from './reads.ts'
import { type ScopedTokenRecords, scopedTokensOver } from './scoped-tokens.ts'
import { type Cell, packAdmission, packSettlement } from './settlement-row.ts'
import type { HourSelection, StatementRead, TransferSelection, UsageHourRow } from './statement-reads.ts'
import { packAnswer } from './stored-answers.ts'
import type { Verification } from './verify.ts'
import { WorkerLink } from './worker-link.ts'

/** How to open the store. */
export interface StoreOptions {
  readonly path: string
  /** Told once when the disk has failed; nothing can be made durable any more. */
  readonly onFatal?: (error: Error) => void
  /** Bounds the database's pages, to stand in for a full disk in tests. */
  readonly pagesMax?: number
  /** Added to each commit, milliseconds, to stand in for a slow disk in benchmarks. */
  readonly commitDelayMs?: number
  /** Most bytes that the bodies of stored answers may take, as stored; the oldest go first. Without it they are not bounded. */
  readonly answersBytesMax?: number
  /**
   * Most bytes that the responses, their items and the chat completions kept for one org may take: each its JSON as stored and 512 for its row;
   * the oldest go first. Without it they are not bounded.
   */
  readonly keptBytesMaxPerOrg?: number
}

/** Everything the store holds that the data plane answers from. `Model` is the control plane's document. */
export interface StoreState<Model extends StoredDocument = StoredDocument> {
  readonly orgs: readonly Org[]
  readonly keys: readonly ApiKey[]
  readonly models: readonly Model[]
  readonly prices: readonly Price[]
  readonly projects: readonly Project[]
  readonly limits: readonly LimitRule[]
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

const NONE: readonly never[] = []

interface Pending {
  resolve(): void
  reject(error: Error): void
}

/** Opens the store; runs migrations that are due. Rejects with `StoreOpenError` when it cannot. */
export async function openStore<Model extends StoredDocument = StoredDocument>(
  options: StoreOptions,
): Promise<Store<Model>> {
  const { onFatal = () => undefined, ...settings } = options
  const writer = await WorkerLink.open({ ...settings, mode: 'write' }, onFatal)
  return new Store(settings.path, writer)
}

/**
 * Durable storage. Settlements of the same instant share one transaction and one fsync. When the worker is free and little goes on,
 * a batch leaves in the same turn of the event loop; under load it gathers for two milliseconds, at saturation for four.
 */
export class Store<Model extends StoredDocument = StoredDocument> implements Journal {
  /** Events on their way to endpoints. */
  readonly outbox: Outbox
  /** What a payment provider told. */
  readonly payments: PaymentRecords
  /** What is kept for orgs beside their money. */
  readonly kept: KeptDocuments
  /** Tokens that were derived from API keys. */
  readonly tokens: ScopedTokenRecords
  readonly #path: string
  readonly #writer: WorkerLink
  readonly #readers = new Map<'reports' | 'answers', Promise<WorkerLink>>()
  #cells: Cell[] = []
  #pending: Pending[] = []
  #answers: PackedAnswer[] = []
  #documents: PlacedDocument[] = []
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
    this.outbox = outboxOver((method, ...args) => writer.call(method, ...args))
    this.payments = paymentRecordsOver((method, ...args) => writer.call(method, ...args))
    this.tokens = scopedTokensOver((method, ...args) => writer.call(method, ...args))
    this.kept = keptDocumentsOver(
      (method, ...args) => writer.call(method, ...args),
      async (method, ...args) => (await this.#reads('answers')).call(method, ...args),
    )
  }

  admitted(admission: Admission): void {
    this.#admissions.set(admission.requestId, { admission, dueMs: performance.now() + ADMISSION_DELAY_MS })
    this.#awaitAdmissions()
  }

  voided(requestId: string): void {
    if (!this.#endAdmission(requestId)) return
    this.#schedule()
  }

  settle(settlement: Settlement, answer?: StoredAnswer, documents: readonly KeptDocument[] = NONE): Promise<void> {
    if (answer === undefined) return this.#settle(settlement, null, documents)
    // Compressed before the settlement joins a batch, so that it holds nobody else's up.
    return packAnswer(answer).then(packed => this.#settle(settlement, packed, documents))
  }

  #settle(
    settlement: Settlement,
    answer: Omit<PackedAnswer, 'at'> | null,
    documents: readonly KeptDocument[],
  ): Promise<void> {
    if (this.#closed) return Promise.reject(new JournalFailure('The store is closed.'))
    this.#endAdmission(settlement.requestId)
    packSettlement(this.#cells, settlement)
    const at = this.#pending.length
    if (answer !== null) this.#answers.push({ ...answer, at })
    for (const document of documents) this.#documents.push({ at, document })
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
    const extras = this.#takeExtras()
    if (pending.length === 0 && admissions.length === 0 && ended.length === 0) return
    const batch: Batch = { settlements: this.#cells, admissions, ended }
    this.#cells = []
    this.#pending = []
    this.#ended = []
    this.#lastBatchSettlements = pending.length
    this.#inFlight = this.#writer.write(batch, extras).then(
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

  #takeExtras(): BatchExtras | undefined {
    if (this.#answers.length === 0 && this.#documents.length === 0) return undefined
    const extras = { answers: this.#answers, documents: this.#documents }
    this.#answers = []
    this.#documents = []
    return extras
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

  updateOrg(orgId: string, change: { name?: string; disabled?: boolean; priceGroup?: string | null }): Promise<void> {
    return this.#writer.call('updateOrg', orgId, change)
  }

  createProject(project: Project & { readonly createdMs: number }): Promise<void> {
    return this.#writer.call('createProject', project)
  }

  /** Adds a limit, or puts another in the place of the one of its id. */
  putLimit(limit: LimitRule): Promise<void> {
    return this.#writer.call('putLimit', limit)
  }

  removeLimit(limitId: string): Promise<void> {
    return this.#writer.call('removeLimit', limitId)
  }

  createKey(key: ApiKey): Promise<void> {
    return this.#writer.call('createKey', key)
  }

  updateKey(keyId: string, change: KeyUpdate): Promise<void> {
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
    return this.setPrices([price])
  }

  /** Appends prices, all or none. */
  setPrices(prices: readonly Price[]): Promise<void> {
    return this.#writer.call('setPrices', prices)
  }

  /**
   * Drops the usage rows of the months that ended at the latest at `beforeMs`; their charges are carried over, their hourly sums stay.
   * Answers the months dropped.
   */
  closeMonths(beforeMs: number, nowMs: number): Promise<readonly string[]> {
    return this.#writer.call('closeMonths', beforeMs, nowMs)
  }

  /** The answer stored under a key's hash, also one that is over but not swept yet; null when there is none. */
  async storedAnswer(keyHash: string): Promise<StoredAnswer | null> {
    return (await this.#reads('answers')).call('storedAnswer', keyHash)
  }

  /** Deletes stored answers that are over, a bounded number at a time; answers how many. */
  sweepAnswers(nowMs: number): Promise<number> {
    return this.#writer.call('sweepAnswers', nowMs)
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

  async usageHours(
    selection: HourSelection,
    page: { limit: number; cursor?: string },
  ): Promise<{ rows: readonly UsageHourRow[]; nextCursor: string | null }> {
    return (await this.#reads()).call('usageHours', selection, page)
  }

  async transferList(
    selection: TransferSelection,
    page: { limit: number; cursor?: string },
  ): Promise<{ rows: readonly Transfer[]; nextCursor: string | null }> {
    return (await this.#reads()).call('transferList', selection, page)
  }

  async statementRecords(orgId: string, fromMs: number, toMs: number): Promise<StatementRead> {
    return (await this.#reads()).call('statementRecords', orgId, fromMs, toMs)
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

  /** What came under a limit since a time, by piece of its window; see `limit-usage.ts`. */
  async limitUsage(rule: LimitRule, fromMs: number, pieceMs: number | null): Promise<readonly LimitUse[]> {
    return (await this.#reads()).call('limitUsage', rule, fromMs, pieceMs)
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
    for (const reader of this.#readers.values())
      await reader.then(
        link => link.close(),
        () => undefined,
      )
    await this.#writer.close()
  }

  // A long query never holds settlements up: it runs in a thread and on a connection of its own, started when first needed. Nor does it
  // hold up a client who repeats a request: looking up answers has another.
  #reads(purpose: 'reports' | 'answers' = 'reports'): Promise<WorkerLink> {
    const known = this.#readers.get(purpose)
    if (known !== undefined) return known
    const forget = () => void this.#readers.delete(purpose)
    const reader = WorkerLink.open({ path: this.#path, mode: 'read' }, forget)
    this.#readers.set(purpose, reader)
    reader.catch(forget)
    return reader
  }
}
