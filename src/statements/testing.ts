import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { Price } from '../inference/snapshot.ts'
import { orgAccount } from '../ledger/account.ts'
import type { Transfer } from '../ledger/journal.ts'
import { parsePricePerMillion } from '../ledger/money.ts'
import type { BillingDetails } from './invoice.ts'
import { type Month, parseMonth } from './month.ts'
import { type ChargeSum, effectOn, type StatementRecords } from './statement.ts'

export const ORG = { id: 'org_0aB3dE5gH7jK9m', name: 'Acme <Robotics>' }
export const OCTOBER = parseMonth('2026-10') as Month
export const AFTER_MS = OCTOBER.toMs + 86_400_000

/** A price row from dollars per million tokens. */
export function priceOf(
  id: string,
  modelId: string,
  input: string,
  cached: string,
  output: string,
  request = 0n,
): Price {
  return {
    id,
    modelId,
    fromMs: 0,
    toMs: null,
    inputPicodollars: parsePricePerMillion(input),
    cachedInputPicodollars: parsePricePerMillion(cached),
    outputPicodollars: parsePricePerMillion(output),
    requestPicodollars: request,
  }
}

/** A movement of `ORG`'s account; a negative amount leaves it. */
export function movement(id: string, nanodollars: bigint, parts: Partial<Transfer> = {}): Transfer {
  const account = orgAccount(ORG.id)
  return {
    id: `${account}:credit:${id}`,
    debit: nanodollars < 0n ? account : 'operator:funding',
    credit: nanodollars < 0n ? 'operator:funding' : account,
    amountNanodollars: nanodollars < 0n ? -nanodollars : nanodollars,
    kind: 'credit',
    requestId: null,
    atMs: Date.UTC(2026, 9, 3, 9),
    memo: null,
    ...parts,
  }
}

/** Records that foot, whatever is in them. */
export function recordsOf(
  openingNanodollars: bigint,
  transfers: readonly Transfer[],
  charges: readonly ChargeSum[],
): StatementRecords {
  const moved = transfers.reduce((sum, each) => sum + effectOn(ORG.id, each), 0n)
  const charged = charges.reduce((sum, each) => sum + each.chargeNanodollars, 0n)
  return { openingNanodollars, closingNanodollars: openingNanodollars + moved - charged, transfers, charges }
}

export const BILLING: BillingDetails = {
  name: 'Example Inference GmbH',
  address: ['Hauptstraße 12', '10115 Berlin'],
  taxId: 'DE123456789',
  taxRate: '19',
  invoicePrefix: 'INV',
  note: 'Questions: billing@example.com',
  customers: [{ org: ORG.id, name: 'Acme Robotics Inc.', address: ['1 Market Street'], taxId: 'US-98-7654321' }],
}

/** Prices of the example month, by id. */
export const PRICES = new Map(
  [
    priceOf('price_pro', 'v4-pro', '1.30', '0.10', '2.60'),
    priceOf('price_small', 'acme/small', '0.10', '0.02', '0.40', 1_000_000n),
  ].map(price => [price.id, price]),
)

/** A month with two models, two credits, and a correction that takes something back. */
export const EXAMPLE: StatementRecords = recordsOf(
  12_345_678_901n,
  [
    movement('invoice-17', 50_000_000_000n, { memo: 'Bank transfer, "invoice 17"' }),
    movement('credit_9fK2', 10_000_000_000n, { atMs: Date.UTC(2026, 9, 19, 17), memo: '=HYPERLINK("x")' }),
    movement('back', -2_500_000_000n, { kind: 'overrun', atMs: Date.UTC(2026, 9, 25), memo: 'Paid back' }),
  ],
  [
    {
      modelId: 'v4-pro',
      priceId: 'price_pro',
      requests: 1_204,
      inputTokens: 9_100_003,
      cachedInputTokens: 6_999_999,
      outputTokens: 803_117,
      chargeNanodollars: 5_518_109_300n,
      costNanodollars: null,
    },
    {
      modelId: 'acme/small',
      priceId: 'price_small',
      requests: 3,
      inputTokens: 1_200,
      cachedInputTokens: 1_000,
      outputTokens: 45,
      chargeNanodollars: 60_000n,
      costNanodollars: 41_000n,
    },
    {
      modelId: 'gone',
      priceId: 'price_gone',
      requests: 1,
      inputTokens: 1,
      cachedInputTokens: 0,
      outputTokens: 1,
      chargeNanodollars: 7n,
      costNanodollars: null,
    },
  ],
)

const GOLDEN = new URL('./golden/', import.meta.url)

/** Compares a text with `golden/<name>`; UPDATE=1 rewrites the file. */
export function checkGolden(name: string, text: string): void {
  const file = new URL(name, GOLDEN)
  if (process.env.UPDATE === '1') {
    mkdirSync(GOLDEN, { recursive: true })
    writeFileSync(file, text)
  }
  assert.equal(text, readFileSync(file, 'utf8'))
}
