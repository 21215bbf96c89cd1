import { isMap, isScalar, isSeq, type Node, parseDocument } from 'yaml'
import type { ControlClient } from '../control/client.ts'
import { documentOfTariff, PriceFormatError, tariffOfDocument } from '../pricing/document.ts'
import { type TokenPricing, tariffOfTokenPricing, tokenPricingOf } from '../pricing/token-pricing.ts'
import { CliError, EXIT } from './cli-error.ts'

/** A row as the control plane takes it. */
export type PriceRow = Parameters<ControlClient['importPrices']>[0]['prices'][number]
/** A row as the control plane answers it. */
export type PriceOut = Awaited<ReturnType<ControlClient['listAllPrices']>>['data'][number]

/** No list is nested deeper; the bound ends what contains itself. */
const DEPTH_MAX = 12
/** Fields of a list that are whole numbers; every other number is money or a multiplier, and stays the text that it is. */
const INTEGERS = new Set(['from_input_tokens', 'min_prompt_tokens', 'utc_start', 'utc_end'])

/**
 * Reads YAML or JSON without letting a float come near a price: `1.30` stays "1.30", in quotes or not.
 *
 * @throws CliError that names the file and the line.
 */
export function readExact(text: string, file: string): unknown {
  const document = parseDocument(text, { prettyErrors: true })
  const [error] = document.errors
  if (error !== undefined)
    throw new CliError(`${file} is neither YAML nor JSON: ${error.message.split('\n')[0]}`, { exitCode: EXIT.usage })
  const read = (node: Node | null, key: string, depth: number): unknown => {
    if (depth > DEPTH_MAX) throw new CliError(`${file} is nested too deeply.`, { exitCode: EXIT.usage })
    if (isMap(node)) {
      const entries = node.items.map(pair => {
        const name = String(isScalar(pair.key) ? pair.key.value : pair.key)
        return [name, read(pair.value as Node | null, name, depth + 1)]
      })
      return Object.fromEntries(entries)
    }
    if (isSeq(node)) return node.items.map(item => read(item as Node, key, depth + 1))
    if (!isScalar(node)) return null
    if (typeof node.value === 'number' && !INTEGERS.has(key)) return node.source ?? String(node.value)
    return node.value
  }
  return read(document.contents, '', 0)
}

/**
 * Reads a price list: a list of rows, or the same under `prices`, or what an aggregator lists as `data`, each with `pricing` in
 * dollars per token. A row of one or the other kind is told by whether it has `pricing`.
 */
export function readPriceList(text: string, file: string): PriceRow[] {
  const value = readExact(text, file)
  const list = Array.isArray(value) ? value : (fieldOf(value, 'prices') ?? fieldOf(value, 'data'))
  if (!Array.isArray(list))
    throw new CliError(`${file} holds no price list.`, {
      cure: 'Write "prices:" and a row for each model below it; "headrace prices export" shows how.',
      exitCode: EXIT.usage,
    })
  return list.map((row, index) => rowOf(row, `${file}: row ${index + 1}`))
}

/** A price list as text. */
export function writePriceList(
  rows: readonly PriceOut[],
  format: 'yaml' | 'json' | 'openrouter',
  stringify: (value: unknown) => string,
): string {
  if (format === 'openrouter') return `${JSON.stringify({ data: rows.map(tokenRow) }, null, 2)}\n`
  const prices = rows.map(({ id: _, to, ...row }) => ({ ...row, ...(to !== null && { to }) }))
  return format === 'json' ? `${JSON.stringify({ prices }, null, 2)}\n` : stringify({ prices })
}

function rowOf(row: unknown, where: string): PriceRow {
  if (typeof row !== 'object' || row === null)
    throw new CliError(`${where} is no row of a price list.`, { exitCode: EXIT.usage })
  const pricing = fieldOf(row, 'pricing')
  if (pricing === undefined) return row as PriceRow
  const { id, group, from, to } = row as { id?: string; group?: string; from?: string; to?: string }
  try {
    const { margin: _, ...document } = documentOfTariff(tariffOfTokenPricing(knownPricing(pricing, where)))
    return {
      model: String(id),
      ...(group !== undefined && { group }),
      ...(from !== undefined && { from }),
      ...(to !== undefined && { to }),
      ...(document as object),
    }
  } catch (error) {
    if (!(error instanceof PriceFormatError)) throw error
    throw new CliError(`${where}: pricing.${error.path.join('.')} ${error.message}.`, { exitCode: EXIT.usage })
  }
}

const CLASSES = ['prompt', 'completion', 'request', 'input_cache_read', 'input_cache_write', 'internal_reasoning']
const CONDITIONS = ['min_prompt_tokens', 'utc_start', 'utc_end', 'utc_days']

// What we could not charge must not be dropped in silence: a price for something else than text is only let pass when it is zero.
function knownPricing(pricing: unknown, where: string): TokenPricing {
  const check = (value: unknown, known: readonly string[]) => {
    for (const [key, price] of Object.entries(value as object)) {
      if (known.includes(key) || (typeof price === 'string' && /^0*\.?0*$/.test(price))) continue
      throw new CliError(`${where}: pricing has ${key}, which is not charged here.`, {
        cure: 'Take it out of the list, or set it to "0".',
        exitCode: EXIT.usage,
      })
    }
  }
  check(pricing, [...CLASSES, 'overrides', 'service_tiers'])
  for (const override of (fieldOf(pricing, 'overrides') as unknown[] | undefined) ?? [])
    check(override, [...CLASSES, ...CONDITIONS])
  return pricing as TokenPricing
}

function tokenRow({ model, group, from, to, ...price }: PriceOut): object {
  const pricing = tokenPricingOf(tariffOfDocument(price))
  if (pricing === null)
    throw new CliError(`The price ${price.id} of ${model} cannot be written per token exactly.`, {
      cure: 'It has a multiplier that makes parts of a picodollar, or search units. Export it as YAML or JSON.',
    })
  return { id: model, ...(group !== undefined && { group }), from, ...(to !== null && { to }), pricing }
}

function fieldOf(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined
}
