import type { ApiError } from '../errors.ts'
import type { Files } from '../files/files.ts'
import type { KeptDocument, KeptDocuments } from '../ledger/kept-document.ts'
import type { Clock } from '../std/clock.ts'
import type { LineAnswer } from './line-verdict.ts'

/** A line as it is handed to whoever answers requests. */
export interface LineRequest {
  readonly orgId: string
  /** Pays for it. */
  readonly keyId: string
  readonly requestId: string
  /** One of the paths of `BATCH_PATHS`. */
  readonly path: string
  /** JSON. */
  readonly body: Uint8Array
  /** What becomes durable together with the charge for an answer, or not at all. Asked once, for an answer that is whole. */
  readonly keep: (answer: Uint8Array, nowMs: number) => readonly KeptDocument[]
}

/** What batches stand on. */
export interface BatchParts {
  readonly kept: KeptDocuments
  readonly files: Pick<Files, 'find' | 'hold' | 'readHeld' | 'release' | 'beginOutput' | 'place' | 'removeBytes'>
  readonly clock: Clock
  readonly newId: (prefix: string) => string
  /** Runs one request to its end. An answer of 200 is charged and kept when this resolves; any other is neither. */
  readonly run: (line: LineRequest) => Promise<LineAnswer>
  /** Why a key may make no requests now; null: it may. */
  readonly refusalOf: (orgId: string, keyId: string) => ApiError | null
  /** Whether others wait already for every place that runs the model. */
  readonly crowded: (model: string) => boolean
  readonly settings: BatchSettings
  /** Told of what went wrong and will be tried again. */
  readonly onError: (error: unknown, batchId: string) => void
}

/** The part of the configuration that batches need. */
export interface BatchSettings {
  /** Lines that run at a time, of all batches. */
  readonly concurrency: number
  /** Unfinished batches that one org may have. */
  readonly openMaxPerOrg: number
  /** Longest body of a request, and so of a line. */
  readonly lineBytesMax: number
  /** What of `BATCH_PATHS` this server answers. */
  readonly paths: readonly string[]
}
