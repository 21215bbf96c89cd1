import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { csvRecords } from '../csv.ts'
import { unitPricesOf } from '../price-classes.ts'
import { checkGolden, ORG, PRICES } from '../testing.ts'
import { FOCUS_COLUMNS, type FocusVersion, focusName } from './columns.ts'
import { focusGroups, type HourRow } from './group-hours.ts'
import { type FocusTransfer, focusHeader, focusTransferRow, focusUsageRows } from './rows.ts'

/** Columns that FOCUS 1.4 wants in every Cost and Usage dataset, as published on 2026-06-04. */
const MANDATORY_14 = [
  'BilledCost',
  'BillingAccountId',
  'BillingAccountName',
  'BillingCurrency',
  'BillingPeriodEnd',
  'BillingPeriodStart',
  'ChargeCategory',
  'ChargeClass',
  'ChargeDescription',
  'ChargePeriodEnd',
  'ChargePeriodStart',
  'ContractedCost',
  'EffectiveCost',
  'HostProviderName',
  'InvoiceIssuerName',
  'ListCost',
  'PricingQuantity',
  'PricingUnit',
  'ServiceProviderName',
  'ServiceCategory',
  'ServiceName',
]

function hour(parts: Partial<HourRow> & { price?: string } = {}): HourRow {
  const price = PRICES.get(parts.price ?? 'price_pro')
  const prices = price === undefined ? null : unitPricesOf(price)
  return {
    hour: '2026-10-31T23:00:00.000Z',
    org: ORG.id,
    org_name: ORG.name,
    key: 'key_1',
    key_name: 'laptop',
    model: 'v4-pro',
    price: 'price_pro',
    unit_prices:
      prices === null
        ? null
        : {
            input: `${prices.input}`,
            cached_input: `${prices.cached_input}`,
            output: `${prices.output}`,
            request: `${prices.request}`,
          },
    requests: 2,
    input_tokens: 1_000_003,
    cached_input_tokens: 999_999,
    output_tokens: 7,
    charge: '0.100023300',
    ...parts,
  }
}

const TRANSFERS: FocusTransfer[] = [
  {
    id: 'org:a:credit:x',
    org: ORG,
    kind: 'credit',
    effectNanodollars: 12_500_000_000n,
    atMs: Date.UTC(2026, 9, 3, 5, 7),
    memo: null,
  },
  {
    id: 'org:a:refund:x',
    org: ORG,
    kind: 'refund',
    effectNanodollars: -1_000_000_000n,
    atMs: Date.UTC(2026, 9, 4),
    memo: null,
  },
  {
    id: 'org:a:grant:x',
    org: ORG,
    kind: 'grant',
    effectNanodollars: 5_000_000_000n,
    atMs: Date.UTC(2026, 9, 5),
    memo: '@welcome',
  },
  {
    id: 'org:a:fix:x',
    org: ORG,
    kind: 'correction',
    effectNanodollars: -1n,
    atMs: Date.UTC(2026, 11, 31, 23, 59),
    memo: null,
  },
]

async function fileOf(
  hours: readonly HourRow[],
  transfers: readonly FocusTransfer[] = [],
  version: FocusVersion = '1.4',
) {
  async function* rows() {
    yield* hours
  }
  let text = focusHeader(version)
  for await (const group of focusGroups(rows())) text += focusUsageRows(group, 'Example Inference')
  for (const transfer of transfers) text += focusTransferRow(transfer, 'Example Inference')
  return text
}

type Line = Record<string, string>

function linesOf(text: string): Line[] {
  const [head = [], ...rows] = csvRecords(text)
  return rows.map(row => Object.fromEntries(head.map((name, at) => [name, row[at] ?? ''])))
}

/** Decimal dollars as picodollars; more places than 12 would be lost, and fail the test. */
function pico(decimal: string): bigint {
  const match = /^(-?)(\d+)\.(\d{1,12})$/.exec(decimal)
  assert.ok(match !== null, `"${decimal}" is no decimal`)
  return BigInt(`${match[1]}${match[2]}${(match[3] ?? '').padEnd(12, '0')}`)
}

/** The schema check: what the specification says of columns, values, nulls and products, row by row. */
function checkSchema(text: string): Line[] {
  const [head = []] = csvRecords(text)
  assert.deepEqual(
    MANDATORY_14.filter(name => !head.includes(name)),
    [],
    'mandatory columns',
  )
  assert.equal(new Set(head).size, head.length)
  const custom = head.findIndex(name => name.startsWith('x_'))
  assert.ok(
    head.slice(custom).every(name => name.startsWith('x_')),
    'custom columns are last',
  )
  const lines = linesOf(text)
  for (const line of lines) {
    for (const column of FOCUS_COLUMNS) {
      const value = line[column.name] ?? ''
      const where = `${column.name} of ${JSON.stringify(line)}`
      if (value === '') assert.ok(column.nullable, `${where} is null`)
      else if (column.type === 'decimal') pico(value)
      else if (column.type === 'time') assert.match(value, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, where)
      if (value !== '' && column.allowed !== undefined) assert.ok(column.allowed.includes(value), where)
    }
    const { ChargeCategory } = line
    const priced = ChargeCategory === 'Usage' || ChargeCategory === 'Purchase'
    for (const name of [
      'ListUnitPrice',
      'ContractedUnitPrice',
      'PricingQuantity',
      'PricingUnit',
      'PricingCategory',
      'SkuId',
      'SkuPriceId',
    ])
      assert.equal(line[name] !== '', priced, `${name} of ${ChargeCategory}`)
    for (const name of ['ConsumedQuantity', 'ConsumedUnit'])
      assert.equal(line[name] !== '', ChargeCategory === 'Usage', name)
    assert.equal(line.SubAccountId === '', line.SubAccountName === '')
    assert.equal(line.SubAccountId === '', line.SubAccountType === '')
    if (ChargeCategory === 'Purchase') assert.notEqual(line.ChargeFrequency, 'Usage-Based')
    if (ChargeCategory === 'Purchase') assert.equal(pico(line.EffectiveCost as string), 0n)
    if (priced) {
      for (const [price, cost] of [
        ['ListUnitPrice', 'ListCost'],
        ['ContractedUnitPrice', 'ContractedCost'],
      ] as const) {
        assert.ok(pico(line[price] as string) >= 0n)
        assert.equal(
          pico(line[price] as string) * pico(line.PricingQuantity as string),
          pico(line[cost] as string) * 10n ** 12n,
        )
      }
    }
    assert.ok((line.ChargePeriodStart as string) >= (line.BillingPeriodStart as string))
    assert.ok((line.ChargePeriodEnd as string) <= (line.BillingPeriodEnd as string))
  }
  const skus = Map.groupBy(
    lines.filter(line => line.SkuPriceId !== ''),
    line => line.SkuPriceId,
  )
  for (const each of skus.values()) assert.equal(new Set(each.map(line => line.SkuId)).size, 1, 'a price has one SKU')
  return lines
}

test('the example in FOCUS 1.4 and 1.2', async () => {
  const hours = [
    hour(),
    hour({ price: 'price_small', requests: 1, charge: '0.0000001' }),
    hour({ price: 'price_gone', charge: '0.5' }),
  ]
  const text = await fileOf(hours, TRANSFERS)
  checkSchema(text)
  checkGolden('focus.csv', text)
  const renamed = await fileOf(hours, TRANSFERS, '1.2')
  const [head14, ...rest14] = text.split('\r\n')
  const [head12, ...rest12] = renamed.split('\r\n')
  assert.deepEqual(rest12, rest14)
  assert.equal(
    head12,
    head14?.replace('ServiceProviderName', 'ProviderName').replace('HostProviderName', 'PublisherName'),
  )
})

test('columns stand in the order of the alphabet, custom ones after', () => {
  const names = FOCUS_COLUMNS.map(column => focusName(column, '1.4'))
  const custom = names.filter(name => name.startsWith('x_'))
  assert.deepEqual(names, [...names.filter(name => !name.startsWith('x_')).sort(), ...custom.sort()])
})

const anyHour = fc
  .record({
    hourAt: fc.nat(3),
    key: fc.constantFrom('key_1', 'key_2'),
    price: fc.constantFrom('price_pro', 'price_small', 'price_gone'),
    requests: fc.integer({ min: 1, max: 1_000 }),
    uncached: fc.nat(10_000_000),
    cached: fc.nat(10_000_000),
    output: fc.nat(10_000_000),
    chargeNanodollars: fc.bigInt({ min: 0n, max: 10n ** 14n }),
  })
  .map(each => {
    const charge = each.chargeNanodollars.toString().padStart(10, '0')
    return hour({
      hour: new Date(Date.UTC(2026, 9, 31, 21 + each.hourAt)).toISOString(),
      key: each.key,
      key_name: each.key,
      price: each.price,
      requests: each.requests,
      input_tokens: each.uncached + each.cached,
      cached_input_tokens: each.cached,
      output_tokens: each.output,
      charge: `${charge.slice(0, -9)}.${charge.slice(-9)}`,
    })
  })

test('whatever was used, effective cost is the sum of the charges, and every row keeps the schema', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyHour, { maxLength: 12 }), async hours => {
      const sorted = hours.sort((a, b) => (`${a.hour}${a.key}` < `${b.hour}${b.key}` ? -1 : 1))
      const lines = checkSchema(await fileOf(sorted, TRANSFERS))
      const sum = (name: string, of: readonly Line[]) =>
        of.reduce((total, line) => total + pico(line[name] as string), 0n)
      const charged = hours.reduce((total, each) => total + pico(each.charge), 0n)
      assert.equal(sum('EffectiveCost', lines), charged)
      assert.equal(sum('BilledCost', lines), 11_500_000_000_000n, 'what was bought, less what was paid back')
      const tokens = (name: string) =>
        sum(
          'ConsumedQuantity',
          lines.filter(line => line.SkuMeter === name),
        ) /
        10n ** 12n
      const known = hours.filter(each => each.unit_prices !== null)
      assert.equal(
        tokens('Output Tokens'),
        known.reduce((total, each) => total + BigInt(each.output_tokens), 0n),
      )
      const kinds = lines
        .filter(line => line.ChargeCategory === 'Usage')
        .map(line => [line.ChargePeriodStart, line.SubAccountId, line.SkuPriceId].join())
      assert.equal(new Set(kinds).size, kinds.length, 'one row for each hour, key, price and class')
    }),
    { numRuns: 60 },
  )
})
