import type { Protocol } from '../inference/request.ts'
import type { CountSource } from '../inference/usage.ts'
import type { Admission, Ending, Settlement } from '../ledger/journal.ts'

/**
 * What a value of a row may be on its way to the worker. Money travels as decimal text, which JSON carries exactly and which the
 * INTEGER column turns into an integer, or refuses.
 */
export type Cell = string | number | null

/** Cells of one settlement in `packSettlement`'s order. */
export const SETTLEMENT_CELLS = 27

const SOURCES: readonly CountSource[] = ['absent', 'reported', 'counted']
/** Numbers are what the database holds: append only. */
const PROTOCOLS: readonly Protocol[] = ['openai-chat', 'openai-completions']

/** Appends a settlement's cells to a batch. */
export function packSettlement(cells: Cell[], settlement: Settlement): void {
  const { usage } = settlement
  cells.push(
    settlement.requestId,
    settlement.orgId,
    settlement.keyId,
    settlement.modelId,
    PROTOCOLS.indexOf(settlement.protocol),
    settlement.stream ? 1 : 0,
    settlement.upstreamId,
    settlement.attempts,
    settlement.ending,
    usage.inputTokens,
    SOURCES.indexOf(usage.inputSource),
    usage.cachedInputTokens,
    SOURCES.indexOf(usage.cachedInputSource),
    usage.cacheWriteTokens,
    SOURCES.indexOf(usage.cacheWriteSource),
    usage.outputTokens,
    SOURCES.indexOf(usage.outputSource),
    usage.reasoningTokens,
    SOURCES.indexOf(usage.reasoningSource),
    settlement.priceId,
    String(settlement.chargeNanodollars),
    String(settlement.overrunNanodollars),
    String(settlement.heldNanodollars),
    Math.round(settlement.admittedMs),
    Math.round(settlement.settledMs),
    settlement.ttftMs === null ? null : Math.round(settlement.ttftMs * 1000),
    Math.round(settlement.durationMs * 1000),
  )
}

/** Cells of one admission in `packAdmission`'s order. */
export const ADMISSION_CELLS = 6

/** Appends an admission's cells to a batch. */
export function packAdmission(cells: Cell[], admission: Admission): void {
  const { requestId, orgId, keyId, modelId, heldNanodollars, admittedMs } = admission
  cells.push(requestId, orgId, keyId, modelId, String(heldNanodollars), Math.round(admittedMs))
}

/** A row of `usage`, joined with its names and read with bigints, as a settlement. */
export function settlementOf(row: Record<string, unknown>): Settlement {
  const source = (name: string) => SOURCES[Number(row[name])] as CountSource
  return {
    requestId: String(row.request_id),
    orgId: String(row.org),
    keyId: String(row.key),
    modelId: String(row.model),
    protocol: PROTOCOLS[Number(row.protocol)] as Protocol,
    stream: Number(row.stream) === 1,
    upstreamId: String(row.upstream),
    attempts: Number(row.attempts),
    ending: row.ending as Ending,
    usage: {
      inputTokens: Number(row.input),
      inputSource: source('input_source'),
      cachedInputTokens: Number(row.cached),
      cachedInputSource: source('cached_source'),
      cacheWriteTokens: Number(row.written),
      cacheWriteSource: source('written_source'),
      outputTokens: Number(row.output),
      outputSource: source('output_source'),
      reasoningTokens: Number(row.reasoning),
      reasoningSource: source('reasoning_source'),
    },
    priceId: String(row.price),
    chargeNanodollars: BigInt(row.charge as bigint),
    overrunNanodollars: BigInt(row.overrun as bigint),
    serviceTier: 'standard',
    costNanodollars: null,
    heldNanodollars: BigInt(row.held as bigint),
    admittedMs: Number(row.admitted_ms),
    settledMs: Number(row.settled_ms),
    ttftMs: row.ttft_us === null ? null : Number(row.ttft_us) / 1000,
    durationMs: Number(row.duration_us) / 1000,
  }
}

/** A row of `admissions` or `interrupted`, read with bigints. */
export function admissionOf(row: Record<string, unknown>): Admission {
  return {
    requestId: String(row.request_id),
    orgId: String(row.org),
    keyId: String(row.key),
    modelId: String(row.model),
    heldNanodollars: BigInt(row.held as bigint),
    admittedMs: Number(row.admitted_ms),
  }
}
