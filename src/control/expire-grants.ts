import { smallestAmount } from '../ledger/grant.ts'
import type { ControlDeps, ControlStore } from './ports.ts'

/** What ending grants works with. */
export interface GrantKeeping {
  readonly store: Pick<ControlStore, 'dueGrants' | 'expireGrant'>
  readonly books?: Pick<NonNullable<ControlDeps['books']>, 'orgFunds' | 'credit'>
  readonly clock: ControlDeps['clock']
}

/**
 * Gives what is left of grants that are over back to the operator, of one org or of all (null), and answers how much that was,
 * nanodollars. Never more than is available: what running requests hold stays until they have settled, and the next call looks again.
 * The amount is taken from the books before it is written, so that no request can hold it meanwhile.
 */
export async function expireGrants({ store, books, clock }: GrantKeeping, orgId: string | null): Promise<bigint> {
  const nowMs = clock.nowMs()
  let sum = 0n
  for (const grant of await store.dueGrants(nowMs, orgId)) {
    const available = books?.orgFunds(grant.orgId).availableNanodollars ?? grant.remainingNanodollars
    const reserved = smallestAmount(grant.remainingNanodollars, available)
    if (reserved === 0n) continue
    books?.credit(grant.orgId, -reserved)
    let moved = 0n
    try {
      moved = await store.expireGrant(grant.id, reserved, nowMs)
    } finally {
      // Requests that settled meanwhile may have spent some of the grant, which is then theirs and not the operator's.
      books?.credit(grant.orgId, reserved - moved)
    }
    sum += moved
  }
  return sum
}
