import type { Ending } from '../ledger/journal.ts'

/** One settled request, as the control plane tells it. Money in nanodollars. */
export interface SettledRequest {
  readonly requestId: string
  readonly ending: Ending
  readonly stream: boolean
  readonly input: number
  readonly cached: number
  readonly output: number
  /** The upstream reported the output itself; else it was counted on its way. */
  readonly isOutputReported: boolean
  readonly chargeNanodollars: bigint
  readonly overrunNanodollars: bigint
  /** The hold at its peak. */
  readonly heldNanodollars: bigint
}

/** One movement of a request's money. */
export interface RequestTransfer {
  readonly kind: string
  readonly debit: string
  readonly credit: string
  readonly amountNanodollars: bigint
}

/** The books of the server under proof, as seen from outside it: nothing of its code or its disk is read but through this. */
export interface BooksPort {
  /** Creates a key with a cap in the home's org. */
  createKey(capNanodollars: bigint): Promise<{ readonly id: string; readonly secret: string }>
  /** What is settled and what is held under the key's cap, at one instant. */
  keyMoney(keyId: string): Promise<{ readonly spentNanodollars: bigint; readonly heldNanodollars: bigint }>
  /** What was ever charged to the home's org. */
  orgCharged(): Promise<bigint>
  openHolds(): Promise<number>
  /** Every settled request of the key. */
  settled(keyId: string): AsyncIterable<SettledRequest>
  transfers(requestId: string): Promise<readonly RequestTransfer[]>
  /** The ledger's check of itself; a sentence for each discrepancy. */
  verify(): Promise<{ readonly transfers: number; readonly settlements: number; readonly problems: readonly string[] }>
  /** Requests that a crash interrupted. */
  interrupted(): AsyncIterable<string>
  close(): Promise<void>
}
