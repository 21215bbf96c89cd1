import { type CsvValue, csvRow, exact } from './csv.ts'

/** A usage row as the control plane answers it. */
export interface UsageRow {
  readonly request: string
  readonly org: string
  readonly key: string
  readonly model: string
  readonly protocol: string
  readonly stream: boolean
  readonly upstream: string
  readonly attempts: number
  readonly ending: string
  readonly usage: {
    readonly input_tokens: number
    readonly input_source: string
    readonly cached_input_tokens: number
    readonly cached_input_source: string
    readonly cache_write_tokens: number
    readonly cache_write_source: string
    readonly output_tokens: number
    readonly output_source: string
    readonly reasoning_tokens: number
    readonly reasoning_source: string
  }
  readonly price: string
  readonly charge: string
  readonly overrun: string
  readonly held: string
  /** What the upstream takes from the operator; absent or null while it is not known. */
  readonly cost?: string | null
  /** The tier that served it; absent or null while it is not known. */
  readonly service_tier?: string | null
  readonly admitted_at: string
  readonly settled_at: string
  readonly ttft_ms: number | null
  readonly duration_ms: number
}

const COLUMNS: readonly (readonly [name: string, value: (row: UsageRow) => CsvValue])[] = [
  ['request', row => row.request],
  ['settled_at', row => exact(row.settled_at)],
  ['org', row => row.org],
  ['key', row => row.key],
  ['model', row => row.model],
  ['upstream', row => row.upstream],
  ['service_tier', row => row.service_tier ?? null],
  ['protocol', row => row.protocol],
  ['stream', row => exact(String(row.stream))],
  ['attempts', row => exact(row.attempts)],
  ['ending', row => row.ending],
  ...(['input', 'cached_input', 'cache_write', 'output', 'reasoning'] as const).flatMap(
    name =>
      [
        [`${name}_tokens`, (row: UsageRow) => exact(row.usage[`${name}_tokens`])],
        [`${name}_source`, (row: UsageRow) => row.usage[`${name}_source`]],
      ] as const,
  ),
  ['price', row => row.price],
  ['charge_usd', row => exact(row.charge)],
  ['overrun_usd', row => exact(row.overrun)],
  ['held_usd', row => exact(row.held)],
  ['cost_usd', row => exact(row.cost)],
  ['admitted_at', row => exact(row.admitted_at)],
  ['ttft_ms', row => exact(row.ttft_ms)],
  ['duration_ms', row => exact(row.duration_ms)],
]

/** The header line of a usage file. */
export function usageCsvHeader(): string {
  return csvRow(COLUMNS.map(([name]) => name))
}

/** One request as a line of a usage file. */
export function usageCsvRow(row: UsageRow): string {
  return csvRow(COLUMNS.map(([, value]) => value(row)))
}
