import assert from 'node:assert/strict'
import { parseDollars, parsePricePerMillion } from '../../src/ledger/money.ts'
import type { ServerProcess } from './server.ts'

/** Dollars per million tokens, as an operator types them. */
export interface PriceText {
  readonly input: string
  readonly cached: string
  readonly output: string
}

/** Token counts of a request. */
export interface Counts {
  readonly input: number
  readonly cached: number
  readonly output: number
}

/** Price × counts in nanodollars, rounded once, half to even: worked out here anew, so that a mistake in one place shows. */
export function worth(price: PriceText, { input, cached, output }: Counts): bigint {
  const picodollars =
    BigInt(input - cached) * parsePricePerMillion(price.input) +
    BigInt(cached) * parsePricePerMillion(price.cached) +
    BigInt(output) * parsePricePerMillion(price.output)
  const [whole, rest] = [picodollars / 1000n, picodollars % 1000n]
  return rest > 500n || (rest === 500n && whole % 2n === 1n) ? whole + 1n : whole
}

/** The row of the ledger for a request, its charge checked against price × counts and against its transfers. */
export async function ledgerRow(server: ServerProcess, requestId: string, price: PriceText) {
  const { row, transfers, arithmetic } = await server.control.getUsage(requestId)
  const counts = {
    input: row.usage.input_tokens,
    cached: row.usage.cached_input_tokens,
    output: row.usage.output_tokens,
  }
  const charge = parseDollars(row.charge)
  assert.equal(charge, worth(price, counts), `${requestId} ends as ${row.ending}: ${JSON.stringify(counts)}`)
  assert.equal(parseDollars(arithmetic?.charge ?? '-1'), charge)
  const taken = transfers.filter(transfer => transfer.kind === 'charge')
  assert.deepEqual(
    taken.map(transfer => parseDollars(transfer.amount)),
    charge === 0n ? [] : [charge],
  )
  return { ...row, counts, charge }
}
