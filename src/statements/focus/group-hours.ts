import { parseDollars } from '../../ledger/money.ts'
import { classLines, type PriceClass, type UnitPrices } from '../price-classes.ts'
import type { FocusUsage } from './rows.ts'

/** A row of usage by hour, as the control plane answers it: in the order of hour, org, key and model. */
export interface HourRow {
  readonly hour: string
  readonly org: string
  readonly org_name: string
  readonly key: string
  readonly key_name: string
  readonly model: string
  readonly price: string
  /** Picodollars each. */
  readonly unit_prices: Readonly<Record<PriceClass, string>> | null
  readonly requests: number
  readonly input_tokens: number
  readonly cached_input_tokens: number
  readonly output_tokens: number
  readonly charge: string
}

interface Sum {
  readonly first: HourRow
  requests: number
  inputTokens: number
  cachedInputTokens: number
  outputTokens: number
  chargeNanodollars: bigint
}

/**
 * Adds up what differs only in upstream and ending, so that hour, key, model and price occur once. Rows of one hour, key and model
 * follow each other, so no more than their prices are held in memory.
 */
export async function* focusGroups(rows: AsyncIterable<HourRow>): AsyncGenerator<FocusUsage> {
  let run = ''
  let sums = new Map<string, Sum>()
  for await (const row of rows) {
    const id = JSON.stringify([row.hour, row.org, row.key, row.model])
    if (id !== run) {
      yield* [...sums.values()].map(usageOf)
      run = id
      sums = new Map()
    }
    let sum = sums.get(row.price)
    if (sum === undefined) {
      sum = { first: row, requests: 0, inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, chargeNanodollars: 0n }
      sums.set(row.price, sum)
    }
    sum.requests += row.requests
    sum.inputTokens += row.input_tokens
    sum.cachedInputTokens += row.cached_input_tokens
    sum.outputTokens += row.output_tokens
    sum.chargeNanodollars += parseDollars(row.charge)
  }
  yield* [...sums.values()].map(usageOf)
}

function usageOf(sum: Sum): FocusUsage {
  const { first } = sum
  return {
    hourMs: Date.parse(first.hour),
    org: { id: first.org, name: first.org_name },
    key: { id: first.key, name: first.key_name },
    model: first.model,
    priceId: first.price,
    requests: sum.requests,
    lines: first.unit_prices === null ? [] : classLines(sum, unitPrices(first.unit_prices)),
    chargeNanodollars: sum.chargeNanodollars,
  }
}

function unitPrices(texts: Readonly<Record<PriceClass, string>>): UnitPrices {
  const { input, cached_input, output, request } = texts
  return { input: BigInt(input), cached_input: BigInt(cached_input), output: BigInt(output), request: BigInt(request) }
}
