import { csvRecords } from '../csv.ts'
import { divideHalfEven } from '../rounding.ts'
import type { ProviderField, ProviderFormat } from './provider-format.ts'

/** What a provider says of one UTC day, model and key. Null: it does not say. */
export interface ProviderUsage {
  /** `2026-10-31`, UTC. */
  readonly day: string
  readonly model: string
  readonly key: string
  readonly requests: number | null
  /** Cached ones included. */
  readonly inputTokens: number
  readonly cachedInputTokens: number | null
  readonly outputTokens: number
  readonly costNanodollars: bigint | null
  /** How far rounding can have moved the cost: half a unit of the last place that is written, for each row. */
  readonly costRoundingNanodollars: bigint
}

/** The file cannot be read as this provider's usage. The message says what is wrong and what to do. */
export class ProviderFileError extends Error {
  override name = 'ProviderFileError'
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

const REQUIRED: readonly ProviderField[] = ['time', 'model']

/** Reads a provider's CSV and sums it by UTC day, model and key. `columnMap` names columns where the file has titles of its own. */
export function providerUsage(
  text: string,
  format: ProviderFormat,
  columnMap: Readonly<Partial<Record<ProviderField, string>>> = {},
): ProviderUsage[] {
  const [head, ...records] = csvRecords(text)
  if (head === undefined) throw new ProviderFileError('The file is empty.')
  const columns = findColumns(head, format, columnMap)
  const sums = new Map<string, Mutable<ProviderUsage>>()
  // The head is row 1.
  for (const [index, record] of records.entries()) addRecord(sums, record, columns, format, index + 2)
  return [...sums.values()].sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1))
}

interface Columns {
  readonly at: (field: ProviderField) => number
  readonly costInCents: boolean
  readonly classAt: number
  readonly unitsAt: number
}

function findColumns(
  head: readonly string[],
  format: ProviderFormat,
  columnMap: Readonly<Partial<Record<ProviderField, string>>>,
): Columns {
  const titles = head.map(title => title.trim().toLowerCase())
  const find = (names: readonly string[]) =>
    names.map(name => titles.indexOf(name.toLowerCase())).find(at => at >= 0) ?? -1
  for (const [field, title] of Object.entries(columnMap)) {
    if (find([title]) < 0)
      throw new ProviderFileError(`There is no column "${title}" for ${field}. The file has: ${head.join(', ')}.`)
  }
  const at = (field: ProviderField) => {
    const mapped = columnMap[field]
    return find(mapped === undefined ? (format.columns[field] ?? []) : [mapped])
  }
  const classAt = format.byClass === undefined ? -1 : find(format.byClass.class)
  const unitsAt = format.byClass === undefined ? -1 : find(format.byClass.units)
  const byClass = classAt >= 0 && unitsAt >= 0
  for (const field of byClass ? REQUIRED : [...REQUIRED, 'input' as const, 'output' as const]) {
    if (at(field) >= 0) continue
    throw new ProviderFileError(
      `There is no column for ${field}. The file has: ${head.join(', ')}. Say which it is: --columns ${field}=<title>.`,
    )
  }
  const costInCents = format.centColumns?.includes(titles[at('cost')] ?? '') ?? false
  return { at, costInCents, classAt: byClass ? classAt : -1, unitsAt }
}

function addRecord(
  sums: Map<string, Mutable<ProviderUsage>>,
  record: readonly string[],
  columns: Columns,
  format: ProviderFormat,
  row: number,
): void {
  const cell = (at: number) => (at < 0 ? '' : (record[at] ?? '').trim())
  const field = (name: ProviderField) => cell(columns.at(name))
  // Exports have rows for days without usage, and totals at the end; they name no model.
  if (field('model') === '' || field('time') === '') return
  const day = dayOf(field('time'), row)
  const [model, key] = [field('model'), field('key')]
  const id = JSON.stringify([day, model, key])
  let sum = sums.get(id)
  if (sum === undefined) {
    sum = {
      day,
      model,
      key,
      requests: null,
      inputTokens: 0,
      cachedInputTokens: null,
      outputTokens: 0,
      costNanodollars: null,
      costRoundingNanodollars: 0n,
    }
    sums.set(id, sum)
  }
  const counted = (text: string, what: string) => tokensOf(text, what, row)
  const requests = field('requests')
  if (requests !== '') sum.requests = (sum.requests ?? 0) + counted(requests, 'requests')
  else if (format.rowIsRequest === true) sum.requests = (sum.requests ?? 0) + 1
  const addCached = (tokens: number) => {
    if (sum === undefined) return
    sum.cachedInputTokens = (sum.cachedInputTokens ?? 0) + tokens
    if (format.inputExcludesCached === true) sum.inputTokens += tokens
  }
  if (columns.classAt >= 0) {
    const name = format.byClass?.names[cell(columns.classAt).toLowerCase()]
    const units = counted(cell(columns.unitsAt), 'units')
    if (name === 'input') sum.inputTokens += units
    else if (name === 'output') sum.outputTokens += units
    else if (name === 'cached_input') addCached(units)
  } else {
    sum.inputTokens += counted(field('input'), 'input')
    sum.outputTokens += counted(field('output'), 'output')
    if (field('cached_input') !== '') addCached(counted(field('cached_input'), 'cached_input'))
  }
  if (field('cost') !== '') {
    const cost = costOf(field('cost'), columns.costInCents, row)
    sum.costNanodollars = (sum.costNanodollars ?? 0n) + cost.nanodollars
    sum.costRoundingNanodollars += cost.roundingNanodollars
  }
}

/** The UTC day of a time: RFC 3339, a date, seconds since 1970, or a date and time without zone, which is taken as UTC. */
function dayOf(text: string, row: number): string {
  const seconds = /^\d{9,11}(\.0)?$/.test(text) ? Number(text) : null
  const written = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)\s?(Z|UTC|[+-]\d\d:?\d\d)?)?$/.exec(text)
  const zone = written?.[3] === undefined || written[3] === 'UTC' ? 'Z' : written[3]
  const atMs =
    seconds !== null
      ? seconds * 1_000
      : written === null
        ? Number.NaN
        : Date.parse(`${written[1]}T${written[2] ?? '00:00'}${zone}`)
  if (Number.isNaN(atMs))
    throw new ProviderFileError(
      `Row ${row}: "${text}" is no time; wanted is 2026-10-31, 2026-10-31T12:00:00Z or seconds since 1970.`,
    )
  return new Date(atMs).toISOString().slice(0, 10)
}

function tokensOf(text: string, what: string, row: number): number {
  const count = text === '' ? 0 : Number(text.replaceAll(',', ''))
  if (!Number.isSafeInteger(count) || count < 0)
    throw new ProviderFileError(`Row ${row}: "${text}" is no count of ${what}; wanted is a whole number.`)
  return count
}

const NANO_PLACES = 9

/** A cost in dollars: `0.0123`, `$0.01`, `1.2e-05`. Finer than a nanodollar is rounded half to even. */
function costOf(text: string, inCents: boolean, row: number): { nanodollars: bigint; roundingNanodollars: bigint } {
  const match = /^(-?)\$?(\d{1,15})(?:\.(\d{1,40}))?(?:e([+-]?\d{1,2}))?$/i.exec(text.replaceAll(',', ''))
  if (match === null) throw new ProviderFileError(`Row ${row}: "${text}" is no cost.`)
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match
  const digits = BigInt(`${sign}${whole}${fraction}`)
  // Digits stand for digits × 10^-places dollars.
  const places = fraction.length - Number(exponent) + (inCents ? 2 : 0)
  const scale = NANO_PLACES - places
  const nanodollars = scale >= 0 ? digits * 10n ** BigInt(scale) : divideHalfEven(digits, 10n ** BigInt(-scale))
  return { nanodollars, roundingNanodollars: scale > 0 ? 10n ** BigInt(scale) / 2n : 1n }
}

function sortKey(usage: ProviderUsage): string {
  return `${usage.day} ${usage.model} ${usage.key}`
}
