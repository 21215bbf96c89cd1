import type { expireGrants } from '../../src/control/expire-grants.ts'
import type { Books } from '../../src/ledger/books.ts'
import { smallestAmount } from '../../src/ledger/grant.ts'
import type { Auditor } from '../../src/simulation/auditor.ts'
import { Rng } from '../../src/simulation/rng.ts'
import type { SimulatedDisk } from '../../src/simulation/simulated-journal.ts'
import type { Clock } from '../../src/std/clock.ts'

/** How often the server looks for grants that are over. */
const LOOK_EVERY_MS = 700

/** What can happen to credit while requests run. */
export const CREDIT_FAULTS = ['chargeback', 'grant_ends'] as const

/** What a test may put in the place of the production code, to see that the auditor finds it. */
export type EndGrants = typeof expireGrants

/** The parts of the world that changes of credit touch. */
export interface CreditWorld {
  readonly disk: SimulatedDisk
  readonly auditor: Auditor
  readonly count: (fault: string) => void
  readonly endGrants: EndGrants
}

/** Grants that end and chargebacks, in the middle of everything. Its chance is its own, so that it changes nothing else of a seed. */
export class CreditChanges {
  readonly #world: CreditWorld
  readonly #rng: Rng

  constructor(seed: number, world: CreditWorld) {
    this.#world = world
    this.#rng = new Rng(seed).split('credit changes')
  }

  /** Gives some orgs grants, before anything runs. */
  give(credits: ReadonlyMap<string, bigint>, clock: Clock, withinMs: number): void {
    const { disk, auditor } = this.#world
    for (const [orgId, credit] of credits) {
      for (let i = 0; this.#rng.chance(0.4) && i < 3; i++) {
        const amount = credit / BigInt(this.#rng.int(1, 6)) + BigInt(this.#rng.int(1, 1000))
        const expiresMs = clock.nowMs() + this.#rng.int(1, withinMs)
        disk.give({ id: `${orgId}-grant${i}`, orgId, amount, remaining: amount, expired: 0n, expiresMs })
        auditor.moved(orgId, amount)
      }
    }
  }

  /** What a process does as long as it lives: look for grants that are over. The clock is that of the process. */
  run(books: Books, clock: Clock): void {
    const store = this.#store(clock)
    const look = () => {
      void this.#world.endGrants({ store, books, clock }, null).then(() => clock.after(LOOK_EVERY_MS, look))
    }
    look()
  }

  /** A customer's bank takes money back: some of what is there, or more. */
  chargeBack(books: Books): void {
    const { disk, auditor, count } = this.#world
    const orgId = this.#rng.pick([...disk.credits.keys()])
    const { balanceNanodollars } = books.orgFunds(orgId)
    const share = BigInt(this.#rng.int(1, 150))
    const amount = (balanceNanodollars * share) / 100n + BigInt(this.#rng.int(1, 1000))
    if (amount <= 0n) return
    count('chargeback')
    disk.move(orgId, -amount)
    auditor.takenBack(orgId, amount)
    books.credit(orgId, -amount)
  }

  // The rules of the store on the simulated disk. The answer may come later than the write, and a crash between the two.
  #store(clock: Clock): Parameters<EndGrants>[0]['store'] {
    const { disk, auditor, count } = this.#world
    const later = () => new Promise<void>(resolve => clock.after(this.#rng.int(0, 40), resolve))
    return {
      async dueGrants(nowMs) {
        return disk.grants
          .filter(({ expiresMs, remaining }) => expiresMs <= nowMs && remaining > 0n)
          .map(({ id, orgId, amount, remaining, expiresMs }) => ({
            id,
            orgId,
            amountNanodollars: amount,
            remainingNanodollars: remaining,
            expiresMs,
          }))
      },
      async expireGrant(grantId, most) {
        const grant = disk.grants.find(({ id }) => id === grantId)
        if (grant === undefined) return 0n
        auditor.reserved(grant.orgId, most)
        await later()
        const moved = smallestAmount(most, grant.remaining, disk.state().balances.get(grant.orgId) ?? 0n)
        grant.remaining -= moved
        grant.expired += moved
        disk.move(grant.orgId, -moved)
        auditor.moved(grant.orgId, -moved)
        auditor.reserved(grant.orgId, -moved)
        if (moved > 0n) count('grant_ends')
        await later()
        auditor.reserved(grant.orgId, moved - most)
        return moved
      },
    }
  }
}
