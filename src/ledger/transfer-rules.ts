import { FUNDING, GRANTS } from './account.ts'
import type { Transfer } from './journal.ts'

/** Kinds of transfers that an operator makes by hand or a payment provider causes. */
export const CREDIT_KINDS = ['credit', 'grant', 'refund', 'chargeback', 'correction'] as const

/** One of them. */
export type CreditKind = (typeof CREDIT_KINDS)[number]

/** Whether a kind moves money to the org (`in`), from it (`out`), or either way. */
const DIRECTIONS: Readonly<Record<CreditKind, 'in' | 'out' | 'either'>> = {
  credit: 'in',
  grant: 'in',
  refund: 'out',
  chargeback: 'out',
  correction: 'either',
}

/** The store's integers are signed 64 bits. */
const INTEGER_MAX = 2n ** 63n - 1n

/** Why a transfer cannot be posted, as a sentence for people; null when it can. Balances are not looked at. */
export function transferProblem(transfer: Transfer): string | null {
  const { id, kind, amountNanodollars, debit, credit } = transfer
  const direction = DIRECTIONS[kind as CreditKind]
  if (direction === undefined || !accountsFit(transfer, direction))
    return `${id} is no ${direction === undefined ? 'credit' : kind}: it moves from ${debit} to ${credit} as ${kind}.`
  // The ids of charges are made of request ids, which no other transfer may take beforehand.
  if (/:(charge|overrun)$/.test(id)) return `A ${kind} cannot have the id of a charge: ${id}.`
  if (amountNanodollars <= 0n || amountNanodollars > INTEGER_MAX)
    return `A ${kind} of ${amountNanodollars} n$ is not above zero, or beyond what the books hold.`
  if (kind === 'correction' && (transfer.memo ?? '').trim() === '')
    return `A correction says in its memo what it corrects, and ${id} has none.`
  if (kind !== 'grant' && (transfer.expiresMs ?? null) !== null)
    return `Only a grant ends at a time, and ${id} is none.`
  return null
}

function accountsFit({ kind, debit, credit }: Transfer, direction: 'in' | 'out' | 'either'): boolean {
  const operator = kind === 'grant' ? GRANTS : FUNDING
  const goesIn = debit === operator && credit.startsWith('org:')
  const goesOut = debit.startsWith('org:') && credit === operator
  return (goesIn && direction !== 'out') || (goesOut && direction !== 'in')
}
