import type { Cell } from './settlement-row.ts'

/** What the worker opens. */
export interface WorkerSettings {
  readonly path: string
  /** `write`: the one connection that writes; `read`: a second one for long queries, so that they never hold settlements up. */
  readonly mode: 'write' | 'read'
  /** Bounds the database's pages, to stand in for a full disk. */
  readonly pagesMax?: number
}

/** Everything that goes into one database transaction. */
export interface Batch {
  /** Settlements, `SETTLEMENT_CELLS` cells each. */
  readonly settlements: readonly Cell[]
  /** Admissions: request, org, key, model, held, admitted time. */
  readonly admissions: readonly Cell[]
  /** Requests whose admission is over without a settlement. */
  readonly voided: readonly string[]
}

export type ToWorker =
  | { readonly type: 'batch'; readonly id: number; readonly batch: Batch }
  | { readonly type: 'call'; readonly id: number; readonly method: string; readonly args: readonly unknown[] }
  | { readonly type: 'close' }

/** A failure as it travels: errors lose their class on the way. */
export interface WorkerFailure {
  readonly message: string
  /** `full`: no space, may pass; `io`: the disk failed, what is on it is uncertain; `refused`: a rule of ours or of the schema. */
  readonly kind: 'full' | 'io' | 'refused'
  readonly code?: string
}

export type FromWorker =
  | { readonly type: 'ready' }
  | { readonly type: 'failed-to-open'; readonly name: string; readonly message: string }
  | { readonly type: 'done'; readonly id: number; readonly result?: unknown }
  | { readonly type: 'failed'; readonly id: number; readonly failure: WorkerFailure }
