import type { Protocol } from '../inference/request.ts'
import type { ServiceTier } from '../inference/service-tier.ts'
import type { CountSource } from '../inference/usage.ts'
import type { Admission, Ending, Settlement } from '../ledger/journal.ts'

/**
 * What a value of a row may be on its way to the worker. Money beyond 2^53 travels as decimal text, which JSON carries exactly and which
 * the INTEGER column turns into an integer, or refuses.
 */
export type Cell = string | number | null

/** The cells of one settlement, by name, in the order in which they travel. */
export const CELL = {
  requestId: 0,
  orgId: 1,
  keyId: 2,
  modelId: 3,
  upstreamId: 4,
  priceId: 5,
  endUserId: 6,
  facts: 7,
  input: 8,
  cached: 9,
  written: 10,
  output: 11,
  reasoning: 12,
  charge: 13,
  overrun: 14,
  held: 15,
  cost: 16,
  admittedMs: 17,
  settledMs: 18,
  ttftUs: 19,
  durationUs: 20,
  tokenId: 21,
} as const

/** Cells of one settlement. */
export const SETTLEMENT_CELLS = 22

/** Numbers are what the database holds: append only. */
const SOURCES: readonly CountSource[] = ['absent', 'reported', 'counted']
const PROTOCOLS: readonly Protocol[] = [
  'openai-chat',
  'openai-completions',
  'openai-responses',
  'openai-embeddings',
  'anthropic-messages',
  'deepinfra-inference',
  'rerank',
]
const ENDINGS: readonly Ending[] = ['completed', 'cancelled', 'timed_out', 'aborted', 'failed', 'exhausted', 'empty']
const TIERS: readonly ServiceTier[] = ['standard', 'priority', 'flex', 'batch']

const ATTEMPTS_MAX = 255
const SEARCH_UNITS_MAX = 2 ** 22 - 1

/** What is small about a settlement, in one integer: where its bits begin and how many there are. Numbers are what the database holds. */
const FACTS = {
  inputSource: [0, 2],
  cachedSource: [2, 2],
  writtenSource: [4, 2],
  outputSource: [6, 2],
  reasoningSource: [8, 2],
  stream: [10, 1],
  protocol: [11, 4],
  ending: [15, 4],
  tier: [19, 3],
  attempts: [22, 8],
  searchUnits: [30, 22],
} as const satisfies Record<string, readonly [shift: number, bits: number]>

/** Appends a settlement's cells to a batch. */
export function packSettlement(cells: Cell[], settlement: Settlement): void {
  const { usage } = settlement
  cells.push(
    settlement.requestId,
    settlement.orgId,
    settlement.keyId,
    settlement.modelId,
    settlement.upstreamId,
    settlement.priceId,
    settlement.endUserId,
    packFacts(settlement),
    usage.inputTokens,
    usage.cachedInputTokens,
    usage.cacheWriteTokens,
    usage.outputTokens,
    usage.reasoningTokens,
    moneyCell(settlement.chargeNanodollars),
    moneyCell(settlement.overrunNanodollars),
    moneyCell(settlement.heldNanodollars),
    settlement.costNanodollars === null ? null : moneyCell(settlement.costNanodollars),
    Math.round(settlement.admittedMs),
    Math.round(settlement.settledMs),
    settlement.ttftMs === null ? null : Math.round(settlement.ttftMs * 1000),
    Math.round(settlement.durationMs * 1000),
    settlement.tokenId ?? null,
  )
}

/** How a settlement ended, as the words in which the hourly sums keep it. */
export function endingOf(facts: number): Ending {
  return ENDINGS[(facts >> FACTS.ending[0]) & 15] as Ending
}

/** SQL columns that take `facts` apart, under the names that the numbers in it have. */
export const FACTS_COLUMNS: string = [
  ...(['inputSource', 'cachedSource', 'writtenSource', 'outputSource', 'reasoningSource'] as const).map(
    name => `${bitsOf(name)} AS ${name.replace('Source', '_source')}`,
  ),
  `${bitsOf('stream')} AS stream`,
  `${bitsOf('protocol')} AS protocol`,
  `CASE ${bitsOf('ending')} ${ENDINGS.map((ending, i) => `WHEN ${i} THEN '${ending}'`).join(' ')} END AS ending`,
  `${bitsOf('tier')} AS tier`,
  `${bitsOf('attempts')} AS attempts`,
  `${bitsOf('searchUnits')} AS search_units`,
].join(', ')

function bitsOf(name: keyof typeof FACTS): string {
  const [shift, bits] = FACTS[name]
  return `((facts >> ${shift}) & ${2 ** bits - 1})`
}

/** The tier of a number of the database. */
export function tierOf(number: number): ServiceTier {
  return TIERS[number] as ServiceTier
}

/** The integer of what is small about a settlement. */
export function packFacts({
  usage,
  stream,
  protocol,
  ending,
  serviceTier,
  attempts,
}: Pick<Settlement, 'usage' | 'stream' | 'protocol' | 'ending' | 'serviceTier' | 'attempts'>): number {
  const low =
    (SOURCES.indexOf(usage.inputSource) << FACTS.inputSource[0]) |
    (SOURCES.indexOf(usage.cachedInputSource) << FACTS.cachedSource[0]) |
    (SOURCES.indexOf(usage.cacheWriteSource) << FACTS.writtenSource[0]) |
    (SOURCES.indexOf(usage.outputSource) << FACTS.outputSource[0]) |
    (SOURCES.indexOf(usage.reasoningSource) << FACTS.reasoningSource[0]) |
    ((stream ? 1 : 0) << FACTS.stream[0]) |
    (PROTOCOLS.indexOf(protocol) << FACTS.protocol[0]) |
    (ENDINGS.indexOf(ending) << FACTS.ending[0]) |
    (TIERS.indexOf(serviceTier) << FACTS.tier[0]) |
    (Math.min(attempts, ATTEMPTS_MAX) << FACTS.attempts[0])
  // JavaScript shifts 32 bits; all 52 are exact in a double.
  return low + Math.min(usage.searchUnits ?? 0, SEARCH_UNITS_MAX) * 2 ** FACTS.searchUnits[0]
}

/** Money that a double holds exactly goes as a number, which is half as dear as text. */
function moneyCell(nanodollars: bigint): Cell {
  const number = Number(nanodollars)
  return Number.isSafeInteger(number) ? number : String(nanodollars)
}

/** Cells of one admission in `packAdmission`'s order. */
export const ADMISSION_CELLS = 6

/** Appends an admission's cells to a batch. */
export function packAdmission(cells: Cell[], admission: Admission): void {
  const { requestId, orgId, keyId, modelId, heldNanodollars, admittedMs } = admission
  cells.push(requestId, orgId, keyId, modelId, String(heldNanodollars), Math.round(admittedMs))
}

/** A row of the view `usage`, joined with its names and read with bigints, as a settlement. */
export function settlementOf(row: Record<string, unknown>): Settlement {
  const source = (name: string) => SOURCES[Number(row[name])] as CountSource
  return {
    requestId: String(row.request_id),
    orgId: String(row.org),
    keyId: String(row.key),
    ...(row.token !== null && { tokenId: String(row.token) }),
    modelId: String(row.model),
    protocol: PROTOCOLS[Number(row.protocol)] as Protocol,
    stream: Number(row.stream) === 1,
    upstreamId: String(row.upstream),
    attempts: Number(row.attempts),
    ending: row.ending as Ending,
    serviceTier: tierOf(Number(row.tier)),
    endUserId: row.end_user === null ? null : String(row.end_user),
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
      ...(Number(row.search_units) > 0 && { searchUnits: Number(row.search_units) }),
    },
    priceId: String(row.price),
    chargeNanodollars: BigInt(row.charge as bigint),
    overrunNanodollars: BigInt(row.overrun as bigint),
    heldNanodollars: BigInt(row.held as bigint),
    costNanodollars: row.cost === null ? null : BigInt(row.cost as bigint),
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
