import { ApiError } from '../errors.ts'
import type { KeptDocument } from '../ledger/kept-document.ts'
import { assert } from '../std/assert.ts'

/** As OpenAI's wire names them; the last four are ends. */
export type BatchStatus =
  | 'validating'
  | 'in_progress'
  | 'finalizing'
  | 'cancelling'
  | 'failed'
  | 'completed'
  | 'expired'
  | 'cancelled'

/** In these there is still something to do. */
export const UNFINISHED: readonly BatchStatus[] = ['validating', 'in_progress', 'finalizing', 'cancelling']

/** A batch has so long from when it was handed in. */
export const WINDOW_MS = 24 * 3_600_000
/** A batch that has ended stays in lists for so long. */
const KEPT_AFTER_END_MS = 365 * 24 * 3_600_000

/** What is wrong with an input file, or why lines have no result. */
export interface BatchError {
  readonly code: string
  readonly message: string
  /** Of the file, from 1; null: the file as a whole. */
  readonly line: number | null
  readonly param: string | null
}

/** Tokens of all completed lines. */
export interface BatchUsage {
  readonly inputTokens: number
  readonly cachedInputTokens: number
  readonly outputTokens: number
  readonly reasoningTokens: number
}

/** What a batch produced. */
export interface BatchResult {
  /** Null: no line was completed, or none was not. */
  readonly outputFileId: string | null
  readonly errorFileId: string | null
  readonly completed: number
  readonly failed: number
  readonly usage: BatchUsage
}

/** What a client asked for. */
export interface BatchOrder {
  /** As the client wrote it. */
  readonly endpoint: string
  readonly inputFileId: string
  readonly metadata: Readonly<Record<string, string>> | null
  /** How long the files that it makes are kept; null: as long as the operator keeps files. */
  readonly outputExpiresAfterS: number | null
}

/** When a batch came into a status, wall clock. */
export type BatchTimes = { readonly [Status in Exclude<BatchStatus, 'validating'>]?: number }

/** A batch as it is kept, whole. Values; whatever changes it makes a new one. */
export interface Batch extends BatchOrder {
  /** `batch_` and 26 characters. */
  readonly id: string
  readonly orgId: string
  /** The API key that it was handed in with, and that pays for it. */
  readonly keyId: string
  readonly status: BatchStatus
  readonly createdMs: number
  /** No line begins after this. */
  readonly expiresMs: number
  readonly times: BatchTimes
  /** Lines of the input; null until it was checked. */
  readonly lines: number | null
  /** The model of all lines; null when they name several, or until they were checked. */
  readonly model: string | null
  /** Why the input was refused. */
  readonly errors: readonly BatchError[] | null
  /** How it will end once its files are made. */
  readonly outcome: 'completed' | 'expired' | 'cancelled' | null
  /** What lines without a result are told, at the end. */
  readonly rest: { readonly code: string; readonly message: string } | null
  /** Null until its files are made. */
  readonly result: BatchResult | null
}

/** A batch as it is handed in. */
export function newBatch(id: string, owner: Pick<Batch, 'orgId' | 'keyId'>, order: BatchOrder, nowMs: number): Batch {
  const { orgId, keyId } = owner
  const { endpoint, inputFileId, metadata, outputExpiresAfterS } = order
  return {
    ...{ id, orgId, keyId, status: 'validating', createdMs: nowMs, expiresMs: nowMs + WINDOW_MS, times: {} },
    ...{ endpoint, inputFileId, metadata, outputExpiresAfterS },
    ...{ lines: null, model: null, errors: null, outcome: null, rest: null, result: null },
  }
}

/** validating → in_progress. */
export function accepted(batch: Batch, input: Pick<Batch, 'lines' | 'model'>, nowMs: number): Batch {
  return moved(batch, ['validating'], 'in_progress', nowMs, { lines: input.lines, model: input.model })
}

/** validating → failed. */
export function refused(batch: Batch, errors: readonly BatchError[], nowMs: number): Batch {
  return moved(batch, ['validating'], 'failed', nowMs, { errors })
}

/** in_progress → finalizing: no line begins any more. */
export function closing(batch: Batch, outcome: 'completed' | 'expired', rest: Batch['rest'], nowMs: number): Batch {
  return moved(batch, ['in_progress'], 'finalizing', nowMs, { outcome, rest })
}

/**
 * A client cancels: validating or in_progress → cancelling. What is cancelled stays so.
 *
 * @throws ApiError 409 when it is too late.
 */
export function cancelled(batch: Batch, nowMs: number): Batch {
  if (batch.status === 'cancelling' || batch.status === 'cancelled') return batch
  if (batch.status !== 'validating' && batch.status !== 'in_progress')
    throw new ApiError('conflict', `${batch.id} cannot be cancelled any more: it is ${batch.status}.`)
  const rest = { code: 'batch_cancelled', message: 'The batch was cancelled before this request was run.' }
  return moved(batch, ['validating', 'in_progress'], 'cancelling', nowMs, { outcome: 'cancelled', rest })
}

/** Its files are made; the results of single lines are needed no more. */
export function built(batch: Batch, result: BatchResult): Batch {
  assert(batch.status === 'finalizing' || batch.status === 'cancelling', `${batch.id} is ${batch.status}`)
  return { ...batch, result }
}

/** finalizing → completed or expired; cancelling → cancelled. */
export function ended(batch: Batch, nowMs: number): Batch {
  assert(batch.outcome !== null, `${batch.id} ends without an outcome`)
  return moved(batch, ['finalizing', 'cancelling'], batch.outcome, nowMs, {})
}

function moved(
  batch: Batch,
  from: readonly BatchStatus[],
  status: Exclude<BatchStatus, 'validating'>,
  nowMs: number,
  changes: Partial<Batch>,
): Batch {
  assert(from.includes(batch.status), `${batch.id} goes from ${batch.status} to ${status}`)
  return { ...batch, ...changes, status, times: { ...batch.times, [status]: nowMs } }
}

/** Whether there is still something to do. */
export function isUnfinished({ status }: Pick<Batch, 'status'>): boolean {
  return UNFINISHED.includes(status)
}

/** The batch as it is kept. Its state is the status, so that what is unfinished can be found. */
export function documentOfBatch(batch: Batch): KeptDocument {
  const { id, orgId, keyId, status, createdMs, ...rest } = batch
  const endedMs = isUnfinished(batch) ? undefined : batch.times[status as keyof BatchTimes]
  return {
    ...{ kind: 'batch', id, orgId, keyId, parentId: null, state: status, createdMs, json: JSON.stringify(rest) },
    expiresMs: endedMs === undefined ? null : endedMs + KEPT_AFTER_END_MS,
  }
}

/** The batch that `documentOfBatch` made a document of. */
export function batchOfDocument({ id, orgId, keyId, state, createdMs, json }: KeptDocument): Batch {
  return { ...(JSON.parse(json) as Batch), id, orgId, keyId, status: state as BatchStatus, createdMs }
}
