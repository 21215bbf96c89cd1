import type { LimitRule, Project } from '../inference/limit-rule.ts'
import type { ApiKey, KeyUpdate, Org, Price } from '../inference/snapshot.ts'
import { GRANTS, orgAccount, REVENUE } from '../ledger/account.ts'
import { type GrantEvent, remainingOfGrants, smallestAmount } from '../ledger/grant.ts'
import type { Admission, Settlement, Transfer } from '../ledger/journal.ts'
import { transferProblem } from '../ledger/transfer-rules.ts'
import { effectOn, type StatementRecords } from '../statements/statement.ts'
import type { ControlStore, TransferFilter, UsageFilter, UsageGrouping, UsageHour, UsageSum } from './ports.ts'
import type { StoredModel } from './snapshot-builder.ts'

/** A store in memory for tests of the control plane: the same promises as the real one, minus the disk. */
export class FakeStore implements ControlStore {
  readonly orgs = new Map<string, Org>()
  readonly keys = new Map<string, ApiKey>()
  readonly models = new Map<string, StoredModel>()
  readonly projects = new Map<string, Project>()
  readonly limits = new Map<string, LimitRule>()
  readonly prices: Price[] = []
  readonly transfers: Transfer[] = []
  readonly settlements: Settlement[] = []
  readonly admissions: Admission[] = []
  problems: string[] = []

  async loadState() {
    const balances = new Map<string, bigint>()
    for (const orgId of this.orgs.keys()) balances.set(orgId, this.#balance(orgId))
    const spent = new Map<string, bigint>()
    for (const { keyId, chargeNanodollars } of this.settlements) {
      spent.set(keyId, (spent.get(keyId) ?? 0n) + chargeNanodollars)
    }
    return {
      orgs: [...this.orgs.values()],
      keys: [...this.keys.values()],
      models: [...this.models.values()],
      prices: [...this.prices],
      projects: [...this.projects.values()],
      limits: [...this.limits.values()],
      balances,
      spent,
    }
  }

  /** What the real store does with a settlement that reached it through the journal. */
  settle(settlement: Settlement) {
    const { requestId, orgId, chargeNanodollars, settledMs } = settlement
    this.settlements.push(settlement)
    this.transfers.push({
      id: `${requestId}:charge`,
      debit: orgAccount(orgId),
      credit: REVENUE,
      amountNanodollars: chargeNanodollars,
      kind: 'charge',
      requestId,
      atMs: settledMs,
      memo: null,
    })
  }

  async createOrg(org: { id: string; name: string; createdMs: number }) {
    this.orgs.set(org.id, { id: org.id, name: org.name, disabled: false })
  }

  async updateOrg(orgId: string, change: { name?: string; disabled?: boolean; priceGroup?: string | null }) {
    const org = this.orgs.get(orgId) as Org
    const priceGroup = change.priceGroup === undefined ? org.priceGroup : change.priceGroup
    this.orgs.set(orgId, {
      ...org,
      name: change.name ?? org.name,
      disabled: change.disabled ?? org.disabled,
      priceGroup,
    })
  }

  async createProject({ id, orgId, name }: Project) {
    this.projects.set(id, { id, orgId, name })
  }

  async putLimit(limit: LimitRule) {
    this.limits.set(limit.id, limit)
  }

  async removeLimit(limitId: string) {
    this.limits.delete(limitId)
  }

  async limitUsage(rule: LimitRule) {
    const own = this.settlements.filter(each => rule.keyId === null || each.keyId === rule.keyId)
    const used = own.reduce(
      (sum, each) => sum + (rule.measure === 'nanodollars' ? each.chargeNanodollars : BigInt(each.usage.inputTokens)),
      0n,
    )
    return [{ atMs: 0, endUserId: null, used }]
  }

  async createKey(key: ApiKey) {
    this.keys.set(key.id, key)
  }

  async updateKey(keyId: string, change: KeyUpdate) {
    const key = this.keys.get(keyId) as ApiKey
    const capNanodollars = change.capNanodollars === undefined ? key.capNanodollars : change.capNanodollars
    const models = change.models === undefined ? (key.models ?? null) : change.models
    this.keys.set(keyId, { ...key, name: change.name ?? key.name, capNanodollars, models })
  }

  async revokeKey(keyId: string, revokedMs: number) {
    this.keys.set(keyId, { ...(this.keys.get(keyId) as ApiKey), revokedMs })
  }

  async addCredit(transfer: Transfer) {
    const earlier = this.transfers.find(each => each.id === transfer.id)
    if (earlier === undefined) this.transfers.push(transfer)
    return { added: earlier === undefined, transfer: earlier ?? transfer }
  }

  async post(transfer: Transfer, { force }: { force: boolean }) {
    const problem = transferProblem(transfer)
    if (problem !== null) throw new Error(problem)
    const orgId = (transfer.credit.startsWith('org:') ? transfer.credit : transfer.debit).slice('org:'.length)
    const purchased = () =>
      this.#balance(orgId) - this.#grantsOf(orgId).reduce((sum, { remaining }) => sum + remaining, 0n)
    const unchanged = { added: false, purchasedNanodollars: purchased() }
    const earlier = this.transfers.find(each => each.id === transfer.id)
    if (earlier !== undefined) return { ...unchanged, transfer: earlier, refusal: null }
    if (transfer.kind === 'refund' && !force && transfer.amountNanodollars > purchased())
      return { ...unchanged, transfer: null, refusal: 'not_purchased' as const }
    if ((transfer.expiresMs ?? Number.POSITIVE_INFINITY) <= transfer.atMs)
      return { ...unchanged, transfer: null, refusal: 'ended' as const }
    this.transfers.push(transfer)
    return { added: true, transfer, refusal: null, purchasedNanodollars: purchased() }
  }

  async dueGrants(nowMs: number, orgId: string | null) {
    const orgs = orgId === null ? [...this.orgs.keys()] : [orgId]
    const open = await Promise.all(orgs.map(async org => (await this.creditTotals(org)).grants))
    return open.flat().filter(({ expiresMs }) => expiresMs !== null && expiresMs <= nowMs)
  }

  async expireGrant(grantId: string, mostNanodollars: bigint, nowMs: number) {
    const grant = (await this.dueGrants(nowMs, null)).find(({ id }) => id === grantId)
    if (grant === undefined) return 0n
    const amountNanodollars = smallestAmount(mostNanodollars, grant.remainingNanodollars, this.#balance(grant.orgId))
    const debit = orgAccount(grant.orgId)
    const id = `${debit}:expiry:${grantId.slice(`${debit}:credit:`.length)}:${this.transfers.length}`
    const parts = { kind: 'expiry', requestId: null, atMs: nowMs, memo: null } as const
    if (amountNanodollars > 0n) this.transfers.push({ id, debit, credit: GRANTS, amountNanodollars, ...parts })
    return amountNanodollars
  }

  async creditTotals(orgId: string) {
    const account = orgAccount(orgId)
    const sum = (kind: Transfer['kind'], side: 'debit' | 'credit') =>
      this.#sum(each => each.kind === kind && each[side] === account)
    return {
      creditedNanodollars: sum('credit', 'credit'),
      grantedNanodollars: sum('grant', 'credit'),
      refundedNanodollars: sum('refund', 'debit'),
      chargedBackNanodollars: sum('chargeback', 'debit'),
      correctedNanodollars: sum('correction', 'credit') - sum('correction', 'debit'),
      expiredNanodollars: sum('expiry', 'debit'),
      grants: this.#grantsOf(orgId).map(({ transfer, remaining }) => ({
        id: transfer.id,
        orgId,
        amountNanodollars: transfer.amountNanodollars,
        remainingNanodollars: remaining,
        expiresMs: transfer.expiresMs ?? null,
      })),
    }
  }

  async creditTransfers(orgId: string, page: { limit: number; cursor?: string }) {
    const account = orgAccount(orgId)
    const rows = this.transfers
      .filter(each => (each.credit === account || each.debit === account) && each.kind !== 'charge')
      .reverse()
    const start = page.cursor === undefined ? 0 : rows.findIndex(each => each.id === page.cursor) + 1
    const data = rows.slice(start, start + page.limit)
    return { rows: data, nextCursor: start + data.length < rows.length ? (data.at(-1)?.id ?? null) : null }
  }

  async putModel(model: StoredModel) {
    this.models.set(model.id, model)
  }

  async removeModel(modelId: string) {
    this.models.delete(modelId)
  }

  async setPrices(prices: readonly Price[]) {
    this.prices.push(...prices)
  }

  async usageByRequest(requestId: string) {
    return this.settlements.find(each => each.requestId === requestId) ?? null
  }

  async usageList(filter: UsageFilter, page: { limit: number; cursor?: string }) {
    const rows = this.settlements.filter(each => matches(each, filter)).sort((a, b) => b.settledMs - a.settledMs)
    const start = page.cursor === undefined ? 0 : rows.findIndex(each => each.requestId === page.cursor) + 1
    const data = rows.slice(start, start + page.limit)
    const nextCursor = start + data.length < rows.length ? (data.at(-1)?.requestId ?? null) : null
    return { rows: data, nextCursor }
  }

  async usageSummary(filter: UsageFilter, groupBy: UsageGrouping) {
    const rows = this.settlements.filter(each => matches(each, filter))
    return [...Map.groupBy(rows, row => groupOf(row, groupBy))].map(
      ([group, members]): UsageSum => ({
        group,
        requests: members.length,
        inputTokens: members.reduce((sum, row) => sum + row.usage.inputTokens, 0),
        cachedInputTokens: members.reduce((sum, row) => sum + row.usage.cachedInputTokens, 0),
        outputTokens: members.reduce((sum, row) => sum + row.usage.outputTokens, 0),
        chargeNanodollars: members.reduce((sum, row) => sum + row.chargeNanodollars, 0n),
      }),
    )
  }

  async usageHours(filter: UsageFilter & { upstreamId?: string }, page: { limit: number; cursor?: string }) {
    const rows = this.settlements
      .filter(each => matches(each, filter) && (filter.upstreamId ?? each.upstreamId) === each.upstreamId)
      .map(hourOf)
    const groups = [...Map.groupBy(rows, hourKey)].sort(([a], [b]) => (a < b ? -1 : 1))
    const rest = groups.filter(([key]) => page.cursor === undefined || key > page.cursor)
    const data = rest.slice(0, page.limit)
    return {
      rows: data.map(([, members]) => members.reduce(addHours)),
      nextCursor: rest.length > data.length ? (data.at(-1)?.[0] ?? null) : null,
    }
  }

  async transferList(filter: TransferFilter, page: { limit: number; cursor?: string }) {
    const rest = this.transfers
      .filter(each => isMovement(each) && (filter.orgId === undefined || effectOn(filter.orgId, each) !== 0n))
      .filter(each => each.atMs >= (filter.fromMs ?? 0) && each.atMs < (filter.toMs ?? Number.POSITIVE_INFINITY))
      .filter(each => page.cursor === undefined || each.id > page.cursor)
      .sort((a, b) => (a.id < b.id ? -1 : 1))
    const rows = rest.slice(0, page.limit)
    return { rows, nextCursor: rest.length > rows.length ? (rows.at(-1)?.id ?? null) : null }
  }

  async statementRecords(orgId: string, fromMs: number, toMs: number): Promise<StatementRecords> {
    const before = (atMs: number) =>
      this.transfers.filter(each => each.atMs < atMs).reduce((sum, each) => sum + effectOn(orgId, each), 0n)
    const settled = this.settlements.filter(each => matches(each, { orgId, fromMs, toMs }))
    return {
      openingNanodollars: before(fromMs),
      closingNanodollars: before(toMs),
      transfers: this.transfers.filter(
        each => isMovement(each) && effectOn(orgId, each) !== 0n && each.atMs >= fromMs && each.atMs < toMs,
      ),
      charges: [...Map.groupBy(settled.map(hourOf), row => `${row.modelId} ${row.priceId}`).values()].map(members =>
        members.reduce(addHours),
      ),
    }
  }

  async priceById(priceId: string) {
    return this.prices.find(each => each.id === priceId) ?? null
  }

  async transfersOf(filter: { requestId: string }) {
    return this.transfers.filter(each => each.requestId === filter.requestId)
  }

  async interrupted() {
    return this.admissions
  }

  async verify() {
    const { transfers, settlements, problems } = this
    return { ok: problems.length === 0, transfers: transfers.length, settlements: settlements.length, problems }
  }

  #balance(orgId: string): bigint {
    const account = orgAccount(orgId)
    return this.#sum(each => each.credit === account) - this.#sum(each => each.debit === account)
  }

  // Open grants in the order in which they are spent.
  #grantsOf(orgId: string): { transfer: Transfer; remaining: bigint }[] {
    const account = orgAccount(orgId)
    let charged = 0n
    const events: GrantEvent[] = []
    for (const { id, kind, credit, debit, amountNanodollars, expiresMs = null } of this.transfers) {
      const at = { amountNanodollars, chargedNanodollars: charged }
      if (kind === 'charge' && debit === account) charged += amountNanodollars
      if (kind === 'grant' && credit === account) events.push({ type: 'given', id, expiresMs, ...at })
      if (kind === 'expiry' && debit === account) {
        const name = id.slice(`${account}:expiry:`.length, id.lastIndexOf(':'))
        events.push({ type: 'ended', id: `${account}:credit:${name}`, ...at })
      }
    }
    return [...remainingOfGrants(events, charged)]
      .filter(([, remaining]) => remaining > 0n)
      .map(([id, remaining]) => ({ transfer: this.transfers.find(each => each.id === id) as Transfer, remaining }))
  }

  #sum(counts: (transfer: Transfer) => boolean): bigint {
    return this.transfers.filter(counts).reduce((sum, each) => sum + each.amountNanodollars, 0n)
  }
}

function isMovement(transfer: Transfer): boolean {
  return transfer.kind !== 'charge' && transfer.kind !== 'overrun'
}

function hourOf(row: Settlement): UsageHour {
  const { usage, orgId, keyId, modelId, upstreamId, priceId, ending, chargeNanodollars } = row
  return {
    hourMs: Math.floor(row.settledMs / 3_600_000) * 3_600_000,
    orgId,
    keyId,
    modelId,
    upstreamId,
    priceId,
    ending,
    requests: 1,
    inputTokens: usage.inputTokens,
    cachedInputTokens: usage.cachedInputTokens,
    outputTokens: usage.outputTokens,
    chargeNanodollars,
    costNanodollars: null,
  }
}

function hourKey(row: UsageHour): string {
  const hour = String(row.hourMs).padStart(16, '0')
  return JSON.stringify([hour, row.orgId, row.keyId, row.modelId, row.upstreamId, row.priceId, row.ending])
}

function addHours(a: UsageHour, b: UsageHour): UsageHour {
  return {
    ...a,
    requests: a.requests + b.requests,
    inputTokens: a.inputTokens + b.inputTokens,
    cachedInputTokens: a.cachedInputTokens + b.cachedInputTokens,
    outputTokens: a.outputTokens + b.outputTokens,
    chargeNanodollars: a.chargeNanodollars + b.chargeNanodollars,
  }
}

function matches(row: Settlement, filter: UsageFilter): boolean {
  return (
    (filter.orgId ?? row.orgId) === row.orgId &&
    (filter.keyId ?? row.keyId) === row.keyId &&
    (filter.modelId ?? row.modelId) === row.modelId &&
    (filter.fromMs ?? 0) <= row.settledMs &&
    row.settledMs < (filter.toMs ?? Number.POSITIVE_INFINITY)
  )
}

function groupOf(row: Settlement, groupBy: UsageGrouping): string {
  switch (groupBy) {
    case 'org':
      return row.orgId
    case 'key':
      return row.keyId
    case 'model':
      return row.modelId
    case 'upstream':
      return row.upstreamId
    case 'ending':
      return row.ending
    case 'day':
      return `${new Date(row.settledMs).toISOString().slice(0, 10)}T00:00:00.000Z`
    case 'hour':
      return `${new Date(row.settledMs).toISOString().slice(0, 13)}:00:00.000Z`
  }
}
