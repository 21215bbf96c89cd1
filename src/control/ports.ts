import type { LimitRule, Project } from '../inference/limit-rule.ts'
import type { ApiKey, KeyUpdate, Price, Snapshot } from '../inference/snapshot.ts'
import type { Funds } from '../ledger/books.ts'
import type { CreditTotals, OpenGrant } from '../ledger/grant.ts'
import type { Admission, Ending, Settlement, Transfer } from '../ledger/journal.ts'
import type { Limit } from '../ledger/limit-counter.ts'
import type { BillingDetails } from '../statements/invoice.ts'
import type { StatementRecords } from '../statements/statement.ts'
import type { Clock } from '../std/clock.ts'
import type { RandomBytes } from './api-key.ts'
import type { SnapshotState, StoredModel } from './snapshot-builder.ts'

/** Which usage rows; what is undefined does not restrict. Times are when requests were settled, milliseconds since 1970. */
export interface UsageFilter {
  readonly orgId?: string
  readonly keyId?: string
  readonly modelId?: string
  /** Inclusive. */
  readonly fromMs?: number
  /** Exclusive. */
  readonly toMs?: number
}

/** What usage can be summed by. */
export type UsageGrouping = 'org' | 'key' | 'model' | 'upstream' | 'ending' | 'day' | 'hour'

/** Sums over settled requests of one group. */
export interface UsageSum {
  /** The group's id; for days and hours the RFC 3339 time of its start. */
  readonly group: string
  readonly requests: number
  readonly inputTokens: number
  readonly cachedInputTokens: number
  readonly outputTokens: number
  readonly chargeNanodollars: bigint
}

/** Settled requests of one hour that agree in org, key, model, upstream, price and ending. */
export interface UsageHour {
  /** The start of the hour in which they were settled, milliseconds since 1970. */
  readonly hourMs: number
  readonly orgId: string
  readonly keyId: string
  readonly modelId: string
  readonly upstreamId: string
  readonly priceId: string
  readonly ending: Ending
  readonly requests: number
  /** Cached ones included. */
  readonly inputTokens: number
  readonly cachedInputTokens: number
  readonly outputTokens: number
  readonly chargeNanodollars: bigint
  /** What the upstream takes from the operator; null when that is not known. */
  readonly costNanodollars: bigint | null
}

/** Movements of orgs' accounts but charges; what is undefined does not restrict. `fromMs` is inclusive, `toMs` exclusive. */
export interface TransferFilter {
  readonly orgId?: string
  readonly fromMs?: number
  readonly toMs?: number
}

/** What the ledger's check of itself found. */
export interface VerifyResult {
  readonly ok: boolean
  readonly transfers: number
  readonly settlements: number
  /** One sentence per discrepancy; empty when the books balance. */
  readonly problems: readonly string[]
}

/** What became of a transfer that was to be posted. */
export interface PostedTransfer {
  /** False when one of its id was there, or it was refused. */
  readonly added: boolean
  /** The one on record; null when it was refused. */
  readonly transfer: Transfer | null
  /** `not_purchased`: a refund of more than was bought and not spent. `ended`: a grant that would be over already. */
  readonly refusal: 'not_purchased' | 'ended' | null
  /** What the org has bought and not spent, nanodollars; negative when more was taken back. */
  readonly purchasedNanodollars: bigint
}

/** What the control plane needs of durable storage. Every promise resolves once the change is on disk. */
export interface ControlStore {
  /** `balances` is by org id, `spent` by key id; nanodollars. */
  loadState(): Promise<
    SnapshotState & { readonly balances: ReadonlyMap<string, bigint>; readonly spent: ReadonlyMap<string, bigint> }
  >
  createOrg(org: { id: string; name: string; createdMs: number }): Promise<void>
  updateOrg(orgId: string, change: { name?: string; disabled?: boolean; priceGroup?: string | null }): Promise<void>
  createProject(project: Project & { readonly createdMs: number }): Promise<void>
  /** Adds a limit, or puts another in the place of the one of its id. */
  putLimit(limit: LimitRule): Promise<void>
  removeLimit(limitId: string): Promise<void>
  /** What came under a limit since a time (of admission), by pieces of `pieceMs`; null: in one. */
  limitUsage(
    rule: LimitRule,
    fromMs: number,
    pieceMs: number | null,
  ): Promise<readonly { readonly atMs: number; readonly endUserId: string | null; readonly used: bigint }[]>
  createKey(key: ApiKey): Promise<void>
  updateKey(keyId: string, change: KeyUpdate): Promise<void>
  revokeKey(keyId: string, revokedMs: number): Promise<void>
  /** Adds the transfer unless one of its id is on record; answers the one on record. */
  addCredit(transfer: Transfer): Promise<{ added: boolean; transfer: Transfer }>
  /** Posts a transfer of a kind that an operator makes, unless one of its id is on record. */
  post(transfer: Transfer, rule: { force: boolean }): Promise<PostedTransfer>
  /** Grants that are over while something is left of them, of one org or of all. */
  dueGrants(nowMs: number, orgId: string | null): Promise<readonly OpenGrant[]>
  /** Gives back what is left of a grant that is over, at most so much; answers how much that was, nanodollars. */
  expireGrant(grantId: string, mostNanodollars: bigint, nowMs: number): Promise<bigint>
  putModel(model: StoredModel): Promise<void>
  removeModel(modelId: string): Promise<void>
  /** Appends prices, all or none. */
  setPrices(prices: readonly Price[]): Promise<void>
  usageByRequest(requestId: string): Promise<Settlement | null>
  usageList(
    filter: UsageFilter,
    page: { limit: number; cursor?: string },
  ): Promise<{ rows: readonly Settlement[]; nextCursor: string | null }>
  usageSummary(filter: UsageFilter, groupBy: UsageGrouping): Promise<readonly UsageSum[]>
  /** By hour, then org, key, model and the rest. `fromMs` and `toMs` are whole hours. */
  usageHours(
    filter: UsageFilter & { readonly upstreamId?: string },
    page: { limit: number; cursor?: string },
  ): Promise<{ rows: readonly UsageHour[]; nextCursor: string | null }>
  /** Transfers that are no charge and no overrun, by id. */
  transferList(
    filter: TransferFilter,
    page: { limit: number; cursor?: string },
  ): Promise<{ rows: readonly Transfer[]; nextCursor: string | null }>
  /** What the books say of an org from `fromMs` to before `toMs`, whole hours, all read at one instant. */
  statementRecords(orgId: string, fromMs: number, toMs: number): Promise<StatementRecords>
  /** What changed an org's credit, by kind, and its open grants. */
  creditTotals(orgId: string): Promise<CreditTotals>
  /** The transfers of an org that are not charges, newest first. */
  creditTransfers(
    orgId: string,
    page: { limit: number; cursor?: string },
  ): Promise<{ rows: readonly Transfer[]; nextCursor: string | null }>
  priceById(priceId: string): Promise<Price | null>
  transfersOf(filter: { requestId: string }): Promise<readonly Transfer[]>
  interrupted(): Promise<readonly Admission[]>
  verify(): Promise<VerifyResult>
}

/** The books of the server that runs. `Books` of the ledger is one. */
export interface LiveBooks {
  readonly openHolds: number
  orgFunds(orgId: string): Funds
  /** Of the budget `key:<id>`. */
  budgetSpent(budgetId: string): { readonly settledNanodollars: bigint; readonly heldNanodollars: bigint }
  /** What counts under a limit in its window. */
  limitUsed(limit: Limit, nowMs: number): { readonly settled: bigint; readonly held: bigint }
  /** Adds credit that is on disk, or takes some away; at once. */
  credit(orgId: string, nanodollars: bigint): void
}

/** How the server does, apart from what the snapshot and the books say. */
export interface RuntimeStatus {
  readonly version: string
  readonly startedMs: number
  /** Addresses that accept clients; empty when no server runs. */
  readonly listening: readonly string[]
  readonly upstreams: readonly {
    readonly id: string
    readonly kind: string
    /** Such as `ready`, `partly down`, `down`. */
    readonly state: string
    /** The names there of the models that get no attempts at the moment, since they failed. */
    readonly downModels: readonly string[]
    /** Why it is in that state, for people; empty when there is nothing to say. */
    readonly detail: string
    readonly running: number
    readonly queued: number
  }[]
  /** Whether settlements reach the disk, and why not. */
  readonly journal: { readonly healthy: boolean; readonly detail: string }
}

/** What somebody wants to pay: an amount or a pack. */
export interface CheckoutWish {
  readonly orgId: string
  readonly amountNanodollars: bigint | null
  readonly pack: string | null
  /** Makes repeating harmless. */
  readonly id: string | null
}

/** A page where it can be paid. */
export interface CheckoutOffer {
  readonly id: string
  readonly url: string
  readonly amountNanodollars: bigint
  /** Credited on top. */
  readonly bonusNanodollars: bigint
  readonly expiresMs: number
}

/** What a provider of payments told, and what became of it. */
export interface PaymentRecord {
  readonly id: string
  readonly type: string
  readonly kind: string
  readonly reason: string
  readonly orgId: string | null
  readonly paymentId: string | null
  readonly amountNanodollars: bigint | null
  readonly atMs: number
}

/** Payments, as the control plane sees them. */
export interface PaymentsPort {
  /** Begins a checkout; absent when none is configured, or no server runs. */
  readonly checkout?: (wish: CheckoutWish) => Promise<CheckoutOffer>
  /** Events, newest first; `beforeId` is the last one of the page before. */
  list(page: { readonly limit: number; readonly beforeId?: string }): Promise<readonly PaymentRecord[]>
}

/** How an event on its way to an endpoint does. */
export interface WebhookDelivery {
  readonly seq: number
  readonly id: string
  readonly endpoint: string
  readonly type: string
  readonly body: string
  readonly state: 'pending' | 'delivered' | 'failed'
  readonly tries: number
  readonly createdMs: number
  readonly nextMs: number
  readonly triedMs: number | null
  readonly outcome: string
}

/** Outgoing webhooks, as the control plane sees them. */
export interface WebhooksPort {
  endpoints(): Promise<
    readonly { readonly url: string; readonly events: readonly string[] | 'all'; readonly pending: number }[]
  >
  /** Newest first; `beforeSeq` is the last one of the page before. */
  deliveries(selection: {
    readonly state?: WebhookDelivery['state']
    readonly beforeSeq?: number
    readonly limit: number
  }): Promise<readonly WebhookDelivery[]>
  /** Sends a test event to the endpoint of this URL, or to all. */
  test(url: string | null): Promise<{ readonly id: string; readonly urls: readonly string[] }>
  /** Tries again what failed, one event or all; answers how many deliveries. */
  retry(id: string | null): Promise<number>
}

/** What `createControlApp` is given. */
export interface ControlDeps {
  readonly store: ControlStore
  /** Absent when no server runs; then nothing is held, and the store's sums are the truth. */
  readonly books?: LiveBooks
  /** Absent in tests of the rest. */
  readonly payments?: PaymentsPort
  /** Absent in tests of the rest. */
  readonly webhooks?: WebhooksPort
  /** The snapshot in force. */
  snapshot(): Snapshot
  /** Rebuilds the snapshot from the store and swaps it in. */
  publish(): Promise<void>
  status(): RuntimeStatus
  readonly clock: Pick<Clock, 'nowMs'>
  readonly randomBytes: RandomBytes
  readonly pepper: Uint8Array
  readonly operatorToken: string
  /** Who sells, for invoices; none are made without. */
  readonly billing?: BillingDetails
  /** Told about errors that are ours; the client only learns that there was one. */
  onError?(error: unknown): void
}
