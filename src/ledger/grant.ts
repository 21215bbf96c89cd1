/** A grant of which something is left. */
export interface OpenGrant {
  /** Id of the transfer that gave it. */
  readonly id: string
  readonly orgId: string
  readonly amountNanodollars: bigint
  /** Neither spent nor ended, nanodollars, above 0. */
  readonly remainingNanodollars: bigint
  /** When what is left goes back, milliseconds since 1970; null: never. */
  readonly expiresMs: number | null
}

/** All that ever changed an org's credit, charges aside, in nanodollars, and what is left of grants. */
export interface CreditTotals {
  readonly creditedNanodollars: bigint
  readonly grantedNanodollars: bigint
  readonly refundedNanodollars: bigint
  readonly chargedBackNanodollars: bigint
  /** Corrections in the org's favour minus those against it. */
  readonly correctedNanodollars: bigint
  /** What was left of grants when they ended. */
  readonly expiredNanodollars: bigint
  /** In the order in which they are spent. */
  readonly grants: readonly OpenGrant[]
}

/** What an org was given in all, less what was taken back: its balance and everything that it was charged. */
export function netCredit(totals: CreditTotals): bigint {
  return (
    totals.creditedNanodollars +
    totals.grantedNanodollars -
    totals.refundedNanodollars -
    totals.chargedBackNanodollars +
    totals.correctedNanodollars -
    totals.expiredNanodollars
  )
}

/** Something that happened to the grants of one org, at the point where it had been charged `chargedNanodollars` in all. */
export type GrantEvent =
  | {
      readonly type: 'given'
      readonly id: string
      readonly amountNanodollars: bigint
      readonly expiresMs: number | null
      readonly chargedNanodollars: bigint
    }
  | {
      readonly type: 'ended'
      readonly id: string
      readonly amountNanodollars: bigint
      readonly chargedNanodollars: bigint
    }

interface Left {
  readonly id: string
  readonly expiresMs: number | null
  remaining: bigint
}

/**
 * What is left of each grant of one org: charges take from the grant that ends first, and of those that end together from the one given
 * first. Between two events only the sum of the charges matters, and each event says where in that sum it stood; so the order of single
 * charges need not be known, and the result is exact.
 *
 * @param events in the order in which they were written.
 * @param chargedNanodollars all charges of the org.
 * @returns by id of the grant; negative where more ended than was left.
 */
export function remainingOfGrants(
  events: readonly GrantEvent[],
  chargedNanodollars: bigint,
): ReadonlyMap<string, bigint> {
  const grants: Left[] = []
  let charged = 0n
  const spendTo = (sum: bigint) => {
    let rest = sum - charged
    charged = sum
    for (const grant of grants) {
      if (rest <= 0n) return
      if (grant.remaining <= 0n) continue
      const taken = rest < grant.remaining ? rest : grant.remaining
      grant.remaining -= taken
      rest -= taken
    }
  }
  for (const event of events) {
    spendTo(event.chargedNanodollars)
    if (event.type === 'given') {
      const place = grants.findIndex(grant => endsBefore(event.expiresMs, grant.expiresMs))
      const left = { id: event.id, expiresMs: event.expiresMs, remaining: event.amountNanodollars }
      grants.splice(place === -1 ? grants.length : place, 0, left)
    } else {
      const grant = grants.find(({ id }) => id === event.id)
      if (grant !== undefined) grant.remaining -= event.amountNanodollars
    }
  }
  spendTo(chargedNanodollars)
  return new Map(grants.map(({ id, remaining }) => [id, remaining]))
}

function endsBefore(expiresMs: number | null, otherMs: number | null): boolean {
  return (expiresMs ?? Number.POSITIVE_INFINITY) < (otherMs ?? Number.POSITIVE_INFINITY)
}

/** The smallest of some amounts, at least 0: what can be taken where each of them is a bound. */
export function smallestAmount(...amounts: readonly bigint[]): bigint {
  const smallest = amounts.reduce((least, amount) => (amount < least ? amount : least))
  return smallest > 0n ? smallest : 0n
}
