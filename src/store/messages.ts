import type { KeptDocument } from '../ledger/kept-document.ts'
import type { Cell } from './settlement-row.ts'

/** What the worker opens. */
export interface WorkerSettings {
  readonly path: string
  /** `write`: the one connection that writes; `read`: a second one for long queries, so that they never hold settlements up. */
  readonly mode: 'write' | 'read'
  /** Bounds the database's pages, to stand in for a full disk. */
  readonly pagesMax?: number
  /** Added to each commit, to stand in for a slow disk. */
  readonly commitDelayMs?: number
  /** Most bytes that the bodies of stored answers may take; the oldest go first. */
  readonly answersBytesMax?: number
  /** Most bytes that the kept responses and chat completions of one org may take; the oldest go first. */
  readonly keptBytesMaxPerOrg?: number
}

/** Everything that goes into one database transaction. */
export interface Batch {
  /** Settlements, `SETTLEMENT_CELLS` cells each. */
  readonly settlements: readonly Cell[]
  /** Admissions: request, org, key, model, held, admitted time. */
  readonly admissions: readonly Cell[]
  /** Requests whose written admission is over. */
  readonly ended: readonly string[]
}

/** An answer on its way to the disk, beside the settlement that it belongs to. */
export interface PackedAnswer {
  /** The place of its settlement in the batch, from 0. */
  readonly at: number
  readonly keyHash: string
  readonly fingerprint: string
  readonly status: number
  /** JSON. */
  readonly headers: string
  /** Whether the body is compressed (zlib). */
  readonly deflated: boolean
  readonly body: Uint8Array
  readonly expiresMs: number
}

/** A document on its way to the disk, beside the settlement that it belongs to. */
export interface PlacedDocument {
  /** The place of its settlement in the batch, from 0. */
  readonly at: number
  readonly document: KeptDocument
}

/** What few settlements bring with them. */
export interface BatchExtras {
  readonly answers: readonly PackedAnswer[]
  readonly documents: readonly PlacedDocument[]
}

/** A settlement of a batch that broke a rule of the schema and was left out of it. */
export interface RefusedSettlement {
  /** Its place in the batch, from 0. */
  readonly at: number
  readonly reason: string
}

/**
 * What the worker is asked. A batch travels as JSON text: measured for 64 settlements, 0.7 µs each to write and parse, where
 * structured cloning of the same cells takes 2.1 µs. Answers and documents to be stored, which few requests want, are cloned.
 */
export type ToWorker =
  | { readonly type: 'batch'; readonly id: number; readonly json: string; readonly extras?: BatchExtras }
  | { readonly type: 'call'; readonly id: number; readonly method: string; readonly args: readonly unknown[] }
  | { readonly type: 'close' }

/** A failure as it travels: errors lose their class on the way. */
export interface WorkerFailure {
  readonly message: string
  /**
   * `full`: no space, may pass; `busy`: another program has locked the database, may pass; `io`: the disk failed, what is on it is
   * uncertain; `refused`: a rule of the schema; `other`: a mistake of ours.
   */
  readonly kind: 'full' | 'busy' | 'io' | 'refused' | 'other'
}

export type FromWorker =
  | { readonly type: 'ready' }
  | { readonly type: 'failed-to-open'; readonly message: string }
  | { readonly type: 'done'; readonly id: number; readonly result?: unknown }
  | { readonly type: 'failed'; readonly id: number; readonly failure: WorkerFailure }
