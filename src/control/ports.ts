import type { ApiKey, Price, Snapshot } from '../inference/snapshot.ts'
import type { Funds } from '../ledger/books.ts'
import type { CreditTotals, OpenGrant } from '../ledger/grant.ts'
import type { Admission, Settlement, Transfer } from '../ledger/journal.ts'
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
  updateOrg(orgId: string, change: { name?: string; disabled?: boolean }): Promise<void>
  createKey(key: ApiKey): Promise<void>
  updateKey(keyId: string, change: { name?: string; capNanodollars?: bigint | null }): Promise<void>
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
  setPrice(price: Price): Promise<void>
  usageByRequest(requestId: string): Promise<Settlement | null>
  usageList(
    filter: UsageFilter,
    page: { limit: number; cursor?: string },
  ): Promise<{ rows: readonly Settlement[]; nextCursor: string | null }>
  usageSummary(filter: UsageFilter, groupBy: UsageGrouping): Promise<readonly UsageSum[]>
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

/** What `createControlApp` is given. */
export interface ControlDeps {
  readonly store: ControlStore
  /** Absent when no server runs; then nothing is held, and the store's sums are the truth. */
  readonly books?: LiveBooks
  /** The snapshot in force. */
  snapshot(): Snapshot
  /** Rebuilds the snapshot from the store and swaps it in. */
  publish(): Promise<void>
  status(): RuntimeStatus
  readonly clock: Pick<Clock, 'nowMs'>
  readonly randomBytes: RandomBytes
  readonly pepper: Uint8Array
  readonly operatorToken: string
  /** Told about errors that are ours; the client only learns that there was one. */
  onError?(error: unknown): void
}
