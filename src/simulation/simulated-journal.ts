import type { BooksState } from '../ledger/books.ts'
import { type Admission, type Journal, JournalFailure, JournalRefusal, type Settlement } from '../ledger/journal.ts'
import type { StoredAnswer } from '../ledger/stored-answer.ts'
import type { Clock } from '../std/clock.ts'
import type { Rng } from './rng.ts'

/** What can happen to a journal; `record_refused` takes one settlement out of a batch that is kept. */
export const JOURNAL_FAULTS = [
  'disk_full',
  'disk_fails',
  'batch_fails',
  'record_refused',
  'crash_loses_batch',
  'crash_after_write',
] as const

export type JournalFault = (typeof JOURNAL_FAULTS)[number]

/** A grant of the simulation. Amounts are nanodollars. */
export interface SimulatedGrant {
  readonly id: string
  readonly orgId: string
  readonly amount: bigint
  readonly expiresMs: number
  remaining: bigint
  /** What went back when it was over. */
  expired: bigint
}

/** The disk of the simulation: what is on it survives every crash. */
export class SimulatedDisk {
  /** Settlements by request, in the order in which they became durable. */
  readonly settlements = new Map<string, Settlement>()
  /** All that was credited and granted, less what was taken back and what ended. */
  readonly credits = new Map<string, bigint>()
  /** Answers that can be had again, by the hash of their key. */
  readonly answers = new Map<string, StoredAnswer>()
  /** In the order in which they are spent. */
  readonly grants: SimulatedGrant[] = []
  full = false
  /** A write failed and nobody knows what is there: nothing is written until the next start. */
  broken = false

  /** Changes an org's credit. */
  move(orgId: string, nanodollars: bigint): void {
    this.credits.set(orgId, (this.credits.get(orgId) ?? 0n) + nanodollars)
  }

  /** Gives an org a grant. */
  give(grant: SimulatedGrant): void {
    this.grants.push(grant)
    this.grants.sort((a, b) => a.expiresMs - b.expiresMs)
    this.move(grant.orgId, grant.amount)
  }

  /** Keeps a settlement, unless its request has one, and takes its charge from the grants of its org first, as the store does. */
  keep(settlement: Settlement, answer?: StoredAnswer): void {
    // As the store does: a second settlement of a request changes nothing.
    if (this.settlements.has(settlement.requestId)) return
    this.settlements.set(settlement.requestId, settlement)
    if (answer !== undefined) this.answers.set(answer.keyHash, answer)
    let rest = settlement.chargeNanodollars
    for (const grant of this.grants) {
      if (grant.orgId !== settlement.orgId) continue
      const taken = rest < grant.remaining ? rest : grant.remaining
      grant.remaining -= taken
      rest -= taken
    }
  }

  /** What a process reads when it starts. */
  state(): BooksState {
    const balances = new Map(this.credits)
    const spent = new Map<string, bigint>()
    for (const { orgId, keyId, tokenId, chargeNanodollars } of this.settlements.values()) {
      balances.set(orgId, (balances.get(orgId) ?? 0n) - chargeNanodollars)
      spent.set(`key:${keyId}`, (spent.get(`key:${keyId}`) ?? 0n) + chargeNanodollars)
      if (tokenId != null) spent.set(`token:${tokenId}`, (spent.get(`token:${tokenId}`) ?? 0n) + chargeNanodollars)
    }
    return { balances, spent }
  }
}

/** What a journal tells those who watch it. */
export interface JournalWatch {
  admitted(admission: Admission): void
  voided(requestId: string): void
  /** Handed over, not yet durable. */
  submitted(settlement: Settlement, answer: StoredAnswer | undefined): void
  durable(settlement: Settlement, answer: StoredAnswer | undefined): void
  /** The promise of the settlement is about to be kept, or broken. */
  answered(settlement: Settlement, kept: boolean): void
  fault(fault: JournalFault): void
}

/** How slow and how reliable the disk is. */
export interface SimulatedJournalOptions {
  readonly disk: SimulatedDisk
  readonly clock: Clock
  readonly rng: Rng
  readonly watch: JournalWatch
  /** Longest time of a write, its flush included. */
  readonly writeMsMax: number
  /** Chance that a batch fails, read anew for each. */
  readonly failureRate: () => number
}

interface Entry {
  readonly settlement: Settlement
  readonly answer: StoredAnswer | undefined
  readonly resolve: () => void
  readonly reject: (failure: JournalFailure) => void
}

/**
 * A journal on simulated time: one batch is written at a time, what arrives meanwhile makes up the next. A batch is durable
 * before it is acknowledged, and a crash may fall between the two.
 */
export class SimulatedJournal implements Journal {
  readonly #options: SimulatedJournalOptions
  #waiting: Entry[] = []
  #writing: Entry[] = []
  #crashed = false

  constructor(options: SimulatedJournalOptions) {
    this.#options = options
  }

  admitted(admission: Admission): void {
    if (!this.#crashed) this.#options.watch.admitted(admission)
  }

  voided(requestId: string): void {
    if (!this.#crashed) this.#options.watch.voided(requestId)
  }

  settle(settlement: Settlement, answer?: StoredAnswer): Promise<void> {
    return new Promise((resolve, reject) => {
      // Nobody is left to answer to.
      if (this.#crashed) return
      this.#options.watch.submitted(settlement, answer)
      this.#waiting.push({ settlement, answer, resolve, reject })
      if (this.#writing.length === 0) this.#write()
    })
  }

  /** The process dies: what waits is lost, what is being written may or may not have reached the disk. */
  crash(): void {
    const { rng, watch } = this.#options
    this.#crashed = true
    if (this.#writing.length === 0) return
    if (rng.chance(0.5)) {
      watch.fault('crash_loses_batch')
      return
    }
    watch.fault('crash_after_write')
    for (const entry of this.#writing) this.#keep(entry)
  }

  /** Reads the answer under a key's hash, beside what is written. */
  storedAnswer(keyHash: string): Promise<StoredAnswer | null> {
    const { clock, disk, rng, writeMsMax } = this.#options
    return new Promise(resolve => clock.after(rng.int(0, writeMsMax), () => resolve(disk.answers.get(keyHash) ?? null)))
  }

  #write(): void {
    const { clock, rng, writeMsMax } = this.#options
    this.#writing = this.#waiting
    this.#waiting = []
    clock.after(rng.int(0, writeMsMax), () => this.#finish())
  }

  #finish(): void {
    const { disk, rng, failureRate, watch } = this.#options
    if (this.#crashed) return
    const batch = this.#writing
    this.#writing = []
    const fault = disk.broken
      ? 'disk_fails'
      : disk.full
        ? 'disk_full'
        : rng.chance(failureRate())
          ? 'batch_fails'
          : null
    if (fault !== null) watch.fault(fault)
    for (const entry of batch) {
      const refused = fault === null && rng.chance(failureRate() / 4)
      if (refused) watch.fault('record_refused')
      const kept = fault === null && !refused
      if (kept) this.#keep(entry)
      watch.answered(entry.settlement, kept)
      if (kept) entry.resolve()
      else entry.reject(refused ? new JournalRefusal('simulated') : new JournalFailure(`simulated: ${fault}`))
    }
    if (this.#waiting.length > 0) this.#write()
  }

  #keep({ settlement, answer }: Entry): void {
    const { disk, watch } = this.#options
    disk.keep(settlement, answer)
    watch.durable(settlement, answer)
  }
}
