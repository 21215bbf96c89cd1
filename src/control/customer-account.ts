import type { LimitRule } from '../inference/limit-rule.ts'
import type { ApiKey } from '../inference/snapshot.ts'
import { createId, createSecret, hashSecret, hintOf, type RandomBytes } from './api-key.ts'
import type { ControlStore, UsageHour } from './ports.ts'

const HOURS_PER_PAGE = 1000

/** What the changes that customers make themselves are made of. */
export interface CustomerAccountParts {
  readonly store: Pick<
    ControlStore,
    'createKey' | 'revokeKey' | 'putLimit' | 'removeLimit' | 'usageHours' | 'usageByRequest'
  >
  readonly publish: () => Promise<void>
  readonly randomBytes: RandomBytes
  readonly pepper: Uint8Array
  readonly nowMs: () => number
}

/** What customers change and read of their own account. Changes are on disk and in force when they resolve. */
export class CustomerAccount {
  readonly #parts: CustomerAccountParts

  constructor(parts: CustomerAccountParts) {
    this.#parts = parts
  }

  /** Makes an API key without bounds; its secret is told once. */
  async createKey(orgId: string, name: string): Promise<{ readonly key: ApiKey; readonly secret: string }> {
    const { store, publish, randomBytes, pepper, nowMs } = this.#parts
    const secret = createSecret(randomBytes)
    const key: ApiKey = {
      ...{ id: createId('key', randomBytes), orgId, name, projectId: null },
      ...{ hash: hashSecret(pepper, secret), hint: hintOf(secret) },
      ...{ capNanodollars: null, createdMs: nowMs(), expiresMs: null, revokedMs: null },
    }
    await store.createKey(key)
    await publish()
    return { key, secret }
  }

  async revokeKey(keyId: string): Promise<void> {
    await this.#parts.store.revokeKey(keyId, this.#parts.nowMs())
    await this.#parts.publish()
  }

  /** Bounds what an org spends in a calendar month, beside the operator's limits; null takes its own bound away. */
  async setMonthlyLimit(limitId: string, orgId: string, limitNanodollars: bigint | null): Promise<void> {
    const { store, publish } = this.#parts
    if (limitNanodollars === null) await store.removeLimit(limitId)
    else {
      const limit: LimitRule = {
        ...{ id: limitId, orgId, projectId: null, keyId: null, endUserId: null, modelId: null },
        ...{ measure: 'nanodollars', amount: limitNanodollars, window: 'month', hard: true, notifyPercents: [80, 100] },
      }
      await store.putLimit(limit)
    }
    await publish()
  }

  /** Usage by hour, oldest first, page by page. */
  async *usageHours(selection: {
    readonly orgId: string
    readonly keyId?: string
    readonly fromMs?: number
    readonly toMs?: number
  }): AsyncGenerator<UsageHour> {
    let cursor: string | undefined
    do {
      const page = await this.#parts.store.usageHours(selection, {
        limit: HOURS_PER_PAGE,
        ...(cursor !== undefined && { cursor }),
      })
      yield* page.rows
      cursor = page.nextCursor ?? undefined
    } while (cursor !== undefined)
  }

  /** The first hour of an org's usage; null when it has none. */
  async firstHourMs(orgId: string): Promise<number | null> {
    const { rows } = await this.#parts.store.usageHours({ orgId }, { limit: 1 })
    return rows[0]?.hourMs ?? null
  }

  /** What requests of an org were charged, nanodollars. */
  async chargesOf(orgId: string, requestIds: readonly string[]): Promise<ReadonlyMap<string, bigint>> {
    const found = await Promise.all(requestIds.map(id => this.#parts.store.usageByRequest(id)))
    return new Map(
      found.flatMap(row => (row === null || row.orgId !== orgId ? [] : [[row.requestId, row.chargeNanodollars]])),
    )
  }
}
