import type { Funds } from '../ledger/books.ts'
import { keyBudget } from '../ledger/budget-id.ts'
import type { Control } from './control-context.ts'

/** Spent and held through one key, nanodollars. */
export interface KeySpending {
  readonly settledNanodollars: bigint
  readonly heldNanodollars: bigint
}

/** An org's money: from the books of the server that runs, else from the store, where nothing can be held. */
export async function orgFunds(control: Control, orgId: string): Promise<Funds> {
  if (control.books !== undefined) return control.books.orgFunds(orgId)
  const balance = (await control.store.loadState()).balances.get(orgId) ?? 0n
  return { balanceNanodollars: balance, heldNanodollars: 0n, availableNanodollars: balance }
}

/** Looks up what keys have spent, from the same source as `orgFunds`. */
export async function keySpending(control: Control): Promise<(keyId: string) => KeySpending> {
  const { books } = control
  if (books !== undefined) return keyId => books.budgetSpent(keyBudget(keyId))
  const { spent } = await control.store.loadState()
  return keyId => ({ settledNanodollars: spent.get(keyId) ?? 0n, heldNanodollars: 0n })
}
